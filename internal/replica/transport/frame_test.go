package transport

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

var rewrite = flag.Bool("rewrite", false, "write testdata anew")

var clusterA = ClusterID{0: 0xA0, 15: 0x0A}

// app is a MsgApp of one entry, with a number of its own.
func app(from, to, index uint64) *pb.Message {
	return &pb.Message{
		Type: new(pb.MsgApp), From: new(from), To: new(to), Term: new(uint64(7)), LogTerm: new(uint64(6)), Index: new(index), Commit: new(uint64(1)),
		Entries: []*pb.Entry{{Term: new(uint64(7)), Index: new(index + 1), Data: []byte("data")}},
	}
}

// beat is a MsgHeartbeat.
func beat(from, to, commit uint64) *pb.Message {
	return &pb.Message{Type: new(pb.MsgHeartbeat), From: new(from), To: new(to), Term: new(uint64(7)), Commit: new(commit)}
}

// snap is a MsgSnap.
func snap(from, to, index uint64) *pb.Message {
	return &pb.Message{Type: new(pb.MsgSnap), From: new(from), To: new(to), Term: new(uint64(7)), Snapshot: &pb.Snapshot{
		Metadata: &pb.SnapshotMetadata{Index: new(index), Term: new(uint64(6)), ConfState: &pb.ConfState{Voters: []uint64{from, to}}},
	}}
}

// framed returns the frame of a message.
func framed(t testing.TB, k kind, m *pb.Message) []byte {
	t.Helper()
	if _, err := messageSize(k, m); err != nil {
		t.Fatal(err)
	}
	f, err := appendMessage(nil, k, 3, m)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// samples has one frame of each kind.
func samples(t testing.TB) []struct {
	name  string
	kind  kind
	frame []byte
} {
	return []struct {
		name  string
		kind  kind
		frame []byte
	}{
		{"hello", kindHello, appendHello(nil, hello{clusterA, 1, 2, forBulk})},
		{"welcome", kindWelcome, appendWelcome(nil, welcome{clusterA, 2})},
		{"refusal", kindRefusal, appendFrame(nil, kindRefusal, []byte("no"))},
		{"message", kindMessage, framed(t, kindMessage, app(11, 12, 100))},
		{"ping", kindPing, appendFrame(nil, kindPing, nil)},
		{"pong", kindPong, appendFrame(nil, kindPong, nil)},
		{"note", kindNote, appendFrame(nil, kindNote, []byte("I am here"))},
		{"word", kindWord, appendFrame(nil, kindWord, []byte("to whom it may concern"))},
		{"snapshot", kindSnapshot, framed(t, kindSnapshot, snap(11, 12, 100))},
		{"chunk", kindChunk, appendFrame(nil, kindChunk, []byte("image"))},
		{"end", kindEnd, appendFrame(nil, kindEnd, make([]byte, endSize))},
		{"accepted", kindAccepted, appendFrame(nil, kindAccepted, make([]byte, 32))},
		{"have", kindHave, appendFrame(nil, kindHave, make([]byte, endSize))},
		{"again", kindAgain, appendFrame(nil, kindAgain, nil)},
	}
}

// TestFrameBytes holds the frames to golden bytes.
func TestFrameBytes(t *testing.T) {
	var got strings.Builder
	for _, s := range samples(t) {
		fmt.Fprintf(&got, "%s %s\n", s.name, hex.EncodeToString(s.frame))
	}
	const file = "testdata/frames.txt"
	if *rewrite {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the bytes of frames have changed:\n%s\nwant\n%s", got.String(), want)
	}
}

// allKinds are those of samples.
var allKinds = []kind{kindHello, kindWelcome, kindRefusal, kindMessage, kindPing, kindPong, kindNote, kindWord, kindSnapshot, kindChunk, kindEnd, kindAccepted, kindHave, kindAgain}

// TestFrameDamage flips every bit of every frame and cuts it everywhere: nothing of it is taken for a frame.
func TestFrameDamage(t *testing.T) {
	for _, s := range samples(t) {
		k, body, err := (&frameReader{r: bytes.NewReader(s.frame)}).next(s.kind)
		if err != nil || k != s.kind || !bytes.Equal(body, s.frame[frameStart:]) {
			t.Fatalf("%s: read as kind %d, %x, %v", s.name, k, body, err)
		}
		for bit := range len(s.frame) * 8 {
			bad := slices.Clone(s.frame)
			bad[bit/8] ^= 1 << (bit % 8)
			if _, _, err := (&frameReader{r: bytes.NewReader(bad)}).next(allKinds...); err == nil {
				t.Errorf("%s: bit %d flipped, and nobody minds", s.name, bit)
			}
		}
		for n := range s.frame {
			_, _, err := (&frameReader{r: bytes.NewReader(s.frame[:n])}).next(s.kind)
			want := io.ErrUnexpectedEOF
			if n == 0 {
				want = io.EOF
			}
			if !errors.Is(err, want) {
				t.Errorf("%s cut after %d bytes: %v, want %v", s.name, n, err, want)
			}
		}
	}
}

func TestFrameTooLong(t *testing.T) {
	for k, limit := range limits {
		start := binary.BigEndian.AppendUint32(nil, limit+1)
		start = append(start, byte(k), 0, 0, 0, 0)
		_, _, err := (&frameReader{r: bytes.NewReader(start)}).next(k)
		if _, ok := errors.AsType[refusal](err); !ok || !strings.Contains(err.Error(), "are the most") {
			t.Errorf("kind %d, one byte too long: %v", k, err)
		}
	}
}

// TestFrameClaimed has a peer announce the longest message and send nothing of it.
func TestFrameClaimed(t *testing.T) {
	start := binary.BigEndian.AppendUint32(nil, maxMessage)
	start = append(start, byte(kindMessage), 0, 0, 0, 0)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := (&frameReader{r: bytes.NewReader(start)}).next(kindMessage)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a message of which nothing came: %v", err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 8*firstStep {
		t.Errorf("%d bytes were taken for what was only announced", took)
	}
}

