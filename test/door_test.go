package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

// fleet is one server for each door, in one and the same state: every block of a
// script runs through all doors before the next block begins.
type fleet [doorCount]*door

// The doors by which a command reaches its handler.
const (
	direct2 = iota // as it is, in protocol 2
	direct3        // as it is, in protocol 3
	inMulti        // alone in a transaction, in protocol 2
	inLua          // called by a script, in protocol 2
	doorCount
)

// fleets hands out fleets to scripts that run at the same time.
type fleets struct{ free chan *fleet }

// newFleets starts n fleets of servers, which end with t. start returns the address of the
// server behind a door.
func newFleets(t *testing.T, n int, start func(t testing.TB, door int) string) *fleets {
	t.Helper()
	fs := &fleets{make(chan *fleet, n)}
	for range n {
		var f fleet
		for i := range f {
			f[i] = &door{kind: i, addr: start(t, i), protocol: 2}
		}
		f[direct3].protocol = 3
		fs.free <- &f
	}
	return fs
}

func redises(t *testing.T, n int) *fleets {
	t.Helper()
	fs := newFleets(t, n, func(t testing.TB, _ int) string { return testkit.Redis(t).Addr })
	for range n {
		f := <-fs.free
		for _, d := range f {
			d.real, d.redis = true, redisVersion(t, d.addr)
		}
		fs.free <- f
	}
	return fs
}

// ours puts one door over a folder and the others over memory: no answer depends on that.
func ours(t *testing.T, n int) *fleets {
	t.Helper()
	return newFleets(t, n, func(t testing.TB, door int) string {
		if door == direct2 {
			return testkit.Folder(t, t.TempDir())
		}
		return testkit.Memory(t)
	})
}

// take returns a fleet whose servers are empty and have no connection yet.
func (fs *fleets) take(t *testing.T) *fleet {
	t.Helper()
	f := <-fs.free
	for _, d := range f {
		d.conns = make(map[string]*session)
		testkit.Dial(t, d.addr, 2).MustDo(t, "FLUSHALL")
	}
	return f
}

// give makes f free for another script.
func (fs *fleets) give(f *fleet) {
	f.hangUp()
	fs.free <- f
}

// knows reports whether a fleet of real servers can answer b as the file has it.
func (f *fleet) knows(b *block) bool { return !b.ours && (b.redis == "" || b.redis == f[0].redis) }

func (f *fleet) hangUp() {
	for _, d := range f {
		for _, s := range d.conns {
			s.hangUp()
		}
	}
}

// door is a server and the connections of one script to it.
type door struct {
	kind, protocol int
	addr           string
	real           bool   // a redis-server's
	redis          string // and then its version: 7.0 or 7.2
	conns          map[string]*session
	unscripted     map[string]bool // commands that scripts may not call, by full name; nil until somebody asks
}

// session is one connection of a script, by the name the script gives it.
type session struct {
	client *testkit.Client // nil before the first command and once the server has hung up
	queues bool            // MULTI was sent by the script itself
	id     string          // CLIENT ID, once somebody has asked
	asked  int             // commands whose replies have not been read yet
}

func (s *session) hangUp() {
	if s.client != nil {
		s.client.Close()
		s.client = nil
	}
	s.queues, s.id, s.asked = false, "", 0
}

// closed stands for the reply that a server gives by hanging up.
var closed = resp.Value{Kind: resp.KindSimple, Str: "(closed)"}

