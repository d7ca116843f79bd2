package store

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// sealScript runs testdata/sealing. Each line of a block is a command:
//
//	new                                                      an empty store, sealing under key 1
//	reopen [cipher=none]
//	gates [key=none] [id=ID] [active=no] [registered=no]     for the writes that follow
//	nonces left=N                                            then they fail; -1: there is no end to them
//	addkey id · removekey id
//	put|delete|expire k [v] ts [exp] · apply|raft ts put=k:v… · delprefix k ts
//	get k ts · scan ts · compact ts · snapshot · restore
//	rows                                                     what the engine holds, as seen without a key
type sealScript struct {
	s     *sealer
	e     *pebbleStore
	fs    vfs.FS
	image []byte
}

func TestSealing(t *testing.T) {
	var s sealScript
	datadriven.RunTest(t, "testdata/sealing", func(t *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		for line := range strings.Lines(d.Cmd + " " + argsText(d.CmdArgs) + "\n" + d.Input) {
			name, args, err := datadriven.ParseLine(line)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			text, err := s.run(t, name, sealArgs(args))
			if err != nil {
				text += err.Error() + "\n"
			}
			out.WriteString(text)
		}
		return out.String()
	})
}

func argsText(args []datadriven.CmdArg) string {
	var text []string
	for _, a := range args {
		text = append(text, a.String())
	}
	return strings.Join(text, " ")
}

type sealArgs []datadriven.CmdArg

func (a sealArgs) get(name string) string {
	for _, arg := range a {
		if arg.Key == name && len(arg.Vals) == 1 {
			return arg.Vals[0]
		}
	}
	return ""
}

func (a sealArgs) number(t *testing.T, name string) uint64 {
	t.Helper()
	text := a.get(name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	must(t, err)
	return n
}

// mutations returns one for each put=k:v.
func (a sealArgs) mutations() (m []*KVPairMutation) {
	for _, arg := range a {
		if arg.Key == "put" {
			key, value, _ := strings.Cut(arg.Vals[0], ":")
			m = append(m, put(key, value)...)
		}
	}
	return m
}

func (s *sealScript) open(t *testing.T, opts ...PebbleStoreOption) {
	t.Helper()
	s.e = openTest(t, "db", append(opts, WithFS(s.fs), WithVersionCacheSize(-1))...)
}

func (s *sealScript) run(t *testing.T, name string, a sealArgs) (string, error) {
	t.Helper()
	ctx := context.Background()
	key, value, ts, exp := []byte(a.get("k")), []byte(a.get("v")), a.number(t, "ts"), a.number(t, "exp")
	switch name {
	case "new":
		s.s, s.fs = newSealer(t), vfs.NewMem()
		s.open(t, s.s.options()...)
	case "reopen":
		must(t, s.e.Close())
		if a.get("cipher") == "none" {
			s.open(t)
		} else {
			s.open(t, s.s.options()...)
		}
	case "gates":
		s.s.provided, s.s.keyID = a.get("key") != "none", uint32(max(1, a.number(t, "id")))
		s.s.active, s.s.registered = a.get("active") != "no", a.get("registered") != "no"
		if a.get("id") == "0" {
			s.s.keyID = 0
		}
	case "nonces":
		var err error
		s.s.left, err = strconv.Atoi(a.get("left"))
		must(t, err)
	case "addkey":
		return "", s.s.cipher.AddKey(uint32(a.number(t, "id")), sealTestKey(uint32(a.number(t, "id"))))
	case "removekey":
		s.s.cipher.RemoveKey(uint32(a.number(t, "id")))
	case "put":
		return "", s.e.PutAt(ctx, key, value, ts, exp)
	case "delete":
		return "", s.e.DeleteAt(ctx, key, ts)
	case "expire":
		return "", s.e.ExpireAt(ctx, key, exp, ts)
	case "apply":
		return "", s.e.ApplyMutations(ctx, a.mutations(), nil, maxTS, ts)
	case "raft":
		return "", s.e.ApplyMutationsRaft(ctx, a.mutations(), nil, maxTS, ts)
	case "delprefix":
		return "", s.e.DeletePrefixAt(ctx, key, nil, ts)
	case "compact":
		return "", s.e.Compact(ctx, ts)
	default:
		return s.look(t, name, key, ts)
	}
	return "", nil
}

// look runs the commands that read.
func (s *sealScript) look(t *testing.T, name string, key []byte, ts uint64) (string, error) {
	t.Helper()
	ctx := context.Background()
	switch name {
	case "get":
		v, err := s.e.GetAt(ctx, key, ts)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%q\n", v), nil
	case "scan":
		rows, err := s.e.ScanAt(ctx, nil, nil, 100, ts)
		text := ""
		for _, r := range rows {
			text += fmt.Sprintf("%s = %q\n", r.Key, r.Value)
		}
		return text, err
	case "snapshot":
		image, err := s.e.Snapshot()
		must(t, err)
		defer func() { _ = image.Close() }()
		var b bytes.Buffer
		_, err = image.WriteTo(&b)
		s.image = b.Bytes()
		return "", err
	case "restore":
		return "", s.e.Restore(bytes.NewReader(s.image))
	case "rows":
		text := fmt.Sprintf("last commit %d, nonces used %d\n", s.e.LastCommitTS(), s.s.used())
		for _, r := range engineRows(t, s.e) {
			text += r.describe(t) + "\n"
		}
		return text, nil
	}
	t.Fatalf("unknown command %q", name)
	return "", nil
}
