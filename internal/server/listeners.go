package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Bounds of opening listeners.
const (
	bindMost     = 16              // addresses, as in Redis
	anyPortTries = 10              // ports tried until all addresses have the same one
	openWait     = 5 * time.Second // that names of hosts may take to be looked up while the server runs
)

// endpoint is one place to listen on: an address with a port, or the path of a socket.
type endpoint struct {
	host     string // of the words of bind, without their sign; empty: a socket
	port     int    // 0: any free one
	secure   bool   // clients speak TLS
	optional bool   // it is no fault if this machine has no such address
	path     string // of a socket
}

// kind is the setting that an endpoint's port comes from, or unixsocket.
func (e endpoint) kind() string {
	switch {
	case e.path != "":
		return "unixsocket"
	case e.secure:
		return "tls-port"
	}
	return "port"
}

// same reports whether a listener of e will do for f.
func (e endpoint) same(f endpoint) bool {
	e.optional = f.optional
	return e == f
}

// listener is an open endpoint.
type listener struct {
	net.Listener
	at  endpoint
	tls *identity // that Listen has loaded for a secure one
}

// endpoints are the places that a configuration names, those for plain clients first.
func (c *Config) endpoints() []endpoint {
	out := c.addresses("port", c.port, c.anyPort)
	out = append(out, c.addresses("tls-port", c.tls.port, c.tls.anyPort)...)
	if c.unixSocket != "" {
		out = append(out, endpoint{path: c.unixSocket})
	}
	return out
}

func (c *Config) addresses(kind string, port int64, free bool) (out []endpoint) {
	if port == 0 && !free {
		return nil
	}
	if free {
		port = 0
	}
	for _, host := range strings.Fields(c.bind) {
		host, optional := strings.CutPrefix(host, "-")
		switch host {
		case "*":
			host = "0.0.0.0"
		case "::*":
			host = "::"
		}
		out = append(out, endpoint{host: host, port: int(port), secure: kind == "tls-port", optional: optional})
	}
	return out
}

