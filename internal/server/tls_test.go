package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/internal/testkit"
)

// secured is a server that speaks TLS alone.
type secured struct {
	*running
	ca     *testkit.Authority
	server *testkit.Issued
	client *testkit.Issued
}

func startTLS(t *testing.T, settings ...string) *secured {
	t.Helper()
	s := &secured{ca: testkit.NewAuthority(t, "test authority")}
	s.server, s.client = s.ca.Valid(t, "server"), s.ca.Valid(t, "client")
	s.running = listen(t, append([]string{"port", "0", "tls-port", "any", "tls-cert-file", s.server.CertFile,
		"tls-key-file", s.server.KeyFile, "tls-ca-cert-file", s.ca.File}, settings...)...)
	return s
}

// dial connects as a client that is who it should be.
func (s *secured) dial(t *testing.T) *wire {
	t.Helper()
	return dialTLS(t, s.addr, s.ca.Trusting(s.client))
}

func dialTLS(t *testing.T, addr string, cfg *tls.Config) *wire {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return wireOn(t, conn)
}

// agree connects and asks something, so that in version 1.3, too, the server's word on the client's
// certificate is heard.
func agree(addr string, cfg *tls.Config) error {
	conn, err := tls.Dial("tcp", addr, cfg)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(replyWait))
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && line != "+PONG\r\n" {
		err = fmt.Errorf("got %q", line)
	}
	return err
}

