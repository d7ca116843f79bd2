package admin

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// fakeCluster says what it was told, or fails.
type fakeCluster struct {
	told []string
	err  error
}

func (f *fakeCluster) note(format string, args ...any) error {
	f.told = append(f.told, fmt.Sprintf(format, args...))
	return f.err
}

var sampleStatus = ClusterStatus{Cluster: "ab", Node: 1, Leader: 2, Term: 3, Commit: 4, Applied: 5, Removed: true,
	Members: []Node{{Node: 1, Addr: "a:1", Voter: true, Known: true, Match: 6, Alive: true}}}

func (f *fakeCluster) Status(context.Context) (ClusterStatus, error) {
	return sampleStatus, f.note("status")
}
func (f *fakeCluster) Invite(_ context.Context, node uint64, addr string) (string, error) {
	return "word", f.note("invite %d %s", node, addr)
}
func (f *fakeCluster) Remove(_ context.Context, node uint64) error { return f.note("remove %d", node) }
func (f *fakeCluster) Move(_ context.Context, node uint64, addr string) error {
	return f.note("move %d %s", node, addr)
}
func (f *fakeCluster) Transfer(_ context.Context, node uint64) error {
	return f.note("transfer %d", node)
}

func TestClusterDoor(t *testing.T) {
	ctx := t.Context()
	all := func(c *Client) map[string]error {
		_, status := c.ClusterStatus(ctx)
		_, invite := c.Invite(ctx, 2, "b:2")
		return map[string]error{"status": status, "invite 2 b:2": invite, "remove 3": c.Remove(ctx, 3),
			"move 4 d:4": c.Move(ctx, 4, "d:4"), "transfer 5": c.Transfer(ctx, 5)}
	}
	dir := t.TempDir()
	f := &fakeCluster{}
	serve(t, dir, Operated{Keys: &fakeKeys{}, Cluster: f})
	c := NewClient(dir)
	if st, err := c.ClusterStatus(ctx); err != nil || !reflect.DeepEqual(st, sampleStatus) {
		t.Errorf("got %+v, %v", st, err)
	}
	if out, err := c.Invite(ctx, 2, "b:2"); err != nil || out.Invitation != "word" {
		t.Errorf("got %+v, %v", out, err)
	}
	f.told = nil
	for what, err := range all(c) {
		if err != nil || !strings.Contains(strings.Join(f.told, "\n"), what) {
			t.Errorf("%s: %v, told %q", what, err, f.told)
		}
	}
	f.err = errors.New("node 2 leads")
	for what, err := range all(c) {
		if err == nil || err.Error() != "node 2 leads" {
			t.Errorf("%s refused: %v", what, err)
		}
	}

	none := t.TempDir()
	serve(t, none, Operated{Keys: &fakeKeys{}})
	for what, err := range all(NewClient(none)) {
		if err == nil || err.Error() != errNoCluster.Error() {
			t.Errorf("%s without a cluster: %v", what, err)
		}
	}
}