// Listen opens every place that cfg names, or none, and loads what TLS needs. Where cfg
// leaves a port open (UseAnyPort), it is filled in.
func Listen(ctx context.Context, cfg *Config) ([]net.Listener, error) {
	id, err := cfg.identity()
	if err != nil {
		return nil, err
	}
	var open []*listener
	for range anyPortTries {
		open, err = openAll(ctx, cfg.endpoints(), cfg.unixMode)
		if !errors.Is(err, syscall.EADDRINUSE) || !cfg.anyPort && !cfg.tls.anyPort {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if len(open) == 0 {
		return nil, errors.New("nowhere to listen: of port, tls-port, bind and unixsocket, nothing is left")
	}
	out := make([]net.Listener, len(open))
	for i, ln := range open {
		if ln.at.secure {
			ln.tls, cfg.tls.port, cfg.tls.anyPort = id, int64(ln.at.port), false
		} else if ln.at.path == "" {
			cfg.port, cfg.anyPort = int64(ln.at.port), false
		}
		out[i] = ln
	}
	return out, nil
}

// openAll opens all endpoints or none, but for those that this machine cannot have. Of those
// that leave the port open, all of a kind get the same.
func openAll(ctx context.Context, all []endpoint, mode uint32) (open []*listener, err error) {
	ports := make(map[string]int)
	for _, e := range all {
		if e.port == 0 {
			e.port = ports[e.kind()]
		}
		ln, err := e.open(ctx, mode)
		if err != nil && e.missing(err) {
			continue
		}
		if err != nil {
			closeListeners(open)
			return nil, err
		}
		ports[e.kind()] = ln.at.port
		open = append(open, ln)
	}
	return open, nil
}

// missing reports whether this machine has no such address, and need not: nobody can be
// listening there in our place.
func (e endpoint) missing(err error) bool {
	for _, none := range []error{syscall.EAFNOSUPPORT, syscall.EPROTONOSUPPORT, syscall.ESOCKTNOSUPPORT, syscall.EPFNOSUPPORT} {
		if errors.Is(err, none) {
			return true
		}
	}
	return e.optional && errors.Is(err, syscall.EADDRNOTAVAIL)
}

func (e endpoint) open(ctx context.Context, mode uint32) (*listener, error) {
	if e.path != "" {
		return openSocket(ctx, e, mode)
	}
	network := "tcp"
	if ip := net.ParseIP(e.host); ip != nil || strings.Contains(e.host, ":") { // neither "::" nor "0.0.0.0" may take the other's port
		network = "tcp6"
		if ip.To4() != nil {
			network = "tcp4"
		}
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, network, net.JoinHostPort(e.host, strconv.Itoa(e.port)))
	if err != nil {
		return nil, err
	}
	if a, ok := ln.Addr().(*net.TCPAddr); ok {
		e.port = a.Port
	}
	return &listener{Listener: ln, at: e}, nil
}

// protect begins TLS on a connection that has come in, if those of this listener speak it.
func (ln *listener) protect(conn net.Conn, id *identity) net.Conn {
	if !ln.at.secure {
		return conn
	}
	if id == nil { // TLS has been switched off this moment
		_ = conn.Close()
		return conn
	}
	return secure(conn, id.server)
}

func closeListeners(open []*listener) {
	for _, ln := range open {
		_ = ln.Close()
	}
}

// listeners are those that the server accepts connections from.
type listeners struct {
	mu    sync.Mutex
	open  []*listener
	shut  bool           // no more are opened
	loops sync.WaitGroup // one for each; none is added once shut is set
}

// begin accepts connections from listeners, those of Listen or any others, until they are
// closed. What the configuration says of a port becomes what the first of the others has.
func (s *Server) begin(given []net.Listener) error {
	var open []*listener
	var id *identity
	cfg := s.cfg.Load().clone()
	for i, ln := range given {
		l, ours := ln.(*listener)
		if !ours {
			l = &listener{Listener: ln}
			if a, ok := ln.Addr().(*net.TCPAddr); ok {
				l.at = endpoint{host: a.IP.String(), port: a.Port}
				if i == 0 {
					cfg.port = int64(a.Port)
				}
			}
		}
		if l.tls != nil {
			id = l.tls
		}
		open = append(open, l)
	}
	if id == nil {
		var err error
		if id, err = cfg.identity(); err != nil {
			return err
		}
	}
	s.useIdentity(id)
	s.cfg.Store(cfg)
	s.listeners.mu.Lock()
	defer s.listeners.mu.Unlock()
	s.acceptLocked(open)
	return nil
}

// acceptLocked begins to accept connections from listeners.
func (s *Server) acceptLocked(opened []*listener) {
	s.warnProtected(opened)
	for _, ln := range opened {
		s.log.Info("listening", "addr", ln.Addr().String(), "tls", ln.at.secure)
		s.listeners.open = append(s.listeners.open, ln)
		s.listeners.loops.Go(func() { s.accept(ln) })
	}
}

// closeListeners ends accepting for good and returns when nobody accepts any more.
func (s *Server) closeListeners() {
	s.listeners.mu.Lock()
	s.listeners.shut = true
	closeListeners(s.listeners.open)
	s.listeners.mu.Unlock()
	s.listeners.loops.Wait()
}

// changeConnections puts in force what a CONFIG SET with these names and values says of where
// the server listens, and of TLS. If it returns an error, nothing has changed.
func (s *Server) changeConnections(old, next *Config, pairs [][]byte) error {
	id, reload := s.identity.Load(), next.tls.on() != old.tls.on()
	var given, tls string
	for i := 0; i < len(pairs); i += 2 {
		switch name := strings.ToLower(string(pairs[i])); {
		case name == "bind", name == "port", name == "tls-port":
			given = name
		case strings.HasPrefix(name, "tls-"):
			tls, reload = name, true
		}
	}
	if reload {
		var err error
		if id, err = next.identity(); err != nil {
			return errConfigSet(cmp.Or(tls, given), errUpdateTLS(err))
		}
	}
	if old.bind == next.bind && old.port == next.port && old.tls.port == next.tls.port {
		if reload {
			s.useIdentity(id)
		}
		return nil
	}
	if err := s.listenAt(next, id); err != nil {
		s.log.Warn("cannot listen there", "setting", given, "err", err)
		return errConfigSet(given, map[bool]badValue{true: errBind, false: errPort}[given == "bind"])
	}
	return nil
}

// listenAt makes the server listen where next says, and nowhere else; clients that speak TLS
// get to see id from then on. New places are opened first, then those that are not in next are
// closed; connections that there are go on. If a place cannot be had, all stays as it is.
func (s *Server) listenAt(next *Config, id *identity) error {
	ctx, cancel := context.WithTimeout(s.ctx, openWait)
	defer cancel()
	l := &s.listeners
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut {
		return errShutdown
	}
	want := next.endpoints()
	var kept, surplus []*listener
	for _, ln := range l.open {
		if i := slices.IndexFunc(want, ln.at.same); i >= 0 {
			want = slices.Delete(want, i, i+1)
			kept = append(kept, ln)
		} else {
			surplus = append(surplus, ln)
		}
	}
	opened, err := openAll(ctx, want, next.unixMode)
	if errors.Is(err, syscall.EADDRINUSE) && inTheWay(surplus, want) {
		closeListeners(surplus)
		if opened, err = openAll(ctx, want, next.unixMode); err != nil {
			l.open = kept
			return errors.Join(err, s.reopenLocked(ctx, surplus))
		}
	}
	if err != nil {
		return err
	}
	s.useIdentity(id)
	closeListeners(surplus)
	l.open = kept
	s.acceptLocked(opened)
	return nil
}

// inTheWay reports whether a listener of ours may be why a place cannot be had: one of all
// addresses takes the place of one of a single address, or TLS that of plain connections.
func inTheWay(surplus []*listener, want []endpoint) bool {
	return slices.ContainsFunc(surplus, func(ln *listener) bool {
		return slices.ContainsFunc(want, func(e endpoint) bool { return e.port == ln.at.port })
	})
}

// reopenLocked opens again what had been closed to make room.
func (s *Server) reopenLocked(ctx context.Context, closed []*listener) error {
	var faults []error
	for _, ln := range closed {
		again, err := ln.at.open(ctx, s.cfg.Load().unixMode)
		if err != nil {
			faults = append(faults, fmt.Errorf("listen again: %w", err))
			continue
		}
		s.acceptLocked([]*listener{again})
	}
	return errors.Join(faults...)
}

// infoListeners tells where clients can connect, in the words of Redis.
func (s *Server) infoListeners(r *report) {
	cfg := s.cfg.Load()
	line := func(n int, name string, port int64) {
		if port == 0 {
			return
		}
		hosts := ""
		for _, h := range strings.Fields(cfg.bind) {
			hosts += ",bind=" + h
		}
		r.add(fmt.Sprintf("listener%d", n), fmt.Sprintf("name=%s%s,port=%d", name, hosts, port))
	}
	line(0, "tcp", cfg.port)
	if cfg.unixSocket != "" {
		r.add("listener1", "name=unix,bind="+cfg.unixSocket)
	}
	line(2, "tls", cfg.tls.port)
}
