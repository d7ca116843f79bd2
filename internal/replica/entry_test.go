package replica

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"testing"

	"github.com/elastickv/elastickv/store"
)

var sampleCommits = []store.Commit{
	{TS: 7, Mutations: []*store.KVPairMutation{
		{Op: store.OpTypePut, Key: []byte("k"), Value: []byte("value"), ExpireAt: 9},
		{Op: store.OpTypeDelete, Key: []byte{}},
		{Op: store.OpTypePut, Key: []byte("e"), Value: []byte{}},
	}},
	{TS: 8, Deleted: []store.Span{{Start: []byte("a"), End: []byte("b")}, {Start: []byte{}}, {Start: []byte("c"), End: []byte{}}}},
	{TS: 9},
}

// The bytes of the format.
func TestEntryBytes(t *testing.T) {
	const want = `01` +
		`0000000000000007` + `00` + `03` +
		`00` + `016b` + `0000000000000009` + `0576616c7565` +
		`01` + `00` +
		`00` + `0165` + `0000000000000000` + `00` +
		`0000000000000008` + `03` + `01` + `0161` + `0162` + `00` + `00` + `01` + `0163` + `00` + `00` +
		`0000000000000009` + `00` + `00`
	data := AppendEntry(nil, sampleCommits)
	if got := hex.EncodeToString(data); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	got, err := ParseEntry(data)
	if err != nil || !reflect.DeepEqual(got, sampleCommits) {
		t.Errorf("got %+v, %v", got, err)
	}
	for n := 1; n < len(data); n++ {
		if commits, err := ParseEntry(data[:n]); err == nil && len(commits) >= len(sampleCommits) {
			t.Errorf("cut at %d: got %+v", n, commits)
		}
	}
	if commits, err := ParseEntry(nil); err != nil || len(commits) > 0 {
		t.Errorf("nothing: got %+v, %v", commits, err)
	}
}

func FuzzParseEntry(f *testing.F) {
	f.Add(AppendEntry(nil, sampleCommits))
	f.Add([]byte("\x0100000000\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		commits, err := ParseEntry(data)
		if err != nil || len(data) == 0 {
			return
		}
		again := AppendEntry(nil, commits)
		back, err := ParseEntry(again)
		if err != nil || !reflect.DeepEqual(back, commits) {
			t.Errorf("%x became %x, %v", data, again, err)
		}
		if len(again) > len(data) || len(again) == len(data) && !bytes.Equal(again, data) {
			t.Errorf("%x became the longer %x", data, again)
		}
	})
}
