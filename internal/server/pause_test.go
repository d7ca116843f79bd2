package server

import (
	"testing"
	"time"
)

func TestPauses(t *testing.T) {
	now := time.Unix(1000, 0)
	at := func(s int) time.Time { return now.Add(time.Duration(s) * time.Second) }
	var p pauses
	held := func(at time.Time, writes bool) bool { return p.holds(at, writes) > 0 }

	p.begin(now, at(10), false)
	if !held(at(1), true) || held(at(1), false) {
		t.Error("a pause of writes has to hold writes, and only them")
	}
	p.begin(at(1), at(5), true)
	if !held(at(9), false) {
		t.Error("a second pause made the first shorter, or is not as strict")
	}
	p.begin(at(2), at(20), false)
	if !held(at(19), false) {
		t.Error("a third pause made the second weaker, or is not as long")
	}
	if held(at(20), true) || p.active.Load() {
		t.Error("the pause does not end")
	}
	p.begin(at(21), at(30), true)
	w := &waiter{}
	if !p.join(w) {
		t.Error("nobody can wait for the end of the pause")
	}
	if held := p.end(); len(held) != 1 || held[0] != w {
		t.Error("who waits is not told that the pause was ended")
	}
	if held(at(22), true) || p.join(w) {
		t.Error("a pause that was ended holds back")
	}
}
