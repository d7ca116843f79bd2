package server

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// TestAddresses has clients with and without TLS sent to nodes that have both kinds of ports, or one.
func TestAddresses(t *testing.T) {
	plainEnd, other := net.Pipe()
	defer plainEnd.Close()
	defer other.Close()
	plain, secure := &session{conn: plainEnd}, &session{conn: &secureConn{}}
	for _, x := range []struct {
		p              Peer
		toPlain, toTLS string // empty: nowhere
	}{
		{Peer{Host: "a", Port: 1, TLSPort: 2}, "a:1", "a:2"},
		{Peer{Host: "a", Port: 1}, "a:1", ""},
		{Peer{Host: "::1", TLSPort: 2}, "", "::1:2"},
		{Peer{Port: 1, TLSPort: 2}, "", ""},
	} {
		for c, want := range map[*session]string{plain: x.toPlain, secure: x.toTLS} {
			if got, ok := x.p.addrFor(c); ok != (want != "") || ok && got != want {
				t.Errorf("%+v: got %q, %t; want %q", x.p, got, ok, want)
			}
		}
	}
}

// TestAnnounced has a node tell where clients are to go: where it listens, unless it is said otherwise.
func TestAnnounced(t *testing.T) {
	for settings, want := range map[string]string{
		"":                         "/6379/0",
		"port=0 tls-port=6380":     "/0/6380",
		"cluster-announce-port=7":  "/7/0",
		"cluster-announce-ip=db-1": "db-1/6379/0",
		"port=5 cluster-announce-ip=::1 cluster-announce-port=7 cluster-announce-tls-port=8": "::1/7/8",
	} {
		cfg := NewConfig()
		for _, f := range strings.Fields(settings) {
			name, value, _ := strings.Cut(f, "=")
			if err := cfg.Set(name, value); err != nil {
				t.Fatal(err)
			}
		}
		s := &Server{}
		s.cfg.Store(cfg)
		host, port, tlsPort := s.Announced()
		if got := fmt.Sprintf("%s/%d/%d", host, port, tlsPort); got != want {
			t.Errorf("%s: got %s, want %s", settings, got, want)
		}
	}
	for _, bad := range []string{"a b", "a,b", "a@b", "a\n", strings.Repeat("x", 256)} {
		if err := NewConfig().Set("cluster-announce-ip", bad); err == nil {
			t.Errorf("%q is announced", bad)
		}
	}
}
