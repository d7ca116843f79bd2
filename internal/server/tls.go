package server

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// tlsSettings are what the settings of TLS say. Files are read when TLS is switched on, when
// one of these settings is set, and by ReloadTLS.
type tlsSettings struct {
	port        int64 // 0: nobody is served by TLS
	anyPort     bool  // any free one, until Listen has found it
	certFile    string
	keyFile     string
	caFile      string
	caDir       string
	clientCert  string // to show to other servers; empty: certFile
	clientKey   string
	authClients string // yes, no or optional
	protocols   string
	ciphers     string
	sessions    bool // may be resumed
	cluster     bool // MIGRATE speaks TLS
}

// on reports whether TLS is used at all.
func (t *tlsSettings) on() bool { return t.port != 0 || t.anyPort || t.cluster }

// identity is what a server needs to speak TLS. It never changes; another one takes its place.
type identity struct {
	server  *tls.Config
	client  *tls.Config // for MIGRATE; nil unless tls-cluster is on
	subject string      // of the certificate
	ends    time.Time   // when the first certificate of the chain expires
}

// What can be wrong with the settings of TLS taken together.
var (
	errNoCertificate = errors.New("tls-cert-file and tls-key-file have to name a certificate and its key")
	errNoAuthorities = errors.New("tls-ca-cert-file or tls-ca-cert-dir has to name who signs the certificates of clients, unless tls-auth-clients is no (and tls-cluster, too)")
	errTLSOff        = errors.New("TLS is off")
)

// identity reads the files that the settings name. It is nil if TLS is off.
func (c *Config) identity() (*identity, error) {
	t := &c.tls
	if !t.on() {
		return nil, nil
	}
	if t.certFile == "" || t.keyFile == "" {
		return nil, errNoCertificate
	}
	if t.caFile == "" && t.caDir == "" && (t.authClients != "no" || t.cluster) {
		return nil, errNoAuthorities
	}
	cert, err := loadPair("tls-cert-file", t.certFile, "tls-key-file", t.keyFile)
	if err != nil {
		return nil, err
	}
	var authorities *x509.CertPool
	if t.caFile != "" || t.caDir != "" {
		if authorities, err = loadAuthorities(t.caFile, t.caDir); err != nil {
			return nil, err
		}
	}
	id := &identity{server: t.base(cert), subject: cert.Leaf.Subject.String()}
	if id.ends, err = chainEnds(cert); err != nil {
		return nil, fmt.Errorf("tls-cert-file %s: %w", t.certFile, err)
	}
	id.server.ClientCAs = authorities
	id.server.ClientAuth = map[string]tls.ClientAuthType{
		"yes": tls.RequireAndVerifyClientCert, "optional": tls.VerifyClientCertIfGiven, "no": tls.NoClientCert,
	}[t.authClients]
	id.server.SessionTicketsDisabled = !t.sessions
	if t.cluster {
		id.client, err = t.clientConfig(cert, authorities)
	}
	return id, err
}

// base is what both sides of a connection have in common.
func (t *tlsSettings) base(cert tls.Certificate) *tls.Config {
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}}
	cfg.MinVersion, cfg.MaxVersion, _ = parseProtocols(t.protocols) // which was looked at when it was set
	cfg.CipherSuites, _ = parseCiphers(t.ciphers)
	return cfg
}

// clientConfig is for connections to other servers. As in Redis, any server will do whose
// certificate the authorities have signed, whatever its name.
func (t *tlsSettings) clientConfig(cert tls.Certificate, authorities *x509.CertPool) (*tls.Config, error) {
	if t.clientCert != "" && t.clientKey != "" {
		var err error
		if cert, err = loadPair("tls-client-cert-file", t.clientCert, "tls-client-key-file", t.clientKey); err != nil {
			return nil, err
		}
	}
	cfg := t.base(cert)
	cfg.InsecureSkipVerify = true // of the name; VerifyConnection does the rest
	cfg.VerifyConnection = func(s tls.ConnectionState) error {
		opts := x509.VerifyOptions{Roots: authorities, Intermediates: x509.NewCertPool()}
		for _, c := range s.PeerCertificates[1:] {
			opts.Intermediates.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(opts)
		return err
	}
	return cfg, nil
}

// loadPair reads a certificate, with those that lead to its authority behind it, and its key.
func loadPair(certName, certFile, keyName, keyFile string) (cert tls.Certificate, err error) {
	certPEM, err := os.ReadFile(certFile)
	if err != nil {
		return cert, fmt.Errorf("%s: %w", certName, err)
	}
	keyPEM, err := os.ReadFile(keyFile)
	if err != nil {
		return cert, fmt.Errorf("%s: %w", keyName, err)
	}
	if encrypted(keyPEM) {
		return cert, fmt.Errorf("%s %s: the key is encrypted, which is not supported; store it in clear, readable only for the user of the server", keyName, keyFile)
	}
	if cert, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		return cert, fmt.Errorf("%s %s, %s %s: %w", certName, certFile, keyName, keyFile, err)
	}
	return cert, nil
}

