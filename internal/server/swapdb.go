package server

import (
	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/keyspace"
)

var swapdbRow = &command.Command{
	Name: "swapdb", Arity: 3, Flags: command.Write | command.Fast, Group: command.GroupServer,
	Syntax: "index1:integer index2:integer",
	Cats:   command.CatKeyspace | command.CatDangerous, Run: swapdb, Since: "4.0.0",
	Summary:    "Makes two databases take each other's keys.",
	Complexity: "O(N) where N is the number of keys of both databases that somebody watches or waits for",
}

func swapdb(ctx *command.Ctx) error {
	a, err := parseInt(ctx.Args[1])
	if err != nil || a != int64(int32(a)) {
		return errFirstIndex
	}
	b, err := parseInt(ctx.Args[2])
	if err != nil || b != int64(int32(b)) {
		return errSecondIndex
	}
	if min(a, b) < 0 || max(a, b) >= keyspace.Databases {
		return command.ErrInvalidDBIndex
	}
	ctx.Out.OK()
	if a == b {
		return nil
	}
	if err := serverOf(ctx).touchSwapped(ctx.Keys.DB(int(a)), ctx.Keys.DB(int(b))); err != nil {
		return err
	}
	return ctx.Keys.Swap(int(a), int(b))
}

// touchSwapped tells those who watch keys of two databases that are about to be swapped: of each
// key that is there now, or is going to be.
func (s *Server) touchSwapped(a, b *keyspace.Space) error {
	for _, pair := range [][2]*keyspace.Space{{a, b}, {b, a}} {
		for _, key := range s.watches.of(pair[0].Number()) {
			there, err := existsIn(key, pair[:])
			if err != nil {
				return err
			}
			if there {
				pair[0].Touch([]byte(key))
			}
		}
	}
	return nil
}

// existsIn reports whether a key is in one of several databases.
func existsIn(key string, spaces []*keyspace.Space) (bool, error) {
	for _, s := range spaces {
		kind, err := s.Kind([]byte(key))
		if err != nil || kind != keyspace.KindNone {
			return err == nil, err
		}
	}
	return false, nil
}
