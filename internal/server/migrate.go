package server

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/txn"
)

// migrateRow is of a command that writes and yet runs outside of the sequencer, because it
// waits for another server.
var migrateRow = &command.Command{
	Name: "migrate", Arity: -6, Flags: command.Write | command.MovableKeys, Group: command.GroupGeneric, Cats: command.CatDangerous,
	Syntax: `host port key-selector(key | empty-string="") destination-db timeout:integer [COPY@3.0.0] [REPLACE@3.0.0] [authentication(AUTH auth=password@4.0.7 | AUTH2 (username password)@6.0.0)] [KEYS keys=key...@3.0.6]`,
	Keys: []command.KeySpec{
		{Flags: migrateKeyFlags, Index: 3, Step: 1},
		{Flags: migrateKeyFlags | command.KeyIncomplete, Index: -2, Keyword: "KEYS", Last: -1, Step: 1},
	},
	FindKeys: migrateKeys, Run: migrate, Since: "2.6.0", Complexity: "O(N) where N is the number of rows of the keys and their bytes, here and there",
	Summary: "Moves keys to another server.", Tips: []string{"nondeterministic_output"},
}

const migrateKeyFlags = command.KeyRW | command.KeyAccess | command.KeyDelete

// migrateOptions are the words between the timeout and KEYS, and how many arguments each has.
var migrateOptions = map[string]int{"COPY": 0, "REPLACE": 0, "AUTH": 1, "AUTH2": 2}

// migrateKeys finds the keys of a call: what KEYS lists, if the place of the only key is empty. If it
// is not, KEYS is an error, and there are none.
func migrateKeys(args [][]byte) (keys []command.Key) {
	from, to := 3, 4
	for i := 6; i < len(args); i++ {
		word := strings.ToUpper(string(clipped(args[i], 8)))
		if word == "KEYS" {
			if from, to = i+1, len(args); len(args[3]) > 0 {
				return nil
			}
			break
		}
		i += migrateOptions[word]
	}
	for i := from; i < to; i++ {
		keys = append(keys, command.Key{At: i, Flags: migrateKeyFlags})
	}
	return keys
}

// migration is one call of MIGRATE.
type migration struct {
	c       *session
	addr    string
	db      string
	timeout time.Duration // of each step
	copy    bool          // the keys stay here
	replace bool
	auth    [][]byte // of AUTH, if there are any
	keys    [][]byte

	// sent has the hash of the payload of each stream: what is done to its groups changes no key.
	sent map[string][sha256.Size]byte
}

// migrateTimeout is what a timeout of 0 means.
const migrateTimeout = time.Second

func migrate(ctx *command.Ctx) error {
	m, err := parseMigrate(ctx)
	if err != nil {
		return err
	}
	if !ctx.MayBlock {
		return errMigrateInMulti
	}
	there := false
	told := m.c.transact(m.c.running, func(root *keyspace.Space) { there, err = m.look(root.DB(m.c.db).Reading()) })
	if told != nil || err != nil || m.c.ending {
		return cmp.Or(told, err)
	}
	if !there {
		ctx.Out.Simple("NOKEY")
		return nil
	}
	// Whoever changes a key while it is on its way keeps it: nothing is deleted that the
	// other server has not got.
	watchers, err := m.watch()
	if err != nil {
		return err
	}
	defer m.unwatch(watchers)
	restores, err := m.pack()
	if err != nil {
		return err
	}
	if len(restores) == 0 {
		ctx.Out.Simple("NOKEY")
		return nil
	}
	moved, err := m.send(restores)
	if !m.copy {
		err = errors.Join(err, m.remove(moved, watchers))
	}
	if err != nil {
		return err
	}
	ctx.Out.OK()
	return nil
}

func parseMigrate(ctx *command.Ctx) (*migration, error) {
	args := ctx.Args
	m := &migration{
		c: callerOf(ctx), addr: net.JoinHostPort(string(args[1]), string(args[2])), db: string(args[4]),
		timeout: migrateTimeout, keys: args[3:4], sent: make(map[string][sha256.Size]byte),
	}
	if err := m.parseOptions(ctx); err != nil {
		return nil, err
	}
	ms, err := parseInt(args[5])
	if err != nil {
		return nil, err
	}
	if _, err := parseInt(args[4]); err != nil {
		return nil, err
	}
	if ms > 0 {
		m.timeout = time.Duration(min(ms, int64(time.Hour/time.Millisecond))) * time.Millisecond
	}
	return m, nil
}