// encrypted reports whether a file in PEM holds a key under a password, of either kind.
func encrypted(text []byte) bool {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return true
		}
	}
	return false
}

// chainEnds returns when the first certificate of a chain expires.
func chainEnds(cert tls.Certificate) (ends time.Time, err error) {
	for _, der := range cert.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return ends, err
		}
		if ends.IsZero() || c.NotAfter.Before(ends) {
			ends = c.NotAfter
		}
	}
	return ends, nil
}

// loadAuthorities reads certificates of authorities from a file, and from the files of a folder
// that have any.
func loadAuthorities(file, dir string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if file != "" {
		if n, err := addAuthorities(pool, file); err != nil || n == 0 {
			return nil, authorityFault("tls-ca-cert-file", file, err)
		}
	}
	if dir == "" {
		return pool, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("tls-ca-cert-dir: %w", err)
	}
	found := 0
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
			continue
		}
		n, err := addAuthorities(pool, path)
		if err != nil {
			return nil, authorityFault("tls-ca-cert-dir", path, err)
		}
		found += n
	}
	if found == 0 {
		return nil, authorityFault("tls-ca-cert-dir", dir, nil)
	}
	return pool, nil
}

var errNoPEM = errors.New("no certificate in PEM is there")

func authorityFault(name, path string, err error) error {
	if err == nil {
		err = errNoPEM
	}
	return fmt.Errorf("%s %s: %w", name, path, err)
}

// addAuthorities adds the certificates of a file, and returns their number.
func addAuthorities(pool *x509.CertPool, path string) (n int, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return n, err
		}
		pool.AddCert(c)
		n++
	}
	return n, nil
}

// protocols are the versions of TLS that there are, oldest first.
var protocols = []struct {
	name    string
	version uint16
}{
	{"TLSv1.2", tls.VersionTLS12},
	{"TLSv1.3", tls.VersionTLS13},
}

// parseProtocols reads names of versions, separated by spaces; none are all.
func parseProtocols(v string) (oldest, newest uint16, err error) {
	words := strings.Fields(v)
	if len(words) == 0 {
		return protocols[0].version, protocols[len(protocols)-1].version, nil
	}
	for _, w := range words {
		at := -1
		for i := range protocols {
			if strings.EqualFold(w, protocols[i].name) {
				at = i
			}
		}
		if at < 0 {
			return 0, 0, errSettingProtocol
		}
		version := protocols[at].version
		if oldest == 0 || version < oldest {
			oldest = version
		}
		newest = max(newest, version)
	}
	return oldest, newest, nil
}

func checkProtocols(v string) error {
	_, _, err := parseProtocols(v)
	return err
}

// parseCiphers reads names of cipher suites of TLS 1.2, in the words of the standard or of OpenSSL,
// separated by colons; none are those that Go takes by itself.
func parseCiphers(v string) (suites []uint16, err error) {
	if v == "" {
		return nil, nil
	}
	for _, w := range strings.Split(v, ":") {
		id := cipherNamed(w)
		if id == 0 {
			return nil, errSettingCiphers
		}
		suites = append(suites, id)
	}
	return suites, nil
}

func checkCiphers(v string) error {
	_, err := parseCiphers(v)
	return err
}

// cipherNamed returns a suite of TLS 1.2 that Go takes for secure, 0 if it knows none of that name.
func cipherNamed(name string) uint16 {
	for _, s := range tls.CipherSuites() {
		if s.SupportedVersions[0] == tls.VersionTLS12 && (name == s.Name || name == openSSLName(s.Name)) {
			return s.ID
		}
	}
	return 0
}

// openSSLName is what OpenSSL calls TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, and its kin:
// ECDHE-RSA-AES128-GCM-SHA256.
func openSSLName(name string) string {
	name = strings.TrimPrefix(name, "TLS_")
	name = strings.Replace(name, "_WITH_", "_", 1)
	name = strings.Replace(name, "AES_", "AES", 1)
	if strings.HasSuffix(name, "CHACHA20_POLY1305_SHA256") {
		name = strings.TrimSuffix(name, "_SHA256")
	}
	if strings.HasSuffix(name, "_CBC_SHA") {
		name = strings.Replace(name, "_CBC_SHA", "_SHA", 1)
	}
	return strings.ReplaceAll(name, "_", "-")
}