func TestMessageRefused(t *testing.T) {
	with := func(m *pb.Message, change func(*pb.Message)) *pb.Message {
		change(m)
		return m
	}
	cases := []struct {
		name string
		kind kind
		m    *pb.Message
		want string
	}{
		{"empty", kindMessage, &pb.Message{}, "MsgHup, which is for within a node"},
		{"unknown type", kindMessage, with(beat(1, 2, 3), func(m *pb.Message) { m.Type = new(pb.MessageType(99)) }), "of type 99"},
		{"proposal", kindMessage, with(beat(1, 2, 3), func(m *pb.Message) { m.Type = new(pb.MsgProp) }), "MsgProp, which is for within"},
		{"from nobody", kindMessage, beat(0, 2, 3), "from replica 0 to 2"},
		{"to nobody", kindMessage, beat(1, 0, 3), "from replica 1 to 0"},
		{"to a thread", kindMessage, beat(1, raft.LocalAppendThread, 3), "of which one is none"},
		{"answers", kindMessage, with(app(1, 2, 3), func(m *pb.Message) { m.Responses = []*pb.Message{beat(1, 2, 3)} }), "within a node"},
		{"no image", kindMessage, snap(1, 2, 3), "MsgSnap without its image"},
		{"no snapshot", kindSnapshot, app(1, 2, 3), "MsgApp in place of a snapshot"},
		{"empty snapshot", kindSnapshot, with(snap(1, 2, 3), func(m *pb.Message) { m.Snapshot = nil }), "without one that it must have"},
		{"stray snapshot", kindMessage, with(app(1, 2, 3), func(m *pb.Message) { m.Snapshot = snap(1, 2, 3).Snapshot }), "that it must not have"},
	}
	for local := range pb.MessageType_name {
		if typ := pb.MessageType(local); raft.IsLocalMsg(typ) {
			cases = append(cases, struct {
				name string
				kind kind
				m    *pb.Message
				want string
			}{typ.String(), kindMessage, with(beat(1, 2, 3), func(m *pb.Message) { m.Type = new(typ) }), "within a node"})
		}
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := messageSize(c.kind, c.m)
			if !errors.Is(err, ErrNotSendable) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("sent: %v, want %q", err, c.want)
			}
			_, _, err = parseMessage(c.kind, rawMessage(t, c.m)[frameStart:])
			if _, ok := errors.AsType[refusal](err); !ok || !strings.Contains(err.Error(), c.want) {
				t.Errorf("received: %v, want %q", err, c.want)
			}
		})
	}
}

