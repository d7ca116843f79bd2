package server_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/internal/testkit"
)

// listen starts a server that opens its listeners by itself, with port 0 any that is free.
func listen(t *testing.T, settings ...string) *running {
	t.Helper()
	cfg := configOf(t, settings...)
	listeners, err := server.Listen(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, nil, cfg, listeners...)
}

// configOf makes a configuration; the port "any" is any that is free.
func configOf(t *testing.T, settings ...string) *server.Config {
	t.Helper()
	cfg := server.NewConfig()
	for i := 0; i < len(settings); i += 2 {
		if settings[i+1] == "any" {
			cfg.UseAnyPort(settings[i])
		} else if err := cfg.Set(settings[i], settings[i+1]); err != nil {
			t.Fatalf("%s %s: %v", settings[i], settings[i+1], err)
		}
	}
	return cfg
}

// setting asks for the value of one.
func (w *wire) setting(name string) string {
	w.t.Helper()
	w.send("CONFIG GET " + name + "\r\n")
	w.expect(fmt.Sprintf("*2\r\n$%d\r\n%s\r\n", len(name), name))
	return w.bulk()
}

// refused wants nobody to listen at an address.
func refused(t *testing.T, addr string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		conn.Close()
		t.Errorf("somebody listens at %s", addr)
	}
}

