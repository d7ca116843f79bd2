package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// contestant is a server that can be measured.
type contestant struct {
	name    string
	program string
	// args have it listen on 127.0.0.1:port and keep its data in dir.
	args func(port, dir string) []string
	more []string // further arguments
	env  []string // further variables
	// ready reports whether a server at a port serves. By default it is asked to answer PING.
	ready func(port string) bool
}

const (
	redisServer    = "redis-server"
	redisBenchmark = "redis-benchmark"
)

// redis syncs its log before it answers a write, as we do.
var redis = contestant{name: redisServer, program: redisServer, args: func(port, dir string) []string {
	return []string{"--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always"}
}}

// ours is the server that is a program of ours.
func ours(program string) contestant {
	return contestant{name: "elastickv", program: program, args: func(port, dir string) []string {
		return []string{"serve", "--listen", "127.0.0.1:" + port, "--dir", dir}
	}}
}

// buildOurs compiles the server of this tree as make build does.
func buildOurs(ctx context.Context, program string) error {
	out, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "github.com/elastickv/elastickv/cmd/elastickv").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build ./cmd/elastickv: %w\n%s", err, out)
	}
	return nil
}

// with returns c with further arguments.
func (c contestant) with(more ...string) contestant {
	c.more = append(c.more[:len(c.more):len(c.more)], more...)
	return c
}

// startWait bounds how long a server may take until it answers, stopWait until it has ended.
const (
	startWait = 5 * time.Minute
	stopWait  = time.Minute
)

// server is a contestant at work.
type server struct {
	name   string
	port   string
	pid    int
	cmd    *exec.Cmd
	ready  func(port string) bool
	log    bytes.Buffer  // what it writes; read it when the server has ended
	exited chan struct{} // closed when it has
	others []*server     // whose usage counts as its own
}

// start starts c over the folder data, and returns when it answers. Whoever has it ends it.
func (c contestant) start(ctx context.Context, data string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s, err := c.launch(ctx, port, data)
	if err != nil {
		return nil, err
	}
	if err := s.wait(ctx); err != nil {
		s.kill()
		return nil, s.failed(err)
	}
	return s, nil
}

// launch starts c at a port, over the folder data, and waits for nothing.
func (c contestant) launch(ctx context.Context, port, data string) (*server, error) {
	s := &server{name: c.name, port: port, ready: c.ready, exited: make(chan struct{})}
	if s.ready == nil {
		s.ready = answers
	}
	s.cmd = exec.CommandContext(ctx, c.program, append(c.args(port, data), c.more...)...)
	s.cmd.Env = append(os.Environ(), c.env...)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	s.pid = s.cmd.Process.Pid
	go func() {
		s.cmd.Wait() // how it ends matters only to those who did not end it, and they have the log
		close(s.exited)
	}()
	return s, nil
}

// kill ends the server at once.
func (s *server) kill() {
	s.cmd.Process.Kill()
	<-s.exited
}

// stop ends the server in good order.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-s.exited:
		return nil
	case <-time.After(stopWait):
		s.kill()
		return s.failed(fmt.Errorf("it has not stopped within %v", stopWait))
	}
}

// failed adds to err what an ended server has written.
func (s *server) failed(err error) error { return fmt.Errorf("%s: %w\n%s", s.name, err, s.log.Bytes()) }

// wait returns once the server serves.
func (s *server) wait(ctx context.Context) error {
	deadline := time.After(startWait)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !s.ready(s.port) {
		select {
		case <-s.exited:
			return errors.New("it ended before it answered")
		case <-deadline:
			return fmt.Errorf("no answer within %v", startWait)
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// withServer calls fn while a server with an empty folder is at work.
func (l *lab) withServer(ctx context.Context, c contestant, fn func(*server) error) error {
	data, err := os.MkdirTemp(l.dir, "data-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(data) // again at the end, with all else
	s, err := c.start(ctx, data)
	if err != nil {
		return err
	}
	err = fn(s)
	s.kill()
	if err != nil {
		return s.failed(err)
	}
	return nil
}

// withBoth calls fn while a redis-server and ours are at work, each with an empty folder.
func (l *lab) withBoth(ctx context.Context, fn func(base, ours *server) error) error {
	return l.withServer(ctx, redis, func(base *server) error {
		return l.withServer(ctx, l.ours, func(ours *server) error { return fn(base, ours) })
	})
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

// answers reports whether PING is answered. A server that still loads its data answers something else.
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
