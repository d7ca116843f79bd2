package rdb

import (
	"reflect"
	"testing"
)

// TestConsumersThatGotNothing writes streams in the oldest format that tells all of their consumers.
func TestConsumersThatGotNothing(t *testing.T) {
	for _, tc := range []struct {
		name    string
		active  int64
		kind    byte
		version byte
	}{
		{"active when seen", 5000, typeStream2, versionWritten},
		{"active before", 4000, typeStream3, versionActive},
		{"never active", -1, typeStream3, versionActive},
	} {
		s := &Stream{LastID: ID{3, 0}, Groups: []Group{{
			Name: []byte("g"), LastID: ID{1, 0}, EntriesRead: 1, Pending: []Pending{},
			Consumers: []Consumer{{Name: []byte("c"), SeenAt: 5000, ActiveAt: tc.active}},
		}}}
		payload := Append(nil, s)
		if payload[0] != tc.kind || payload[len(payload)-footerSize] != tc.version {
			t.Errorf("%s: type %d of version %d, want %d of %d", tc.name, payload[0], payload[len(payload)-footerSize], tc.kind, tc.version)
		}
		v, err := Parse(payload)
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if got := v.(*Stream).Groups; !reflect.DeepEqual(got, s.Groups) {
			t.Errorf("%s: came back as %+v, was %+v", tc.name, got, s.Groups)
		}
	}
}