// shownTo returns the name in the certificate that a new client gets to see.
func (s *secured) shownTo(t *testing.T) string {
	t.Helper()
	w := s.dial(t)
	return w.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestTLS(t *testing.T) {
	s := startTLS(t)
	w := s.dial(t)
	w.ask("SET k v", "+OK\r\n")
	w.send(strings.Repeat("GET k\r\n", 1000))
	w.expect(strings.Repeat("$1\r\nv\r\n", 1000))
	big := strings.Repeat("v", 10<<20)
	w.send(fmt.Sprintf("*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$%d\r\n%s\r\n", len(big), big))
	w.expect("+OK\r\n")
	w.send("GET b\r\n")
	if got := w.bulk(); got != big {
		t.Errorf("got %d bytes, want %d", len(got), len(big))
	}
	w.send("INFO server\r\n")
	if info := w.bulk(); !strings.Contains(info, "\r\ntcp_port:"+portOf(t, s.addr)+"\r\n") ||
		!strings.Contains(info, "\r\nlistener2:name=tls,bind=127.0.0.1,port="+portOf(t, s.addr)+"\r\n") || strings.Contains(info, "listener0") {
		t.Errorf("where it listens is told otherwise:\n%s", info)
	}
	w.send("CLIENT INFO\r\n")
	if info := w.bulk(); !strings.Contains(info, "addr="+w.LocalAddr().String()+" laddr="+s.addr+" fd=") || strings.Contains(info, "fd=-1") {
		t.Errorf("got %s", info)
	}
	w.ask("QUIT", "+OK\r\n")
	if _, err := w.r.ReadByte(); err != io.EOF { // what TLS makes of an end that was announced
		t.Errorf("the end: %v", err)
	}
}

// Who is let in, by the certificate that it shows.
func TestTLSClientCertificates(t *testing.T) {
	ca, other := testkit.NewAuthority(t, "test authority"), testkit.NewAuthority(t, "another authority")
	good, expired, foreign := ca.Valid(t, "client"), ca.Issue(t, "client", time.Now().Add(-time.Hour)), other.Valid(t, "client")
	for _, tc := range []struct {
		setting, client string
		shown           []*testkit.Issued
		want            string // of the error; empty: it is let in
	}{
		{"yes", "good", []*testkit.Issued{good}, ""},
		{"yes", "none", nil, "certificate required"},
		{"yes", "expired", []*testkit.Issued{expired}, "expired certificate"},
		{"yes", "foreign", []*testkit.Issued{foreign}, "unknown certificate authority"},
		{"optional", "good", []*testkit.Issued{good}, ""},
		{"optional", "none", nil, ""},
		{"optional", "expired", []*testkit.Issued{expired}, "expired certificate"},
		{"optional", "foreign", []*testkit.Issued{foreign}, "unknown certificate authority"},
		{"no", "none", nil, ""},
		{"no", "foreign", []*testkit.Issued{foreign}, ""},
	} {
		t.Run(tc.setting+" "+tc.client, func(t *testing.T) {
			own := ca.Valid(t, "server")
			r := listen(t, "port", "0", "tls-port", "any", "tls-cert-file", own.CertFile, "tls-key-file", own.KeyFile,
				"tls-ca-cert-file", ca.File, "tls-auth-clients", tc.setting)
			cfg := ca.Trusting()
			cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if len(tc.shown) == 0 {
					return &tls.Certificate{}, nil
				}
				return &tc.shown[0].Pair, nil // even if the server will not have it
			}
			err := agree(r.addr, cfg)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// A client refuses a server whose certificate has expired, and the server's log has said so before.
func TestTLSExpiredServer(t *testing.T) {
	ca := testkit.NewAuthority(t, "test authority")
	own := ca.Issue(t, "server", time.Now().Add(-time.Hour))
	r := listen(t, "port", "0", "tls-port", "any", "tls-cert-file", own.CertFile, "tls-key-file", own.KeyFile, "tls-auth-clients", "no")
	if invalid := (x509.CertificateInvalidError{}); !errors.As(agree(r.addr, ca.Trusting()), &invalid) || invalid.Reason != x509.Expired {
		t.Errorf("got %v", invalid)
	}
	if log := r.log.String(); !strings.Contains(log, "the certificate of tls-cert-file has expired") {
		t.Errorf("the log does not tell:\n%s", log)
	}
	if got := r.srv.Activity().CertificateEnds; !got.Equal(own.Pair.Leaf.NotAfter) {
		t.Errorf("its end is told as %v, want %v", got, own.Pair.Leaf.NotAfter)
	}
}

func TestTLSVersionsAndCiphers(t *testing.T) {
	s := startTLS(t, "tls-protocols", "TLSv1.2", "tls-ciphers", "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384", "tls-session-caching", "no")
	state := s.dial(t).Conn.(*tls.Conn).ConnectionState()
	if state.Version != tls.VersionTLS12 || state.CipherSuite != tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 && state.CipherSuite != tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 {
		t.Errorf("got %s with %s", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite))
	}
	for _, change := range []func(*tls.Config){
		func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 },
		func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11; c.MinVersion = tls.VersionTLS10 },
		func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
		},
	} {
		cfg := s.ca.Trusting(s.client)
		change(cfg)
		if err := agree(s.addr, cfg); err == nil {
			t.Error("was agreed on")
		}
	}
	w := s.dial(t)
	w.ask(`CONFIG SET tls-protocols TLSv1.3 tls-ciphers "" tls-session-caching yes`, "+OK\r\n")
	resume := s.ca.Trusting(s.client)
	resume.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for _, resumed := range []bool{false, true} {
		w := dialTLS(t, s.addr, resume)
		w.ask("PING", "+PONG\r\n") // the ticket comes behind the handshake
		if state := w.Conn.(*tls.Conn).ConnectionState(); state.Version != tls.VersionTLS13 || state.DidResume != resumed {
			t.Errorf("got %s, resumed %v, want %v", tls.VersionName(state.Version), state.DidResume, resumed)
		}
	}
	w.ask("CONFIG SET tls-session-caching no", "+OK\r\n")
	again := dialTLS(t, s.addr, resume)
	again.ask("PING", "+PONG\r\n")
	if again.Conn.(*tls.Conn).ConnectionState().DidResume {
		t.Error("a session was resumed although that is switched off")
	}
}

