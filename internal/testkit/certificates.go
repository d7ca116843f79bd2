package testkit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates for a test.
type Authority struct {
	File string // its own certificate, in PEM

	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Issued is a certificate with its key, in files and in memory.
type Issued struct {
	CertFile, KeyFile string
	Pair              tls.Certificate
}

// NewAuthority makes an authority whose files go with t.
func NewAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	a := &Authority{dir: t.TempDir()}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotAfter: time.Now().Add(365 * 24 * time.Hour),
	}
	a.cert, a.key = template, newKey(t)
	a.cert = a.sign(t, template, a.key)
	a.File = filepath.Join(a.dir, "ca.pem")
	writePEM(t, a.File, "CERTIFICATE", a.cert.Raw)
	return a
}

// Issue makes a certificate for a server of this machine and for a client alike, valid until ends.
func (a *Authority) Issue(t testing.TB, name string, ends time.Time) *Issued {
	t.Helper()
	key := newKey(t)
	cert := a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotAfter: ends, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{"localhost", name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(a.dir, "")
	if err != nil {
		t.Fatal(err)
	}
	i := &Issued{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	writePEM(t, i.CertFile, "CERTIFICATE", cert.Raw)
	writePEM(t, i.KeyFile, "PRIVATE KEY", der)
	if i.Pair, err = tls.LoadX509KeyPair(i.CertFile, i.KeyFile); err != nil {
		t.Fatal(err)
	}
	return i
}

// Valid makes a certificate that is valid for as long as any test runs.
func (a *Authority) Valid(t testing.TB, name string) *Issued {
	return a.Issue(t, name, time.Now().Add(300*24*time.Hour))
}

// Trusting is the configuration of a client that trusts the authority and shows certificates, if
// any are given.
func (a *Authority) Trusting(shown ...*Issued) *tls.Config {
	cfg := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
	cfg.RootCAs.AddCert(a.cert)
	for _, i := range shown {
		cfg.Certificates = append(cfg.Certificates, i.Pair)
	}
	return cfg
}

// Replace puts the files of other in the place of i's, as a renewal does.
func (i *Issued) Replace(t testing.TB, other *Issued) {
	t.Helper()
	for from, to := range map[string]string{other.CertFile: i.CertFile, other.KeyFile: i.KeyFile} {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (a *Authority) sign(t testing.TB, template *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	var err error
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		t.Fatal(err)
	}
	template.NotBefore = time.Now().Add(-48 * time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
