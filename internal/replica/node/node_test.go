package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/replica/host"
	"github.com/elastickv/elastickv/internal/replica/raftlog"
	"github.com/elastickv/elastickv/internal/replica/transport"
	"github.com/elastickv/elastickv/store"
)

// patience bounds every wait.
const patience = time.Minute

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var sampleIdentity = Identity{Cluster: transport.ClusterID{1, 2, 15: 255}, Node: 3, Replica: 4, Peers: map[transport.NodeID]string{1: "a:1", 2: "b:2"}}

// The text of the format.
func TestIdentityText(t *testing.T) {
	const want = `{"format":1,"cluster":"010200000000000000000000000000ff","node":3,"replica":4,"peers":{"1":"a:1","2":"b:2"}}`
	text, err := sampleIdentity.text()
	if err != nil || string(text) != want {
		t.Errorf("got  %s, %v\nwant %s", text, err, want)
	}
	got, err := parseIdentity(text)
	if err != nil || !reflect.DeepEqual(*got, sampleIdentity) {
		t.Errorf("got %+v, %v", got, err)
	}
	word := Invitation(sampleIdentity).String()
	if i, err := ParseInvitation(word); err != nil || !reflect.DeepEqual(i, Invitation(sampleIdentity)) {
		t.Errorf("got %+v, %v", i, err)
	}
	for n := range len(word) {
		if _, err := ParseInvitation(word[:n]); err == nil {
			t.Errorf("%q is an invitation", word[:n])
		}
	}
	for _, bad := range []string{
		strings.Replace(want, "1", "2", 1), strings.Replace(want, "ff", "", 1), strings.Replace(want, `"node":3`, `"node":0`, 1),
		strings.Replace(want, `"replica":4`, `"replica":0`, 1), strings.Replace(want, `"node"`, `"later":1,"node"`, 1), "", "{}",
		strings.Replace(want, "010200000000000000000000000000ff", strings.Repeat("0", 32), 1),
	} {
		if id, err := parseIdentity([]byte(bad)); err == nil {
			t.Errorf("%s is %+v", bad, id)
		}
	}
}

func FuzzParseInvitation(f *testing.F) {
	f.Add(Invitation(sampleIdentity).String())
	f.Fuzz(func(t *testing.T, word string) {
		i, err := ParseInvitation(word)
		if err != nil {
			return
		}
		if back, err := ParseInvitation(i.String()); err != nil || back.Node != i.Node || back.Cluster != i.Cluster || back.Replica != i.Replica {
			t.Errorf("%q: %+v, %v", word, back, err)
		}
	})
}

func TestCheckAddr(t *testing.T) {
	for addr, ok := range map[string]bool{"a:1": true, "[::1]:65535": true, "127.0.0.1:7": true,
		"": false, "a": false, ":1": false, "a:": false, "a:0": false, "a:65536": false, "0.0.0.0:1": false, "[::]:1": false} {
		if err := CheckAddr(addr); (err == nil) != ok {
			t.Errorf("%q: %v", addr, err)
		}
	}
}

// folder is a data folder, and where its node is reached.
type folder struct {
	t      *testing.T
	dir    string
	addr   string
	engine store.Engine
	served Contact // where it says that clients reach it
	*Node
}

func newFolder(t *testing.T) *folder {
	f := &folder{t: t, dir: t.TempDir()}
	f.addr = f.listen("127.0.0.1:0").Addr().String()
	t.Cleanup(f.end)
	return f
}

// listen returns a listener, which it closes if it is only for its address.
func (f *folder) listen(addr string) net.Listener {
	f.t.Helper()
	ln, err := net.Listen("tcp", addr)
	must(f.t, err)
	if f.addr == "" {
		must(f.t, ln.Close())
	}
	return ln
}

func (f *folder) openEngine() {
	f.t.Helper()
	s, err := store.NewPebbleStore(filepath.Join(f.dir, "store"), store.WithFSMSyncMode(store.FSMNoSync))
	must(f.t, err)
	f.engine = s.(store.Engine)
}

func (f *folder) init(again bool, cluster byte) error {
	f.t.Helper()
	f.openEngine()
	err := Init(f.dir, f.engine, Founder{Cluster: transport.ClusterID{cluster}, Node: 1, Addr: f.addr, Again: again})
	must(f.t, f.engine.Close())
	f.engine = nil
	return err
}

func (f *folder) open() error {
	f.t.Helper()
	f.openEngine()
	n, err := Open(Options{Dir: f.dir, Engine: f.engine, Listener: f.listen(f.addr), Now: time.Now, Rand: rand.New(rand.NewPCG(1, 2)),
		Failed: func(err error) { f.t.Errorf("%s has failed: %v", f.dir, err) }, Log: slog.New(slog.DiscardHandler),
		Contact: func() Contact { return f.served }})
	if err != nil {
		f.end()
		return err
	}
	f.Node = n
	return nil
}

func (f *folder) end() {
	if f.Node != nil {
		must(f.t, f.Node.Close())
	}
	if f.engine != nil {
		must(f.t, f.engine.Close())
	}
	f.Node, f.engine = nil, nil
}

func (f *folder) ctx() context.Context {
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	f.t.Cleanup(cancel)
	return ctx
}

// status waits until what the folder knows of its cluster is as it should be.
func (f *folder) status(what string, ok func(host.Status) bool) {
	f.t.Helper()
	limit := time.Now().Add(patience)
	for {
		st, err := f.Group().Status(f.ctx())
		must(f.t, err)
		if ok(st) {
			return
		}
		if time.Now().After(limit) {
			f.t.Fatalf("%s does not happen: %+v", what, st)
		}
		time.Sleep(time.Millisecond) // between two looks
	}
}

