package server

import (
	"context"
	"time"
)

// How the end of a certificate is announced.
const (
	certificateWarn  = 30 * 24 * time.Hour // before it, once a day
	certificateEvery = time.Hour           // between two looks
	certificateAgain = 24 * time.Hour      // between two warnings
)

// useIdentity makes clients that connect from now on see id; nil: nobody speaks TLS.
func (s *Server) useIdentity(id *identity) {
	if s.identity.Swap(id) == id || id == nil {
		return
	}
	s.log.Info("certificate loaded", "subject", id.subject, "expires", id.ends.UTC().Format(time.RFC3339))
	s.warnCertificate(s.opts.Now())
}

// ReloadTLS reads the certificates, the keys and the authorities of TLS again, all or, if
// anything is wrong with them, none. Connections that there are go on as they are.
func (s *Server) ReloadTLS() error {
	s.configMu.Lock()
	defer s.configMu.Unlock()
	id, err := s.cfg.Load().identity()
	if err != nil {
		return err
	}
	if id == nil {
		return errTLSOff
	}
	s.useIdentity(id)
	return nil
}

// warnCertificate says so if the certificate expires soon, or has expired.
func (s *Server) warnCertificate(now time.Time) (warned bool) {
	id := s.identity.Load()
	if id == nil || id.ends.Sub(now) > certificateWarn {
		return false
	}
	attrs := []any{"subject", id.subject, "expires", id.ends.UTC().Format(time.RFC3339)}
	if id.ends.After(now) {
		s.log.Warn("the certificate of tls-cert-file expires soon", attrs...)
	} else {
		s.log.Error("the certificate of tls-cert-file has expired", attrs...)
	}
	return true
}

// certificateLoop warns of the end of the certificate, until ctx ends.
func (s *Server) certificateLoop(ctx context.Context) {
	tick := time.NewTicker(certificateEvery)
	defer tick.Stop()
	last := s.opts.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := s.opts.Now(); now.Sub(last) >= certificateAgain && s.warnCertificate(now) {
			last = now
		}
	}
}

// certificateEnds returns when the certificate expires that clients get to see; the zero Time if
// there is none.
func (s *Server) certificateEnds() time.Time {
	if id := s.identity.Load(); id != nil {
		return id.ends
	}
	return time.Time{}
}