func portOf(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

const (
	cannotBind   = "-ERR CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to specified addresses.\r\n"
	cannotListen = "-ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs.\r\n"
)

// The port is changed under the connections: they go on, new ones come in at the new one only.
func TestConfigSetPort(t *testing.T) {
	r := listen(t, "port", "any")
	w := dial(t, r.addr)
	if got := w.setting("port"); got != portOf(t, r.addr) {
		t.Fatalf("the port is %s, and %s is told", r.addr, got)
	}
	next := testkit.FreeAddr(t)
	w.ask("CONFIG SET port "+portOf(t, next), "+OK\r\n")
	refused(t, r.addr)
	dial(t, next).ask("PING", "+PONG\r\n")
	w.ask("PING", "+PONG\r\n")
	if got := w.setting("port"); got != portOf(t, next) {
		t.Errorf("the port is %s, and %s is told", next, got)
	}
	w.send("INFO server\r\n")
	info := w.bulk()
	for _, want := range []string{"tcp_port:" + portOf(t, next), "listener0:name=tcp,bind=127.0.0.1,port=" + portOf(t, next)} {
		if !strings.Contains(info, "\r\n"+want+"\r\n") {
			t.Errorf("no %s in:\n%s", want, info)
		}
	}
	w.ask("CONFIG SET port 0", "+OK\r\n") // Redis does so, too: there is no way in any more
	refused(t, next)
	w.ask("CONFIG SET port "+portOf(t, next), "+OK\r\n")
	dial(t, next).ask("PING", "+PONG\r\n")
}

// What cannot be had leaves everything as it was.
func TestConfigSetPortInUse(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	r := listen(t, "port", "any")
	w := dial(t, r.addr)
	for _, tc := range []struct{ set, want string }{
		{"port " + portOf(t, busy.Addr().String()), cannotListen},
		{"bind 999.999.999.999", cannotBind},
		{"bind 127.0.0.1 port " + portOf(t, busy.Addr().String()), cannotListen},
		{"bind 203.0.113.1", cannotBind}, // an address of documents, which no machine has
		{"timeout 5 port " + portOf(t, busy.Addr().String()), cannotListen},
	} {
		w.ask("CONFIG SET "+tc.set, tc.want)
		dial(t, r.addr).ask("PING", "+PONG\r\n")
		if bind, port, timeout := w.setting("bind"), w.setting("port"), w.setting("timeout"); bind != "127.0.0.1" || port != portOf(t, r.addr) || timeout != "0" {
			t.Errorf("%s: now %s %s %s", tc.set, bind, port, timeout)
		}
	}
	if !strings.Contains(r.log.String(), "address already in use") {
		t.Errorf("the log does not tell why:\n%s", r.log)
	}
}

// All addresses take the place of one with the same port, and give it back.
func TestConfigSetBind(t *testing.T) {
	r := listen(t, "port", "any")
	w := dial(t, r.addr)
	w.send("*4\r\n$6\r\nCONFIG\r\n$3\r\nSET\r\n$4\r\nbind\r\n$6\r\n* -::*\r\n")
	w.expect("+OK\r\n")
	dial(t, r.addr).ask("PING", "+PONG\r\n")
	dial(t, "127.0.0.2:"+portOf(t, r.addr)).ask("PING", "+PONG\r\n")
	w.ask("CONFIG SET bind 127.0.0.2", "+OK\r\n")
	refused(t, r.addr)
	dial(t, "127.0.0.2:"+portOf(t, r.addr)).ask("PING", "+PONG\r\n")

	// The other way round, one of the addresses is somebody else's: what was closed is opened again.
	busy, err := net.Listen("tcp", "127.0.0.3:"+portOf(t, r.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	w.ask("CONFIG SET bind *", cannotBind)
	dial(t, "127.0.0.2:"+portOf(t, r.addr)).ask("PING", "+PONG\r\n")
	w.ask("CONFIG SET bind \"\"", "+OK\r\n")
	refused(t, "127.0.0.2:"+portOf(t, r.addr))
	w.ask("PING", "+PONG\r\n")
}

func TestListenNowhere(t *testing.T) {
	for _, settings := range [][]string{{"port", "0"}, {"bind", ""}, {"bind", "-203.0.113.1"}} {
		if _, err := server.Listen(t.Context(), configOf(t, settings...)); err == nil || !strings.Contains(err.Error(), "nowhere to listen") {
			t.Errorf("%v: %v", settings, err)
		}
	}
}

// Where any port will do, all addresses have the same.
func TestAnyPort(t *testing.T) {
	cfg := configOf(t, "port", "any", "bind", "127.0.0.1 127.0.0.2")
	listeners, err := server.Listen(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, ln := range listeners {
		defer ln.Close()
	}
	if len(listeners) != 2 || portOf(t, listeners[0].Addr().String()) != portOf(t, listeners[1].Addr().String()) || cfg.Get("port") == "0" {
		t.Errorf("got %v and %v, port %s", listeners[0].Addr(), listeners[1].Addr(), cfg.Get("port"))
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	r := listen(t, "port", "0", "unixsocket", path, "unixsocketperm", "700")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket: %v, %v", info.Mode(), err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w := wireOn(t, conn)
	w.send("CLIENT INFO\r\n")
	if info := w.bulk(); !strings.Contains(info, " addr="+path+":0 laddr="+path+":0 ") || !strings.Contains(info, " flags=U ") {
		t.Errorf("got %s", info)
	}
	w.send("INFO server\r\n")
	if info := w.bulk(); !strings.Contains(info, "\r\nlistener1:name=unix,bind="+path+"\r\n") {
		t.Errorf("no socket in:\n%s", info)
	}
	if got := w.setting("unixsocketperm"); got != "700" {
		t.Errorf("the mode is told as %s", got)
	}

	// A second server does not take it away, whatever else stands there is not touched, and what is
	// left of one that was killed is no hindrance.
	if _, err := server.Listen(context.Background(), configOf(t, "port", "0", "unixsocket", path)); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a second server: %v", err)
	}
	w.ask("PING", "+PONG\r\n")
	r.stop()
	if err := r.end(t); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
	if err := os.WriteFile(path, []byte("thesis"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Listen(context.Background(), configOf(t, "port", "0", "unixsocket", path)); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("a file in its place: %v", err)
	}
	stale := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", stale)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	listen(t, "port", "0", "unixsocket", stale)
	if conn, err = net.Dial("unix", stale); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	wireOn(t, conn).ask("PING", "+PONG\r\n")
}
