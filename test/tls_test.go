package test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/elastickv/elastickv/internal/testkit"
)

// secured is the real process, which serves plain clients at Addr and others by TLS.
type secured struct {
	*testkit.Server
	tls            string // address
	ca             *testkit.Authority
	server, client *testkit.Issued
}

func startSecured(t *testing.T, extra ...string) *secured {
	t.Helper()
	ca := testkit.NewAuthority(t, "test authority")
	s := &secured{ca: ca, server: ca.Valid(t, "server"), client: ca.Valid(t, "client"), tls: testkit.FreeAddr(t)}
	s.Server = testkit.Elastickv(t, t.TempDir(), append([]string{"--tls-listen", s.tls, "--tls-cert-file", s.server.CertFile,
		"--tls-key-file", s.server.KeyFile, "--tls-ca-cert-file", ca.File}, extra...)...)
	return s
}

// TestTLSClients has programs that people use speak TLS with the real process: go-redis, with
// pipelines and pub/sub, and redis-cli.
func TestTLSClients(t *testing.T) {
	s := startSecured(t)
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprintf("go-redis %d", protocol), func(t *testing.T) {
			c := goRedis(t, &redis.Options{Addr: s.tls, Protocol: protocol, DB: protocol, ClientName: "suite", TLSConfig: s.ca.Trusting(s.client)})
			goRedisConnection(t, c)
			goRedisPipelines(t, c)
			goRedisWatch(t, c)
			goRedisMessages(t, c)
		})
	}
	t.Run("redis-cli", func(t *testing.T) {
		cli := testkit.Tool(t, "redis-cli")
		host, port, _ := net.SplitHostPort(s.tls)
		run := func(extra ...string) string {
			out, _ := exec.CommandContext(t.Context(), cli, append([]string{"-h", host, "-p", port, "--tls", "--cacert", s.ca.File}, extra...)...).CombinedOutput()
			return strings.TrimSpace(string(out))
		}
		withOwn := []string{"--cert", s.client.CertFile, "--key", s.client.KeyFile}
		if got := run(append(withOwn, "SET", "cli", "v")...); got != "OK" {
			t.Errorf("SET: %s", got)
		}
		if got := run(append(withOwn, "GET", "cli")...); got != "v" {
			t.Errorf("GET: %s", got)
		}
		if got := run("GET", "cli"); !strings.Contains(got, "rror") { // its words depend on who notices first
			t.Errorf("without a certificate: %s", got)
		}
	})
	t.Run("without TLS", func(t *testing.T) {
		c := redis.NewClient(&redis.Options{Addr: s.tls, MaxRetries: -1})
		defer c.Close()
		if err := c.Ping(t.Context()).Err(); err == nil {
			t.Error("was let in")
		}
	})
	if err := s.Stop(); err != nil {
		t.Errorf("the process ended with %v", err)
	}
}

// goRedisMessages sends messages to a subscriber, more than it takes at once.
func goRedisMessages(t *testing.T, c *redis.Client) {
	sub := c.Subscribe(t.Context(), "news")
	defer sub.Close()
	_, err := sub.Receive(t.Context())
	ok(t, err)
	const n = 500
	text := strings.Repeat("m", 10_000)
	go func() {
		for i := range n {
			c.Publish(context.Background(), "news", fmt.Sprint(i, " ", text))
		}
	}()
	for i := range n {
		m, err := sub.ReceiveMessage(t.Context())
		ok(t, err)
		if want := fmt.Sprint(i, " ", text); m.Payload != want {
			t.Fatalf("message %d is %.20q", i, m.Payload)
		}
	}
}

