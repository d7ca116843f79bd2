package transport

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Identity is what a node shows to others, and whom it believes. It never changes; another one takes
// its place.
type Identity struct {
	certificate tls.Certificate
	authorities *x509.CertPool
}

// Files name what an identity is made of, in PEM.
type Files struct {
	Cert string // the certificate, and those that lead to its authority behind it
	Key  string
	CA   string // the authorities of the cluster, and of nothing else: whom they have signed belongs to it
}

// NameOf is the DNS name that the certificate of a node has among its alternative names.
func NameOf(node NodeID) string { return fmt.Sprintf("node-%d.elastickv", node) }

// LoadIdentity reads the identity of a node, and refuses one that no other node would believe.
func LoadIdentity(node NodeID, f Files) (*Identity, error) {
	cert, err := loadPair(f.Cert, f.Key)
	if err != nil {
		return nil, err
	}
	authorities, err := loadAuthorities(f.CA)
	if err != nil {
		return nil, err
	}
	id := &Identity{cert, authorities}
	if err := id.verify(node); err != nil {
		return nil, fmt.Errorf("certificate %s: %w", f.Cert, err)
	}
	return id, nil
}

// verify looks at the own certificate as other nodes will.
func (id *Identity) verify(node NodeID) error {
	if err := checkName(id.certificate.Leaf, node); err != nil {
		return err
	}
	between := x509.NewCertPool()
	for _, der := range id.certificate.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		between.AddCert(c)
	}
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := id.certificate.Leaf.Verify(x509.VerifyOptions{
			Roots: id.authorities, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{use},
		})
		if err != nil {
			return fmt.Errorf("it has to be valid for a server and for a client: %w", err)
		}
	}
	return nil
}

// checkName holds a certificate to a node. A wildcard is no node.
func checkName(c *x509.Certificate, node NodeID) error {
	if !slices.ContainsFunc(c.DNSNames, func(name string) bool { return strings.EqualFold(name, NameOf(node)) }) {
		return fmt.Errorf("the certificate is not that of node %d: it has no name %s, but %q", node, NameOf(node), c.DNSNames)
	}
	return nil
}

func loadPair(certFile, keyFile string) (cert tls.Certificate, err error) {
	certPEM, err := os.ReadFile(certFile)
	if err != nil {
		return cert, fmt.Errorf("certificate: %w", err)
	}
	keyPEM, err := os.ReadFile(keyFile)
	if err != nil {
		return cert, fmt.Errorf("key: %w", err)
	}
	for block, rest := pem.Decode(keyPEM); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return cert, fmt.Errorf("key %s: the key is encrypted, which is not supported; store it in clear, readable only for the user of the server", keyFile)
		}
	}
	if cert, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		return cert, fmt.Errorf("certificate %s, key %s: %w", certFile, keyFile, err)
	}
	return cert, nil
}

var errNoPEM = errors.New("no certificate in PEM is there")

func loadAuthorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("authorities %s: %w", file, errNoPEM)
	}
	return pool, nil
}

// server is for who was dialled. Whose certificate it is, is compared with the hello later.
func (id *Identity) server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{id.certificate},
		ClientCAs: id.authorities, ClientAuth: tls.RequireAndVerifyClientCert,
		SessionTicketsDisabled: true, // every connection shows its certificate
	}
}

// client is for who dials a node.
func (id *Identity) client(node NodeID) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{id.certificate},
		RootCAs: id.authorities, ServerName: NameOf(node), SessionTicketsDisabled: true,
		VerifyConnection: func(s tls.ConnectionState) error { return checkName(s.PeerCertificates[0], node) },
	}
}