func (f *folder) leads() {
	f.t.Helper()
	f.status("that it leads", func(host.Status) bool { _, leading, _ := f.Group().Lead(); return leading })
}

// voters waits until there are this many, as the folder sees it.
func (f *folder) voters(n int) {
	f.t.Helper()
	f.status(fmt.Sprint(n, " voters"), func(st host.Status) bool {
		voters := 0
		for _, m := range st.Members {
			if m.Voter {
				voters++
			}
		}
		return voters == n && len(st.Members) == n
	})
}

func (f *folder) get(key string) string {
	f.t.Helper()
	must(f.t, f.Group().Barrier(f.ctx()))
	v, ok, err := f.engine.VersionAt(f.t.Context(), []byte(key), f.engine.LastCommitTS())
	must(f.t, err)
	if !ok {
		return ""
	}
	return string(v.Value)
}

// A folder with data becomes the first of a cluster, which grows, moves and shrinks.
func TestCluster(t *testing.T) {
	first := newFolder(t)
	first.openEngine()
	must(t, first.engine.PutAt(t.Context(), []byte("k"), []byte("from before"), 7, 0))
	first.end()
	if err := first.open(); !errors.Is(err, ErrNoCluster) {
		t.Fatalf("a folder of no cluster: %v", err)
	}
	must(t, first.init(false, 1))
	if err := first.init(false, 2); !errors.Is(err, ErrInCluster) {
		t.Errorf("a second time: %v", err)
	}
	must(t, first.open())
	first.leads()

	nodes := []*folder{first}
	for id := transport.NodeID(2); id <= 3; id++ {
		f := newFolder(t)
		f.served = Contact{Port: uint16(7000 + id)}
		nodes = append(nodes, f)
		i, err := first.Invite(first.ctx(), id, f.addr)
		must(t, err)
		i, err = ParseInvitation(i.String())
		must(t, err)
		must(t, Join(f.dir, i))
		if err := Join(f.dir, i); !errors.Is(err, ErrInCluster) {
			t.Errorf("it joins a second time: %v", err)
		}
		must(t, f.open())
		first.voters(int(id))
		f.voters(int(id))
		if got := f.get("k"); got != "from before" {
			t.Errorf("node %d reads %q", id, got)
		}
	}

	second, third := nodes[1], nodes[2]
	second.status("that node 3 tells of itself", func(st host.Status) bool {
		h := second.Heard(3)
		return h.Contact == Contact{"127.0.0.1", 7003, 0} && h.Applied >= st.Applied
	})
	if h := second.Heard(2); h.Port != 7002 || h.Applied == 0 {
		t.Errorf("node 2 hears of itself %+v", h)
	}
	if h := second.Heard(9); h != (Heard{}) {
		t.Errorf("a node that is none has said %+v", h)
	}
	for what, err := range map[string]error{
		"an invitation of a member":   second2(first.Invite(first.ctx(), 2, "a:1")),
		"an invitation to nowhere":    second2(first.Invite(first.ctx(), 9, "nowhere")),
		"an invitation of nobody":     second2(first.Invite(first.ctx(), 0, "a:1")),
		"an invitation by a follower": second2(second.Invite(second.ctx(), 9, "a:1")),
		"a removal of nobody":         first.Remove(first.ctx(), 9),
		"a removal by a follower":     second.Remove(second.ctx(), 3),
		"a transfer to nobody":        first.Transfer(first.ctx(), 9),
		"a move to nowhere":           first.Move(first.ctx(), 2, "nowhere"),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		} else {
			t.Logf("%s: %v", what, err)
		}
	}

	// On a busy machine it may take more than one attempt; that second leads is what counts.
	for range 10 {
		if err := first.Transfer(first.ctx(), 2); !errors.Is(err, host.ErrNotTransferred) {
			break
		}
	}
	second.leads()
	first.end()
	first.addr = ""
	first.addr = first.listen("127.0.0.1:0").Addr().String()
	must(t, first.open())
	must(t, second.Move(second.ctx(), 1, first.addr))
	if got := first.get("k"); got != "from before" {
		t.Errorf("the first reads %q", got)
	}
	must(t, second.Remove(second.ctx(), 3))
	second.voters(2)
	third.status("that it is removed", func(st host.Status) bool { return st.Removed })
}

func second2(_ Invitation, err error) error { return err }

// What is left of a cluster that has lost its majority becomes a new one, and the old one does not come back.
func TestAgain(t *testing.T) {
	first, other := newFolder(t), newFolder(t)
	must(t, first.init(false, 1))
	must(t, first.open())
	first.leads()
	i, err := first.Invite(first.ctx(), 2, other.addr)
	must(t, err)
	must(t, Join(other.dir, i))
	must(t, other.open())
	first.voters(2)
	done := make(chan error, 1)
	term, _, _ := first.Group().Lead()
	first.Group().Propose(term, 0, []store.Commit{{TS: 9, Mutations: []*store.KVPairMutation{{Op: store.OpTypePut, Key: []byte("k"), Value: []byte("v")}}}},
		func(err error) { done <- err })
	must(t, <-done)
	other.end()
	first.end()

	must(t, first.init(true, 2))
	must(t, first.open())
	first.leads()
	first.voters(1)
	if got := first.get("k"); got != "v" {
		t.Errorf("it reads %q", got)
	}
	must(t, other.open())
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := other.Group().Barrier(short); err == nil {
		t.Error("what is left of the old cluster reads")
	}
	other.end()

	// Its log is lost: it does not start, and does not vote.
	first.end()
	must(t, os.RemoveAll(filepath.Join(first.dir, LogFolder)))
	if err := first.open(); !errors.Is(err, raftlog.ErrNoGroup) {
		t.Errorf("a folder without its log: %v", err)
	}
}