// TestTLSHangup has the real process take up files that were replaced, and refuse half of them.
func TestTLSHangup(t *testing.T) {
	metrics := testkit.FreeAddr(t)
	s := startSecured(t, "--tls-auth-clients", "optional", "--metrics-listen", metrics)
	shown := func() string {
		conn, err := tls.Dial("tcp", s.tls, s.ca.Trusting())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	c := testkit.Dial(t, s.Addr, 2)
	waitFor := func(what string, ok func() bool) {
		t.Helper()
		end, tick := time.After(time.Minute), time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for !ok() {
			select {
			case <-tick.C:
			case <-end:
				t.Fatalf("it never came about that %s; its log:\n%s", what, s.Log())
			}
		}
	}
	next := s.ca.Issue(t, "next", time.Now().Add(10*24*time.Hour))
	s.server.Replace(t, next)
	ok(t, s.Hangup())
	waitFor("clients see the next certificate", func() bool { return shown() == "next" })
	waitFor("its end is told", func() bool { return strings.Contains(s.Log(), "expires soon") })
	want := fmt.Sprintf("elastickv_tls_certificate_expiry_timestamp_seconds %g", float64(next.Pair.Leaf.NotAfter.Unix()))
	if text := fetch(t, metrics, "/metrics", 200); !strings.Contains(text, want) {
		t.Errorf("no %s in the metrics", want)
	}
	other := s.ca.Valid(t, "other")
	other.KeyFile = next.KeyFile
	s.server.Replace(t, other) // a certificate with another one's key
	ok(t, s.Hangup())
	waitFor("the fault is told", func() bool { return strings.Contains(s.Log(), "certificates were not reloaded, the old ones stay") })
	if got := shown(); got != "next" {
		t.Errorf("after a reload that failed clients see %s", got)
	}
	c.MustDo(t, "PING")
}

// TestTLSMigrate moves keys between servers that speak TLS with each other: to a real one, if it
// does, and to our own.
func TestTLSMigrate(t *testing.T) {
	s := startSecured(t)
	c := testkit.Dial(t, s.Addr, 2)
	host, port, _ := net.SplitHostPort(s.tls)
	migrate := func(key, port string) string {
		t.Helper()
		c.MustDo(t, "SET", key, "v")
		v, err := c.Do("MIGRATE", host, port, key, "5", "10000")
		ok(t, err)
		return v.String()
	}
	if got := migrate("k", port); !strings.HasPrefix(got, "(error) IOERR ") {
		t.Errorf("without TLS: %s", got)
	}
	c.MustDo(t, "CONFIG", "SET", "tls-cluster", "yes")
	if got := migrate("k", port); got != "OK" {
		t.Errorf("to our own: %s; its log:\n%s", got, s.Log())
	}
	c.MustDo(t, "SELECT", "5")
	if got := c.MustDo(t, "GET", "k").Str; got != "v" {
		t.Errorf("there is %q", got)
	}
	c.MustDo(t, "SELECT", "0")

	// One that shows a certificate of somebody else gets nothing.
	foreign := testkit.NewAuthority(t, "another authority")
	own := foreign.Valid(t, "foreign")
	c.MustDo(t, "CONFIG", "SET", "tls-cert-file", own.CertFile, "tls-key-file", own.KeyFile)
	if got := migrate("x", port); got != "(error) IOERR error or timeout connecting to the client" {
		t.Errorf("to a foreign one: %s", got)
	}
	if got := c.MustDo(t, "GET", "x").Str; got != "v" {
		t.Errorf("the key is gone: %q", got)
	}
	c.MustDo(t, "CONFIG", "SET", "tls-cert-file", s.server.CertFile, "tls-key-file", s.server.KeyFile)

	theirs := testkit.FreeAddr(t)
	_, port, _ = net.SplitHostPort(theirs)
	real := testkit.Redis(t, "--tls-port", port, "--tls-cert-file", s.server.CertFile, "--tls-key-file", s.server.KeyFile, "--tls-ca-cert-file", s.ca.File)
	if got := migrate("y", port); got != "OK" {
		t.Errorf("to a real one: %s; its log:\n%s", got, s.Log())
	}
	d := testkit.Dial(t, real.Addr, 2)
	d.MustDo(t, "SELECT", "5")
	if got := d.MustDo(t, "GET", "y").Str; got != "v" {
		t.Errorf("there is %q", got)
	}
}