// session returns the connection of that name, opened if it is not.
func (d *door) session(conn string) (*session, error) {
	s := d.conns[conn]
	if s == nil {
		s = &session{}
		d.conns[conn] = s
	}
	if s.client == nil {
		var err error
		if s.client, err = testkit.Connect(d.addr, d.protocol); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// do runs one command on the connection of that name.
func (d *door) do(conn string, args []string, plain bool) (resp.Value, error) {
	s, err := d.session(conn)
	if err != nil {
		return resp.Value{}, err
	}
	if s.asked > 0 {
		return resp.Value{}, fmt.Errorf("%q: the connection still waits, read its reply first", args)
	}
	v, err := d.line(s, args, plain || s.queues || isSession(args))
	if err != nil {
		s.hangUp()
		if testkit.Closed(err) {
			return closed, nil
		}
		return resp.Value{}, fmt.Errorf("%q: %w", args, err)
	}
	switch strings.ToLower(args[0]) {
	case "multi":
		s.queues = v.Kind != resp.KindError || s.queues
	case "exec", "discard", "reset":
		s.queues = false
	}
	return v, nil
}

// line carries out one line: a command, as this door wraps it, or what takes replies apart from
// commands.
func (d *door) line(s *session, args []string, plain bool) (resp.Value, error) {
	switch args[0] {
	case "receive":
		return s.client.Receive()
	case "send":
		if err := s.client.Send(args[1:]...); err != nil {
			return resp.Value{}, err
		}
		return resp.Value{Kind: resp.KindSimple, Str: "(sent)"}, s.client.Flush()
	}
	sent, err := d.wrapped(args, plain)
	if err != nil {
		return resp.Value{}, err
	}
	return s.do(sent, d.kind != inMulti || plain)
}

// inScript is the script of the door inLua. Its error is that of the command.
const inScript = "return redis.pcall(unpack(ARGV))"

// wrapped returns what is sent for a command: at the door inLua a script that calls it, if
// scripts may.
func (d *door) wrapped(args []string, plain bool) ([]string, error) {
	if d.kind != inLua || plain || strings.EqualFold(args[0], "select") {
		return args, nil
	}
	if d.unscripted == nil {
		if err := d.askUnscripted(); err != nil {
			return nil, err
		}
	}
	name := strings.ToLower(args[0])
	if d.unscripted[name] || len(args) > 1 && d.unscripted[name+"|"+strings.ToLower(args[1])] {
		return args, nil
	}
	return append([]string{"EVAL", inScript, "0"}, args...), nil
}

// askUnscripted finds out which commands scripts may not call.
func (d *door) askUnscripted() error {
	client, err := testkit.Connect(d.addr, 2)
	if err != nil {
		return err
	}
	defer client.Close()
	all, err := client.Do("COMMAND")
	if err != nil {
		return err
	}
	d.unscripted = make(map[string]bool)
	var add func(rows []resp.Value)
	add = func(rows []resp.Value) {
		for _, row := range rows {
			d.unscripted[row.Elems[0].Str] = slices.ContainsFunc(row.Elems[2].Elems, func(f resp.Value) bool { return f.Str == "noscript" })
			add(row.Elems[9].Elems)
		}
	}
	add(all.Elems)
	return nil
}

// isSession reports whether a command is about the connection's own state, so that it
// cannot run inside a transaction or means something else there.
func isSession(args []string) bool {
	switch strings.ToLower(args[0]) {
	case "multi", "exec", "discard", "watch", "unwatch", "reset", "quit", "hello", "shutdown", "monitor",
		"subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe":
		return true
	case "client":
		return len(args) > 1 && strings.EqualFold(args[1], "reply")
	}
	return false
}

// do sends a command as it is, or alone in a transaction, and returns its reply.
func (s *session) do(args []string, plain bool) (resp.Value, error) {
	if plain {
		return s.client.Do(args...)
	}
	for _, cmd := range [][]string{{"MULTI"}, args, {"EXEC"}} {
		if err := s.client.Send(cmd...); err != nil {
			return resp.Value{}, err
		}
	}
	var got [3]resp.Value
	for i := range got {
		var err error
		if got[i], err = s.client.Receive(); err != nil {
			return resp.Value{}, err
		}
	}
	opened, queued, done := got[0], got[1], got[2]
	switch {
	case opened.Str != "OK":
		return resp.Value{}, fmt.Errorf("MULTI: %s", opened)
	case queued.Kind == resp.KindError && done.Kind == resp.KindError && strings.HasPrefix(done.Str, "EXECABORT"):
		return queued, nil
	case queued.Str != "QUEUED":
		return resp.Value{}, fmt.Errorf("in MULTI: %s, then EXEC: %s", queued, done)
	case done.Kind != resp.KindArray || len(done.Elems) != 1:
		return resp.Value{}, fmt.Errorf("EXEC of one command: %s", done)
	}
	return done.Elems[0], nil
}