func (m *migration) parseOptions(ctx *command.Ctx) error {
	args := ctx.Args
	for i := 6; i < len(args); i++ {
		more := len(args) - i - 1
		word := strings.ToUpper(string(clipped(args[i], 8)))
		n := migrateOptions[word]
		if more < n {
			return command.ErrSyntax
		}
		switch word {
		case "COPY":
			m.copy = true
		case "REPLACE":
			m.replace = true
		case "AUTH", "AUTH2":
			m.auth = args[i+1 : i+1+n]
			i += n
		case "KEYS":
			if len(args[3]) > 0 {
				return errMigrateKeys
			}
			m.keys = args[i+1:]
			return nil
		default:
			return command.ErrSyntax
		}
	}
	return nil
}

// look reports whether any of the keys is there.
func (m *migration) look(keys *keyspace.Space) (there bool, err error) {
	for _, key := range m.keys {
		kind, err := keys.Kind(key)
		if err != nil {
			return false, err
		}
		there = there || kind != keyspace.KindNone
	}
	return there, nil
}

// watch has each key watched by a session of its own, that is no client's.
func (m *migration) watch() (map[string]*session, error) {
	watchers := make(map[string]*session, len(m.keys))
	err := m.c.srv.db.Sequence(m.c.srv.ctx, func(*txn.Seq) {
		for _, key := range m.keys {
			if watchers[string(key)] != nil {
				continue // it is named twice
			}
			w := &session{srv: m.c.srv}
			w.watch(dbKey{m.c.db, string(key)}, true)
			watchers[string(key)] = w
		}
	})
	return watchers, m.c.told(err, m.c.running)
}

func (m *migration) unwatch(watchers map[string]*session) {
	for _, w := range watchers {
		w.unwatch()
	}
}

// restoring is a key on its way: the call that makes it there.
type restoring struct {
	key  []byte
	call resp.Writer
}

// pack makes the calls of RESTORE for the keys that are there.
func (m *migration) pack() (out []restoring, err error) {
	srv := m.c.srv
	err2 := srv.viewAs(false, func(root *keyspace.Space) error {
		keys := root.DB(m.c.db)
		for _, key := range m.keys {
			payload, at, ok, e := command.Payload(keys, key, srv.env.Load().MaxBulk)
			if err = e; err != nil {
				return nil
			}
			if !ok {
				continue
			}
			if kind, e := keys.Kind(key); e != nil {
				err = e
				return nil
			} else if kind == keyspace.KindStream {
				m.sent[string(key)] = sha256.Sum256(payload)
			}
			ttl := int64(0)
			if at != 0 {
				ttl = max(at-keys.Now(), 1)
			}
			r := restoring{key: key}
			args := [][]byte{[]byte("RESTORE"), key, strconv.AppendInt(nil, ttl, 10), payload}
			if m.replace {
				args = append(args, []byte("REPLACE"))
			}
			writeCall(&r.call, args...)
			out = append(out, r)
		}
		return nil
	})
	return out, cmp.Or(err, m.c.told(err2, m.c.running))
}

// writeCall adds a call as a client writes it.
func writeCall(w *resp.Writer, args ...[]byte) {
	w.Array(len(args))
	for _, a := range args {
		w.Bulk(a)
	}
}

// unchanged reports whether a stream is as it was sent. Of other keys, those who watch know.
func (m *migration) unchanged(keys *keyspace.Space, key []byte) (bool, error) {
	sent, ok := m.sent[string(key)]
	if !ok {
		return true, nil
	}
	payload, _, ok, err := command.Payload(keys, key, m.c.srv.env.Load().MaxBulk)
	return ok && sha256.Sum256(payload) == sent, err
}

// remove deletes the keys that the other server has got, unless they have changed since.
func (m *migration) remove(moved [][]byte, watchers map[string]*session) error {
	if len(moved) == 0 {
		return nil
	}
	var failed, kept error
	err := m.c.srv.db.Sequence(m.c.srv.ctx, func(seq *txn.Seq) {
		failed = m.c.srv.update(seq, &telling{}, func(root *keyspace.Space) error {
			keys := root.DB(m.c.db)
			for _, key := range moved {
				same, err := m.unchanged(keys, key)
				if err != nil {
					return err
				}
				if !same || watchers[string(key)].dirty.Load() {
					kept = errMigrateChanged
					continue
				}
				ok, err := keys.Remove(key)
				if err != nil {
					return err
				}
				if ok {
					keys.Notify(keyspace.ClassGeneric, "del", key)
				}
			}
			return nil
		})
	})
	switch {
	case err == nil:
		return errors.Join(failed, kept)
	case errorOf(err) != "":
		return errMigrateKept
	}
	m.c.srv.storeFailed(err)
	return err
}
