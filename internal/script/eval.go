package script

import (
	"errors"
	"strconv"
	"strings"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/lua"
)

func eval(c *command.Ctx) error   { return evalBody(c, false) }
func evalRO(c *command.Ctx) error { return evalBody(c, true) }

func evalSHA(c *command.Ctx) error   { return evalDigest(c, false) }
func evalSHARO(c *command.Ctx) error { return evalDigest(c, true) }

func evalBody(c *command.Ctx, readOnly bool) error {
	keys, argv, err := splitKeys(c, command.ErrNotInteger)
	if err != nil {
		return err
	}
	e := engineOf(c)
	s := e.cache.findBody(c.Args[1])
	if s == nil {
		if s, err = newScript(c.Args[1]); err != nil {
			return err
		}
	}
	return e.carryOut(c, &e.evals, start{
		name: s.sha, flags: s.flags, readOnly: readOnly, keys: keys, argv: argv,
		find: func(w *world) (*lua.Function, error) {
			fn, err := w.script(s)
			if err == nil {
				e.cache.remember(s)
			}
			return fn, err
		},
	})
}

func evalDigest(c *command.Ctx, readOnly bool) error {
	e := engineOf(c)
	if len(c.Args[1]) != digestLength {
		return errNoScript
	}
	keys, argv, err := splitKeys(c, command.ErrNotInteger)
	if err != nil {
		return err
	}
	s := e.cache.find(c.Args[1])
	if s == nil {
		return errNoScript
	}
	return e.carryOut(c, &e.evals, start{
		name: s.sha, flags: s.flags, readOnly: readOnly, keys: keys, argv: argv,
		find: func(w *world) (*lua.Function, error) { return w.script(s) },
	})
}

// newScript reads the first line of a script.
func newScript(body []byte) (*cached, error) {
	f, skip, err := parseShebang(body)
	if err != nil {
		return nil, err
	}
	return &cached{sha: digest(body), body: string(body), skip: skip, flags: f}, nil
}

// splitKeys returns the keys and the other arguments of a call that says how many keys it has.
func splitKeys(c *command.Ctx, notANumber command.Error) (keys, argv [][]byte, err error) {
	n, err := strconv.ParseInt(string(c.Args[2]), 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != string(c.Args[2]) {
		return nil, nil, notANumber
	}
	rest := c.Args[3:]
	switch {
	case n > int64(len(rest)):
		return nil, nil, errNumKeysMany
	case n < 0:
		return nil, nil, errNumKeysLow
	}
	return rest[:n], rest[n:], nil
}

func scriptLoad(c *command.Ctx) error {
	e := engineOf(c)
	s := e.cache.findBody(c.Args[2])
	if s == nil {
		var err error
		if s, err = newScript(c.Args[2]); err != nil {
			return err
		}
		if err := e.compile(c, s); err != nil {
			return err
		}
	}
	e.cache.keep(s)
	c.Out.BulkString(s.sha)
	return nil
}

// compile looks whether a script can be compiled. It may take as long as a script that runs, and can
// be killed like one.
func (e *Engine) compile(c *command.Ctx, s *cached) error {
	w := e.evals.take()
	defer e.evals.put(w)
	w.run = &run{engine: e, host: hostOf(c), ctx: c, world: w, name: s.sha, began: e.opts.Now()}
	defer func() { w.run = nil }()
	e.begin(w.run)
	defer e.end(w.run)
	_, err := w.script(s)
	switch {
	case errors.Is(err, errKilled):
		return errKilledText
	case errors.Is(err, errStopped):
		return errShutdown
	}
	return err
}

func scriptExists(c *command.Ctx) error {
	e := engineOf(c)
	c.Out.Array(len(c.Args) - 2)
	for _, sha := range c.Args[2:] {
		if e.cache.find(sha) != nil {
			c.Out.Int(1)
		} else {
			c.Out.Int(0)
		}
	}
	return nil
}

func scriptFlush(c *command.Ctx) error {
	if len(c.Args) > 3 || len(c.Args) == 3 && !flushMode(c.Args[2]) {
		return errFlushMode
	}
	e := engineOf(c)
	e.cache.flush()
	e.evals.drop()
	c.Out.OK()
	return nil
}

// flushMode reports whether an argument says how to flush, which makes no difference.
func flushMode(arg []byte) bool {
	mode := strings.ToLower(string(arg))
	return mode == "sync" || mode == "async"
}

func scriptKill(c *command.Ctx) error {
	if err := engineOf(c).kill(false); err != nil {
		return err
	}
	c.Out.OK()
	return nil
}

func scriptDebug(c *command.Ctx) error {
	switch strings.ToLower(string(c.Args[2])) {
	case "no":
		c.Out.OK()
		return nil
	case "yes", "sync":
		return errDebugger
	}
	return errDebugMode
}
