package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// authority signs certificates.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.sign(t, "ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// sign writes NAME.crt and NAME.key.
func (a *authority) sign(t *testing.T, name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	c.NotBefore = time.Now().Add(-time.Hour)
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(time.Hour)
	}
	signer, by := key, c
	if a.cert != nil {
		signer, by = a.key, a.cert
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	a.write(t, name+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	a.write(t, name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return signed, key
}

func (a *authority) write(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// files makes a certificate with these names.
func (a *authority) files(t *testing.T, names ...string) Files {
	t.Helper()
	a.sign(t, "node", &x509.Certificate{DNSNames: names, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}})
	return a.named("node")
}

func (a *authority) named(name string) Files {
	return Files{Cert: filepath.Join(a.dir, name+".crt"), Key: filepath.Join(a.dir, name+".key"), CA: filepath.Join(a.dir, "ca.crt")}
}

func (a *authority) identity(t *testing.T, id NodeID) *Identity {
	t.Helper()
	i, err := LoadIdentity(id, a.files(t, "other.name", NameOf(id)))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// identify is the option of a node that has a certificate.
func (a *authority) identify(t *testing.T, id NodeID) func(*Options) {
	i := a.identity(t, id)
	return func(o *Options) { o.Identity, o.Cleartext = i, false }
}

func TestLoadIdentity(t *testing.T) {
	a := newAuthority(t)
	good := a.files(t, NameOf(1))
	if _, err := LoadIdentity(1, good); err != nil {
		t.Fatal(err)
	}
	a.write(t, "encrypted.key", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}}))
	a.write(t, "empty", nil)
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	a.sign(t, "expired", &x509.Certificate{DNSNames: []string{NameOf(1)}, NotAfter: time.Now().Add(-time.Minute), ExtKeyUsage: both})
	a.sign(t, "server", &x509.Certificate{DNSNames: []string{NameOf(1)}, ExtKeyUsage: both[:1]})
	a.sign(t, "wildcard", &x509.Certificate{DNSNames: []string{"*.elastickv"}, ExtKeyUsage: both})
	with := func(change func(*Files)) Files {
		f := good
		change(&f)
		return f
	}
	for _, c := range []struct {
		name  string
		node  NodeID
		files Files
		want  string
	}{
		{"no certificate", 1, with(func(f *Files) { f.Cert += "x" }), "certificate: open"},
		{"no key", 1, with(func(f *Files) { f.Key += "x" }), "key: open"},
		{"no authorities", 1, with(func(f *Files) { f.CA += "x" }), "authorities: open"},
		{"empty authorities", 1, with(func(f *Files) { f.CA = filepath.Join(a.dir, "empty") }), "no certificate in PEM is there"},
		{"encrypted", 1, with(func(f *Files) { f.Key = filepath.Join(a.dir, "encrypted.key") }), "the key is encrypted, which is not supported"},
		{"other key", 1, with(func(f *Files) { f.Key = a.named("ca").Key }), "does not match"},
		{"other node", 2, good, "the certificate is not that of node 2"},
		{"wildcard", 1, a.named("wildcard"), "the certificate is not that of node 1"},
		{"expired", 1, a.named("expired"), "expired"},
		{"for servers only", 1, a.named("server"), "it has to be valid for a server and for a client"},
		{"other authority", 1, with(func(f *Files) { f.CA = newAuthority(t).named("ca").CA }), "unknown authority"},
	} {
		if _, err := LoadIdentity(c.node, c.files); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := New(Options{Node: 2, Identity: a.identity(t, 1), Cleartext: true}); err == nil || !strings.Contains(err.Error(), "cleartext is asked for") {
		t.Errorf("both: %v", err)
	}
}

// forged is the identity of a node with a certificate that names others.
func (a *authority) forged(t *testing.T, names ...string) *Identity {
	t.Helper()
	f := a.files(t, names...)
	cert, err := loadPair(f.Cert, f.Key)
	if err != nil {
		t.Fatal(err)
	}
	authorities, err := loadAuthorities(f.CA)
	if err != nil {
		t.Fatal(err)
	}
	return &Identity{cert, authorities}
}

// TestWhoIsBelieved has nodes of which one is not whom it says, in both directions.
func TestWhoIsBelieved(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	for _, c := range []struct {
		name     string
		impostor *Identity // of node 2
		dialled  string    // said by node 1, which dials it
		dials    string    // said by node 1, which it dials
	}{
		{"another node's", ca.forged(t, NameOf(3)), "node-2.elastickv", "the certificate is not that of node 2"},
		{"wildcard", ca.forged(t, "*.elastickv"), "the certificate is not that of node 2", "the certificate is not that of node 2"},
		{"another authority's", other.forged(t, NameOf(2)), "unknown authority", "TLS: "},
		{"none", nil, "TLS: ", "TLS: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Cleanup(func() { noGoroutines(t) })
			a := start(t, 1, ca.identify(t, 1))
			b := start(t, 2, func(o *Options) {
				if c.impostor != nil {
					o.Identity, o.Cleartext = ca.identity(t, 2), false
				}
			})
			b.identity.Store(c.impostor)
			if err := a.SetPeer(2, b.addr); err != nil {
				t.Fatal(err)
			}
			a.awaitLog(t, c.dialled)
			if err := b.SetPeer(1, a.addr); err != nil {
				t.Fatal(err)
			}
			if err := b.Send(1, 7, beat(2, 1, 3)); err != nil {
				t.Fatal(err)
			}
			b.await(t, "that nothing can be sent", func() bool { return b.missed[Address{7, 1}] > 0 })
			a.awaitLog(t, c.dials)
			_, _ = a.Close(), b.Close()
			if len(a.got)+len(b.got) > 0 {
				t.Errorf("messages came through: %v, %v", a.got, b.got)
			}
		})
	}
}

// TestOldTLS has somebody dial with a good certificate and TLS 1.2.
func TestOldTLS(t *testing.T) {
	ca := newAuthority(t)
	a := start(t, 1, ca.identify(t, 1))
	cfg := ca.identity(t, 2).client(1)
	cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if c, err := tls.Dial("tcp", a.addr, cfg); err == nil {
		_ = c.Close()
		t.Error("TLS 1.2 will do")
	}
}

// TestReload changes the authority of a cluster that runs.
func TestReload(t *testing.T) {
	old, next := newAuthority(t), newAuthority(t)
	a, b := start(t, 1, old.identify(t, 1)), start(t, 2, old.identify(t, 2))
	if err := b.SetIdentity(next.identity(t, 1)); err == nil {
		t.Error("node 2 has become node 1")
	}
	if err := b.SetIdentity(next.identity(t, 2)); err != nil {
		t.Fatal(err)
	}
	if err := a.SetPeer(2, b.addr); err != nil {
		t.Fatal(err)
	}
	a.awaitLog(t, "unknown authority")
	if err := a.SetIdentity(next.identity(t, 1)); err != nil {
		t.Fatal(err)
	}
	a.await(t, "a connection under the new authority", func() bool { return strings.Count(a.log.String(), "connected to a node") == 2 })
	if err := a.Send(2, 7, beat(1, 2, 3)); err != nil {
		t.Fatal(err)
	}
	b.await(t, "a message", func() bool { return len(b.numbers(1, pb.MsgHeartbeat)) == 1 })
	if err := start(t, 3).SetIdentity(next.identity(t, 3)); err == nil {
		t.Error("cleartext has become TLS")
	}
}
