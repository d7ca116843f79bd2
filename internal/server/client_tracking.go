package server

import (
	"slices"
	"strings"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/tracking"
)

// clientTrackingRows are the subcommands of CLIENT about client-side caching.
var clientTrackingRows = []*command.Command{
	{Name: "tracking", Arity: -3, Flags: sessionFlags, Run: clientTracking, Since: "6.0.0",
		Syntax:  "status(ON | OFF) [REDIRECT client-id] [PREFIX prefix]... [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
		Summary: "Chooses whether the client is told when keys that it has read change.", Complexity: "O(1). Some options may introduce additional complexity."},
	{Name: "caching", Arity: 3, Flags: sessionFlags, Run: clientCaching, Since: "6.0.0",
		Syntax:  "mode(YES | NO)",
		Summary: "Says whether what the next command reads counts as read.", Complexity: "O(1)"},
	{Name: "getredir", Arity: 2, Flags: sessionFlags, Run: clientGetRedir, Since: "6.0.0",
		Summary: "Returns which connection is told of invalidated keys.", Complexity: "O(1)"},
	{Name: "trackinginfo", Arity: 2, Flags: sessionFlags, Run: clientTrackingInfo, Since: "6.2.0",
		Summary: "Returns how the client is told of changes of keys.", Complexity: "O(1)"},
}

func clientTracking(ctx *command.Ctx) error {
	c := callerOf(ctx)
	m, err := c.parseTracking(ctx.Args[3:])
	if err != nil {
		return err
	}
	on, err := onOff(ctx.Args[2])
	if err != nil {
		return err
	}
	if !on {
		c.stopTracking()
		ctx.Out.OK()
		return nil
	}
	old, _ := c.srv.tracking.Mode(tracking.ID(c.id))
	if err := c.checkTracking(m, old); err != nil {
		return err
	}
	c.srv.tracking.Enable(tracking.ID(c.id), m)
	c.tracking.on, c.tracking.optIn, c.tracking.optOut = !m.Broadcast, m.OptIn, m.OptOut
	ctx.Out.OK()
	return nil
}

func (c *session) parseTracking(args [][]byte) (m tracking.Mode, err error) {
	for i := 0; i < len(args); i++ {
		more := i+1 < len(args)
		switch word := strings.ToLower(string(args[i])); {
		case word == "redirect" && more:
			i++
			if m.Redirect, err = c.parseRedirect(m.Redirect, args[i]); err != nil {
				return m, err
			}
		case word == "bcast":
			m.Broadcast = true
		case word == "optin":
			m.OptIn = true
		case word == "optout":
			m.OptOut = true
		case word == "noloop":
			m.NoLoop = true
		case word == "prefix" && more:
			i++
			m.Prefixes = append(m.Prefixes, string(args[i]))
		default:
			return m, command.ErrSyntax
		}
	}
	return m, nil
}

// parseRedirect reads the number of a connection that is there at this moment.
func (c *session) parseRedirect(before tracking.ID, arg []byte) (tracking.ID, error) {
	if before != 0 {
		return 0, errRedirectTwice
	}
	id, err := parseInt(arg)
	if err != nil {
		return 0, err
	}
	if c.srv.sessions.find(id) == nil {
		return 0, errRedirectGone
	}
	return tracking.ID(id), nil
}

// checkTracking reports options that do not go together, or not with those in force. old is the
// zero Mode if there are none.
func (c *session) checkTracking(m, old tracking.Mode) error {
	_, on := c.srv.tracking.Mode(tracking.ID(c.id))
	switch {
	case !m.Broadcast && len(m.Prefixes) > 0:
		return errPrefixNoBroadcast
	case on && m.Broadcast != old.Broadcast:
		return errSwitchBroadcast
	case m.Broadcast && (m.OptIn || m.OptOut):
		return errOptBroadcast
	case m.OptIn && m.OptOut:
		return errOptBoth
	case m.OptIn && old.OptOut, m.OptOut && old.OptIn:
		return errSwitchOpt
	}
	return checkPrefixes(m.Prefixes, old.Prefixes)
}