// rawMessage is the frame of a message that no transport would send.
func rawMessage(t testing.TB, m *pb.Message) []byte {
	t.Helper()
	body := binary.BigEndian.AppendUint32(nil, 3)
	body = binary.BigEndian.AppendUint64(body, m.GetFrom())
	body = binary.BigEndian.AppendUint64(body, m.GetTo())
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return appendFrame(nil, kindMessage, append(body, b...))
}

func TestMessageBytesRefused(t *testing.T) {
	good := framed(t, kindMessage, app(11, 12, 100))[frameStart:]
	misaddressed := slices.Clone(good)
	misaddressed[11]++
	for _, c := range []struct {
		name string
		body []byte
		want string
	}{
		{"short", good[:addressing-1], "addresses alone"},
		{"cut", good[:len(good)-1], "a message that is none"},
		{"misaddressed", misaddressed, "is addressed from"},
		{"too many entries", append(slices.Clone(good), bytes.Repeat([]byte{fieldEntries<<3 | 2, 0}, maxEntries)...), "are the most"},
	} {
		_, _, err := parseMessage(kindMessage, c.body)
		if _, ok := errors.AsType[refusal](err); !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// FuzzFrames reads anything as a conversation: it ends in an error, and what is read is what was written.
func FuzzFrames(f *testing.F) {
	var all []byte
	for _, s := range samples(f) {
		f.Add(s.frame)
		all = append(all, s.frame...)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &frameReader{r: bytes.NewReader(b)}
		var again []byte
		for {
			k, body, err := r.next(allKinds...)
			if err != nil {
				break
			}
			again = appendFrame(again, k, body)
			switch k {
			case kindHello:
				if h, err := parseHello(body); err == nil && !bytes.Equal(appendHello(nil, h)[frameStart:], body) {
					t.Fatalf("hello %x reads as %+v", body, h)
				}
			case kindWelcome:
				if w, err := parseWelcome(body); err == nil && !bytes.Equal(appendWelcome(nil, w)[frameStart:], body) {
					t.Fatalf("welcome %x reads as %+v", body, w)
				}
			case kindMessage, kindSnapshot:
				fuzzMessage(t, k, body)
			}
		}
		if !bytes.HasPrefix(b, again) {
			t.Fatalf("%x reads as %x", b, again)
		}
	})
}

// FuzzMessage reads anything as the body of a message.
func FuzzMessage(f *testing.F) {
	f.Add(framed(f, kindMessage, app(11, 12, 100))[frameStart:])
	f.Add(framed(f, kindSnapshot, snap(11, 12, 100))[frameStart:])
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzMessage(t, kindMessage, b)
		fuzzMessage(t, kindSnapshot, b)
	})
}

// fuzzMessage holds a message that is accepted to being one that could have been sent.
func fuzzMessage(t *testing.T, k kind, body []byte) {
	group, m, err := parseMessage(k, body)
	if err != nil {
		return
	}
	if _, err := messageSize(k, m); err != nil {
		t.Fatalf("%x is accepted, and cannot be sent: %v", body, err)
	}
	frame, err := appendMessage(nil, k, group, m)
	if err != nil {
		t.Fatal(err)
	}
	againGroup, again, err := parseMessage(k, frame[frameStart:])
	if err != nil || againGroup != group || !proto.Equal(m, again) {
		t.Fatalf("%v of group %d comes back as %v of %d, %v", m, group, again, againGroup, err)
	}
}
