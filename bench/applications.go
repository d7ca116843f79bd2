package main

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"strconv"

	"github.com/elastickv/elastickv/internal/resp"
)

// leaderboard is one sorted set: points are won, the best are shown, players ask where they stand.
func leaderboard(o *mixesCommand) scene {
	const board = "board"
	player := func(w *worker) string { return "player:" + strconv.Itoa(w.rng.IntN(o.records)) }
	win := func(w *worker) error {
		_, err := w.do("ZINCRBY", board, strconv.Itoa(1+w.rng.IntN(100)), player(w))
		return err
	}
	best := func(w *worker) error {
		v, err := w.do("ZREVRANGE", board, "0", "9", "WITHSCORES")
		if err == nil && len(v.Elems) != 2*min(10, o.records) {
			err = wrongAnswer(v, "ZREVRANGE", board)
		}
		return err
	}
	where := func(w *worker) error {
		v, err := w.do("ZREVRANK", board, player(w))
		if err == nil && v.Kind != resp.KindInt {
			err = wrongAnswer(v, "ZREVRANK", board)
		}
		return err
	}
	return scene{
		fill: func(ctx context.Context, s *server) error {
			return s.fill(ctx, o.records, func(w *worker, i int) {
				w.add("ZADD", board, strconv.Itoa(scatter(i, o.records)), "player:"+strconv.Itoa(i))
			})
		},
		mixes: []mix{
			{name: "leaderboard: 50% ZINCRBY, 50% ZREVRANGE 0 9", op: either(.5, win, best)},
			{name: "leaderboard: ZREVRANK", op: where},
		},
	}
}

// limiterScript counts the calls of a user in a window that begins with the first one.
const limiterScript = `local n = redis.call('INCR', KEYS[1])
if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return n`

const limiterWindow = "1000" // milliseconds

// rateLimiter is a script that most requests of a service would call first.
func rateLimiter(o *mixesCommand) scene {
	users := newZipf(o.records)
	sum := sha1.Sum([]byte(limiterScript))
	digest := hex.EncodeToString(sum[:])
	return scene{
		fill: func(_ context.Context, s *server) error {
			_, err := s.call("SCRIPT", "LOAD", limiterScript)
			return err
		},
		mixes: []mix{{name: "rate limiter: EVALSHA of INCR, PEXPIRE", op: func(w *worker) error {
			v, err := w.do("EVALSHA", digest, "1", "limit:"+strconv.Itoa(users.scattered(w.rng)), limiterWindow)
			if err == nil && v.Int < 1 {
				err = wrongAnswer(v, "EVALSHA")
			}
			return err
		}}},
	}
}

const (
	sessionSize = 500
	sessionLife = "1800" // seconds
)

// sessions are read by most requests, written anew by some, and made when they are missing.
func sessions(o *mixesCommand) scene {
	users := newZipf(o.records)
	key := func(w *worker) string { return "session:" + strconv.Itoa(users.scattered(w.rng)) }
	set := func(w *worker, key string) error {
		_, err := w.do("SET", key, value(w.rng.IntN(1<<30), sessionSize), "EX", sessionLife)
		return err
	}
	get := func(w *worker) error {
		k := key(w)
		v, err := w.do("GET", k)
		if err != nil || len(v.Str) == sessionSize {
			return err
		}
		if !v.IsNull() {
			return wrongAnswer(v, "GET", k)
		}
		return set(w, k)
	}
	change := either(.75, func(w *worker) error { return set(w, key(w)) }, func(w *worker) error {
		_, err := w.do("DEL", key(w))
		return err
	})
	return scene{
		fill: func(ctx context.Context, s *server) error {
			return s.fill(ctx, o.records, func(w *worker, i int) {
				w.add("SET", "session:"+strconv.Itoa(i), value(i, sessionSize), "EX", sessionLife)
			})
		},
		mixes: []mix{{name: "sessions: 80% GET, 15% SET EX, 5% DEL", op: either(.8, get, change)}},
	}
}