// What is wrong with the files is said, and what there was stays.
func TestTLSRefusesBadFiles(t *testing.T) {
	s := startTLS(t)
	w := s.dial(t)
	dir, other := t.TempDir(), s.ca.Valid(t, "other")
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	locked := file("locked", string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})))
	older := file("older", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY",
		Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}, Bytes: []byte("x")})))
	empty := file("empty", "nothing")
	half := file("half", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})))
	for _, tc := range []struct{ set, name, want string }{
		{"tls-cert-file " + other.CertFile, "tls-cert-file", "private key does not match public key"},
		{"tls-key-file " + other.KeyFile, "tls-key-file", "private key does not match public key"},
		{"tls-cert-file " + dir + "/nosuch", "tls-cert-file", "no such file or directory"},
		{"tls-key-file " + dir + "/nosuch", "tls-key-file", "no such file or directory"},
		{"tls-key-file " + locked, "tls-key-file", "the key is encrypted, which is not supported"},
		{"tls-key-file " + older, "tls-key-file", "the key is encrypted, which is not supported"},
		{"tls-cert-file " + empty, "tls-cert-file", "failed to find any PEM data in certificate input"},
		{`tls-cert-file ""`, "tls-cert-file", "have to name a certificate and its key"},
		{"tls-ca-cert-file " + empty, "tls-ca-cert-file", "no certificate in PEM is there"},
		{"tls-ca-cert-file " + half, "tls-ca-cert-file", "x509: malformed certificate"},
		{"tls-ca-cert-dir " + dir, "tls-ca-cert-dir", "x509: malformed certificate"},
		{"tls-ca-cert-dir " + t.TempDir(), "tls-ca-cert-dir", "no certificate in PEM is there"},
		{`tls-ca-cert-file ""`, "tls-ca-cert-file", "has to name who signs the certificates of clients"},
		{"timeout 7 tls-cert-file " + other.CertFile, "tls-cert-file", "private key does not match public key"},
	} {
		w.send("CONFIG SET " + tc.set + "\r\n")
		line, err := w.r.ReadString('\n')
		start := "-ERR CONFIG SET failed (possibly related to argument '" + tc.name + "') - Unable to update TLS configuration: "
		if err != nil || !strings.HasPrefix(line, start) || !strings.Contains(line, tc.want) {
			t.Errorf("%s: got %q, %v; want %s", tc.set, line, err, tc.want)
		}
		if got := s.shownTo(t); got != "server" || w.setting("tls-cert-file") != s.server.CertFile || w.setting("timeout") != "0" {
			t.Errorf("%s: has changed something; clients see %s", tc.set, got)
		}
	}
	w.ask("CONFIG SET tls-key-file-pass secret", "-ERR CONFIG SET failed (possibly related to argument 'tls-key-file-pass') - keys under a password are not supported; store the key in clear, readable only for the user of the server\r\n")

	// The same faults keep a server from starting.
	_, err := server.Listen(context.Background(), configOf(t, "port", "0", "tls-port", "any", "tls-cert-file", s.server.CertFile,
		"tls-key-file", other.KeyFile, "tls-auth-clients", "no"))
	if err == nil || !strings.Contains(err.Error(), "private key does not match public key") {
		t.Errorf("start: got %v", err)
	}
	// A folder of authorities, with files that have nothing to do with them.
	authorities := t.TempDir()
	for name, from := range map[string]string{"a.pem": s.ca.File, "README": empty} {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(authorities, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	w.ask(`CONFIG SET tls-ca-cert-file "" tls-ca-cert-dir `+authorities, "+OK\r\n")
	s.shownTo(t)
}

// New files are taken up by CONFIG SET, to the same names, too, and by ReloadTLS; connections go on.
func TestTLSReload(t *testing.T) {
	s := startTLS(t)
	w := s.dial(t)
	w.ask("SET k v", "+OK\r\n")
	second := s.ca.Valid(t, "second")
	w.ask("CONFIG SET tls-cert-file "+second.CertFile+" tls-key-file "+second.KeyFile, "+OK\r\n")
	if got := s.shownTo(t); got != "second" {
		t.Errorf("after CONFIG SET clients see %s", got)
	}
	second.Replace(t, s.ca.Valid(t, "third"))
	if got := s.shownTo(t); got != "second" {
		t.Errorf("files that nobody has asked to read were taken up: clients see %s", got)
	}
	w.ask("CONFIG SET tls-cert-file "+second.CertFile, "+OK\r\n")
	if got := s.shownTo(t); got != "third" {
		t.Errorf("after CONFIG SET to the same name clients see %s", got)
	}
	second.Replace(t, s.ca.Valid(t, "fourth"))
	if err := s.srv.ReloadTLS(); err != nil {
		t.Error(err)
	}
	if got := s.shownTo(t); got != "fourth" {
		t.Errorf("after ReloadTLS clients see %s", got)
	}
	if err := os.WriteFile(second.CertFile, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.srv.ReloadTLS(); err == nil {
		t.Error("half a file was taken up")
	}
	if got := s.shownTo(t); got != "fourth" {
		t.Errorf("after a reload that failed clients see %s", got)
	}
	w.ask("GET k", "$1\r\nv\r\n")
}

// Certificates are replaced while clients come and go, and none is turned away.
func TestTLSReloadUnderLoad(t *testing.T) {
	s := startTLS(t)
	pairs := []*testkit.Issued{s.server, s.ca.Valid(t, "second")}
	var clients sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		clients.Go(func() {
			long := s.dial(t)
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := agree(s.addr, s.ca.Trusting(s.client)); err != nil {
					t.Error(err)
					return
				}
				long.ask("PING", "+PONG\r\n")
			}
		})
	}
	control := s.dial(t)
	for n := range 60 {
		p := pairs[n%2]
		control.ask("CONFIG SET tls-cert-file "+p.CertFile+" tls-key-file "+p.KeyFile, "+OK\r\n")
		if n%3 == 0 {
			if err := s.srv.ReloadTLS(); err != nil {
				t.Error(err)
			}
		}
	}
	close(stop)
	clients.Wait()
}

