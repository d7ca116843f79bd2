package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// contestant is a server that can be measured.
type contestant struct {
	name string
	// command starts it on 127.0.0.1:port with its data in dir.
	command func(ctx context.Context, port, dir string) *exec.Cmd
}

// redis syncs its log before it answers a write, as we do.
var redis = contestant{"redis-server", func(ctx context.Context, port, dir string) *exec.Cmd {
	return exec.CommandContext(ctx, "redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always")
}}

// buildOurs compiles the server of this tree into dir.
func buildOurs(ctx context.Context, dir string) (contestant, error) {
	path := filepath.Join(dir, "elastickv")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/elastickv/elastickv/cmd/elastickv").CombinedOutput()
	if err != nil {
		return contestant{}, fmt.Errorf("go build ./cmd/elastickv: %w\n%s", err, out)
	}
	return contestant{"elastickv", func(ctx context.Context, port, dir string) *exec.Cmd {
		return exec.CommandContext(ctx, path, "serve", "--listen", "127.0.0.1:"+port, "--dir", dir)
	}}, nil
}

// startWait bounds how long a server may take until it answers.
const startWait = 30 * time.Second

// server is a contestant at work.
type server struct {
	name   string
	port   string
	pid    int
	memory float64 // bytes, the most that were seen
}

// with runs fn while an empty server is at work.
func (c contestant) with(ctx context.Context, dir string, fn func(*server) error) error {
	data, err := os.MkdirTemp(dir, "data-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(data)
	port, err := freePort()
	if err != nil {
		return err
	}
	cmd := c.command(ctx, port, data)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", c.name, err)
	}
	exited := make(chan struct{})
	go func() {
		cmd.Wait() // how it ends matters only before it has answered, and then log says it
		close(exited)
	}()
	err = waitFor(port, exited)
	if err == nil {
		err = fn(&server{name: c.name, port: port, pid: cmd.Process.Pid})
	}
	cmd.Process.Kill()
	<-exited
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", c.name, err, log.Bytes())
	}
	return nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// waitFor returns once the server on port answers PING.
func waitFor(port string, exited <-chan struct{}) error {
	deadline := time.After(startWait)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !answers(port) {
		select {
		case <-exited:
			return fmt.Errorf("ended before it answered")
		case <-deadline:
			return fmt.Errorf("no answer within %v", startWait)
		case <-tick.C:
		}
	}
	return nil
}

func answers(port string) bool {
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		return false
	}
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(time.Second)) != nil {
		return false
	}
	fmt.Fprint(conn, "PING\r\n")
	line, _ := bufio.NewReader(conn).ReadString('\n')
	return line == "+PONG\r\n"
}
