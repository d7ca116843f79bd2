package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/txn"
)

func debugHelp(ctx *command.Ctx) error {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(debugSubs)) {
		h := debugSubs[name].help
		lines = append(lines, h[0], "    "+h[1])
	}
	return help(ctx, "DEBUG", lines...)
}

// debugObject tells what clients look for: how long the payload is that DUMP would make, and
// since when nobody has written the key.
func (c *session) debugObject(ctx *command.Ctx) error {
	key := ctx.Args[2]
	return c.debugRead(ctx, func(keys *keyspace.Space) error {
		enc, ok, err := keys.Encoding(key)
		if err != nil {
			return err
		}
		if !ok {
			return command.ErrNoSuchKey
		}
		size, err := command.PayloadLen(keys, key)
		if err != nil {
			return err
		}
		at, _, err := keys.Written(key)
		if err != nil {
			return err
		}
		ctx.Out.Simple(fmt.Sprintf("Value at:0x0 refcount:1 encoding:%s serializedlength:%d lru:%d lru_seconds_idle:%d",
			enc, size, at/1000&lruMask, max(keys.Now()-at, 0)/1000))
		return nil
	})
}

// lruMask is what Redis keeps of the seconds at which a key was used.
const lruMask = 1<<24 - 1

// debugStructure tells whether a key has an encoding.
func debugStructure(enc, title string) func(c *session, ctx *command.Ctx) error {
	return func(c *session, ctx *command.Ctx) error {
		return c.debugRead(ctx, func(keys *keyspace.Space) error {
			got, ok, err := keys.Encoding(ctx.Args[2])
			switch {
			case err != nil:
				return err
			case !ok:
				return command.ErrNoSuchKey
			case !strings.HasPrefix(got, enc):
				return errNotEncoded(enc)
			}
			ctx.Out.Simple(title + " structure is not kept")
			return nil
		})
	}
}

func (c *session) debugDigest(ctx *command.Ctx) error {
	return c.debugRead(ctx, func(keys *keyspace.Space) error {
		d, err := command.DigestAll(keys)
		ctx.Out.Simple(d.String())
		return err
	})
}

func (c *session) debugDigestValue(ctx *command.Ctx) error {
	return c.debugRead(ctx, func(keys *keyspace.Space) error {
		ctx.Out.Array(len(ctx.Args) - 2)
		for _, key := range ctx.Args[2:] {
			d, err := command.DigestValue(keys, key)
			if err != nil {
				return err
			}
			ctx.Out.Simple(d.String())
		}
		return nil
	})
}

// populateBatch is how many keys DEBUG POPULATE makes in one transaction.
const populateBatch = 256

func (c *session) debugPopulate(ctx *command.Ctx) error {
	count, err := parseInt(ctx.Args[2])
	if err != nil || count < 0 {
		return command.ErrNotPositive
	}
	prefix, size := "key", int64(0)
	if len(ctx.Args) > 3 {
		prefix = string(ctx.Args[3])
	}
	if len(ctx.Args) > 4 {
		if size, err = parseInt(ctx.Args[4]); err != nil || size < 0 || size > c.srv.cfg.Load().bulkMax {
			return command.ErrNotPositive
		}
	}
	if !ctx.MayBlock {
		return errNotInMulti
	}
	for from := int64(0); from < count; from += populateBatch {
		to := min(from+populateBatch, count)
		if err := c.populate(prefix, size, from, to); err != nil {
			return err
		}
	}
	ctx.Out.OK()
	return nil
}

// populate makes the keys with the numbers from from to to, but for those that are there.
func (c *session) populate(prefix string, size, from, to int64) error {
	var failed error
	err := c.srv.db.Sequence(c.srv.ctx, func(seq *txn.Seq) {
		failed = c.srv.update(seq, &telling{by: c}, func(root *keyspace.Space) error {
			keys := root.DB(c.db)
			for i := from; i < to; i++ {
				key, value := fmt.Appendf(nil, "%s:%d", prefix, i), fmt.Appendf(nil, "value:%d", i)
				if size > 0 {
					value = append(make([]byte, 0, size), value[:min(size, int64(len(value)))]...)[:size]
				}
				kind, err := keys.Kind(key)
				if err == nil && kind == keyspace.KindNone {
					err = keys.SetString(key, value, 0)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		c.srv.storeFailed(err)
		return c.told(err, c.running)
	}
	return failed
}