// TLS is switched on and off while plain clients are served.
func TestTLSSwitchedOnLater(t *testing.T) {
	ca := testkit.NewAuthority(t, "test authority")
	own := ca.Valid(t, "server")
	r := listen(t, "port", "any")
	w := dial(t, r.addr)
	addr := testkit.FreeAddr(t)
	w.send("CONFIG SET tls-port " + portOf(t, addr) + "\r\n")
	if line, err := w.r.ReadString('\n'); err != nil || !strings.Contains(line, "argument 'tls-port') - Unable to update TLS configuration: tls-cert-file and") {
		t.Errorf("got %q, %v", line, err)
	}
	refused(t, addr)
	if err := r.srv.ReloadTLS(); err == nil || err.Error() != "TLS is off" {
		t.Errorf("reload: %v", err)
	}
	w.ask("CONFIG SET tls-auth-clients no tls-cert-file "+own.CertFile+" tls-key-file "+own.KeyFile, "+OK\r\n")
	w.ask("CONFIG SET tls-port "+portOf(t, addr), "+OK\r\n")
	v := dialTLS(t, addr, ca.Trusting())
	v.ask("PING", "+PONG\r\n")
	w.ask("CONFIG SET tls-port "+portOf(t, r.addr), "-ERR CONFIG SET failed (possibly related to argument 'tls-port') - Unable to listen on this port. Check server logs.\r\n")
	// The two change places.
	w.ask("CONFIG SET tls-port "+portOf(t, r.addr)+" port "+portOf(t, addr), "+OK\r\n")
	dial(t, addr).ask("PING", "+PONG\r\n")
	if err := agree(r.addr, ca.Trusting()); err != nil {
		t.Error(err)
	}
	w.ask("CONFIG SET tls-port 0", "+OK\r\n")
	refused(t, r.addr)
	v.ask("PING", "+PONG\r\n")
	w.ask("PING", "+PONG\r\n")
}