// checkPrefixes reports prefixes that begin with one another: a key would be told of twice.
// The first one that does is named, with the first other.
func checkPrefixes(given, old []string) error {
	i := firstOverlap(given, old)
	if i < 0 {
		return nil
	}
	p := given[i]
	overlaps := func(o string) bool { return strings.HasPrefix(p, o) || strings.HasPrefix(o, p) }
	if j := slices.IndexFunc(old, overlaps); j >= 0 {
		return errPrefixExists(p, old[j])
	}
	return errPrefixGiven(p, given[i+1+slices.IndexFunc(given[i+1:], overlaps)])
}

// firstOverlap returns which of the given prefixes is the first that overlaps with another, given or old; -1 if none does. Not each
// is compared with each, for there may be half a million: in order, what begins with a prefix stands right behind it.
func firstOverlap(given, old []string) int {
	type numbered struct {
		prefix string
		at     int // in given; below 0: it is old
	}
	all := make([]numbered, 0, len(given)+len(old))
	for i, p := range given {
		all = append(all, numbered{p, i})
	}
	for _, p := range old {
		all = append(all, numbered{p, -1})
	}
	slices.SortFunc(all, func(a, b numbered) int { return strings.Compare(a.prefix, b.prefix) })
	first := -1
	note := func(n numbered) {
		if n.at >= 0 && (first < 0 || n.at < first) {
			first = n.at
		}
	}
	var open []numbered // each begins with the one before it
	for _, n := range all {
		for len(open) > 0 && !strings.HasPrefix(n.prefix, open[len(open)-1].prefix) {
			open = open[:len(open)-1]
		}
		if len(open) > 0 {
			note(open[len(open)-1])
			note(n)
		}
		open = append(open, n)
	}
	return first
}

func clientCaching(ctx *command.Ctx) error {
	c := callerOf(ctx)
	if _, on := c.srv.tracking.Mode(tracking.ID(c.id)); !on {
		return errCachingOff
	}
	switch strings.ToLower(string(ctx.Args[2])) {
	case "yes":
		if !c.tracking.optIn {
			return errCachingYes
		}
	case "no":
		if !c.tracking.optOut {
			return errCachingNo
		}
	default:
		return command.ErrSyntax
	}
	c.tracking.caching = true
	ctx.Out.OK()
	return nil
}

// redirect returns which connection is told in the session's place, 0 if none is, and -1
// if nobody is told anything.
func (c *session) redirect() int64 {
	m, on := c.srv.tracking.Mode(tracking.ID(c.id))
	if !on {
		return -1
	}
	return int64(m.Redirect)
}

func clientGetRedir(ctx *command.Ctx) error {
	ctx.Out.Int(callerOf(ctx).redirect())
	return nil
}

func clientTrackingInfo(ctx *command.Ctx) error {
	c := callerOf(ctx)
	m, on := c.srv.tracking.Mode(tracking.ID(c.id))
	flags := c.trackingFlags(m, on)
	w := ctx.Out
	w.Map(3)
	w.BulkString("flags")
	w.Set(len(flags))
	for _, f := range flags {
		w.BulkString(f)
	}
	w.BulkString("redirect")
	w.Int(c.redirect())
	w.BulkString("prefixes")
	w.Array(len(m.Prefixes))
	for _, p := range m.Prefixes {
		w.BulkString(p)
	}
	return nil
}

// trackingFlags are the words of CLIENT TRACKINGINFO.
func (c *session) trackingFlags(m tracking.Mode, on bool) []string {
	if !on {
		return []string{"off"}
	}
	flags := []string{"on"}
	for _, f := range []struct {
		word string
		on   bool
	}{
		{"bcast", m.Broadcast},
		{"optin", m.OptIn},
		{"caching-yes", m.OptIn && c.tracking.caching},
		{"optout", m.OptOut},
		{"caching-no", m.OptOut && c.tracking.caching},
		{"noloop", m.NoLoop},
		{"broken_redirect", m.Broken},
	} {
		if f.on {
			flags = append(flags, f.word)
		}
	}
	return flags
}
