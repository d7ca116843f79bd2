package acl

import (
	"maps"
	"slices"
	"strings"

	"github.com/elastickv/elastickv/internal/command"
)

// access is what a pattern lets one do with keys.
type access uint8

const (
	readAccess access = 1 << iota
	writeAccess
)

// keyPattern allows access to the keys that match a glob-style pattern.
type keyPattern struct {
	glob   string
	access access
}

func (p keyPattern) String() string {
	switch p.access {
	case readAccess:
		return "%R~" + p.glob
	case writeAccess:
		return "%W~" + p.glob
	}
	return "~" + p.glob
}

// selector allows commands together with keys and channels.
type selector struct {
	catalog     *catalog
	root        bool // that of the user itself, written without parentheses
	everything  bool // every command; the set says the same
	future      bool // began with every command: those to come are allowed, too
	commands    commandSet
	rules       []string                      // that have made the set of all commands, or of none: what ACL LIST shows
	firstArgs   map[*command.Command][]string // first arguments with which a forbidden command is allowed
	allKeys     bool
	keys        []keyPattern
	allChannels bool
	channels    []string
}

func newSelector(c *catalog) *selector { return &selector{catalog: c, commands: c.none()} }

func (s *selector) clone() *selector {
	c := *s
	c.commands = slices.Clone(s.commands)
	c.rules = slices.Clone(s.rules)
	c.firstArgs = maps.Clone(s.firstArgs) // its lists are only ever appended to
	for cmd, args := range c.firstArgs {
		c.firstArgs[cmd] = slices.Clip(args)
	}
	c.keys = slices.Clone(s.keys)
	c.channels = slices.Clone(s.channels)
	return &c
}

// apply carries out one rule.
func (s *selector) apply(rule string) error {
	switch strings.ToLower(rule) {
	case "allkeys", "~*":
		s.allKeys, s.keys = true, nil
	case "resetkeys":
		s.allKeys, s.keys = false, nil
	case "allchannels", "&*":
		s.allChannels, s.channels = true, nil
	case "resetchannels":
		s.allChannels, s.channels = false, nil
	case "allcommands", "+@all":
		s.everything, s.future, s.commands = true, true, s.catalog.every()
		s.rules, s.firstArgs = nil, nil
	case "nocommands", "-@all":
		s.everything, s.future, s.commands = false, false, s.catalog.none()
		s.rules, s.firstArgs = nil, nil
	default:
		return s.applyPrefixed(rule)
	}
	return nil
}

// applyPrefixed carries out a rule that is told by its first characters.
func (s *selector) applyPrefixed(rule string) error {
	switch {
	case strings.HasPrefix(rule, "~"):
		return s.addKeys(rule[1:], readAccess|writeAccess)
	case strings.HasPrefix(rule, "%"):
		a, glob, err := parseAccess(rule[1:])
		if err != nil {
			return err
		}
		return s.addKeys(glob, a)
	case strings.HasPrefix(rule, "&"):
		return s.addChannels(rule[1:])
	case strings.HasPrefix(rule, "+@"), strings.HasPrefix(rule, "-@"):
		cat, ok := command.CategoryNamed(strings.ToLower(rule[2:]))
		if !ok {
			return errUnknown
		}
		s.putCategory(cat, rule[0] == '+')
		s.remember(rule)
		return nil
	case strings.HasPrefix(rule, "+"):
		return s.allow(rule[1:])
	case strings.HasPrefix(rule, "-"):
		cmd := s.catalog.named(rule[1:])
		if cmd == nil {
			return errUnknown
		}
		s.put(cmd, false)
		s.remember("-" + cmd.FullName())
		return nil
	}
	return errSyntax
}

// parseAccess reads letters up to a tilde, and returns what follows.
func parseAccess(rule string) (a access, glob string, err error) {
	for i := range len(rule) {
		switch b := rule[i]; {
		case (b == 'R' || b == 'r') && a&readAccess == 0:
			a |= readAccess
		case (b == 'W' || b == 'w') && a&writeAccess == 0:
			a |= writeAccess
		case b == '~' && a != 0:
			return a, rule[i+1:], nil
		default:
			return 0, "", errSyntax
		}
	}
	return 0, "", errSyntax
}

func (s *selector) addKeys(glob string, a access) error {
	if s.allKeys {
		return errAllKeys
	}
	if !printable(glob) || !s.inSelector(glob) {
		return errSyntax
	}
	for i := range s.keys {
		if s.keys[i].glob == glob {
			s.keys[i].access |= a
			return nil
		}
	}
	s.keys = append(s.keys, keyPattern{glob, a})
	return nil
}

func (s *selector) addChannels(glob string) error {
	if s.allChannels {
		return errAllChannels
	}
	if !printable(glob) || !s.inSelector(glob) {
		return errSyntax
	}
	if !slices.Contains(s.channels, glob) {
		s.channels = append(s.channels, glob)
	}
	return nil
}

// printable reports whether a name survives being written to a file of words.
func printable(name string) bool { return !strings.ContainsAny(name, " \t\n\v\f\r\x00") }

// inSelector reports whether a pattern survives being written between parentheses.
func (s *selector) inSelector(glob string) bool { return s.root || !strings.HasSuffix(glob, ")") }

// allow carries out a rule of a command, a subcommand or a first argument.
func (s *selector) allow(name string) error {
	cut := strings.LastIndexByte(name, '|')
	if cut < 0 {
		cmd := s.catalog.named(name)
		if cmd == nil {
			return errUnknown
		}
		s.put(cmd, true)
		s.remember("+" + cmd.FullName())
		return nil
	}
	cmd, arg := s.catalog.named(name[:cut]), name[cut+1:]
	switch {
	case cmd == nil:
		return errUnknown
	case strings.Contains(name[:cut], "|"):
		return errFirstArg
	case arg == "" || !printable(arg):
		return errSyntax
	case len(cmd.Sub) > 0:
		sub := s.catalog.named(name)
		if sub == nil {
			return errUnknown
		}
		s.put(sub, true)
		s.remember("+" + name)
		return nil
	}
	s.remember("+" + name)
	if s.firstArgs == nil {
		s.firstArgs = make(map[*command.Command][]string)
	}
	same := func(a string) bool { return strings.EqualFold(a, arg) }
	if !slices.ContainsFunc(s.firstArgs[cmd], same) {
		s.firstArgs[cmd] = append(s.firstArgs[cmd], arg)
	}
	return nil
}

// remember puts a rule of commands behind those before it. It takes the place of one about the same command or
// category, and of those about parts of the command.
func (s *selector) remember(rule string) {
	rule = strings.ToLower(rule)
	about := rule[1:]
	s.rules = slices.DeleteFunc(s.rules, func(r string) bool {
		return r[1:] == about || strings.HasPrefix(r[1:], about+"|")
	})
	s.rules = append(s.rules, rule)
}

func (s *selector) put(cmd *command.Command, in bool) {
	s.catalog.put(s.commands, cmd, in)
	s.everything = s.everything && in
	delete(s.firstArgs, cmd)
}

func (s *selector) putCategory(cat command.Category, in bool) {
	s.catalog.putCategory(s.commands, cat, in)
	s.everything = s.everything && in
	for cmd := range s.firstArgs {
		if cmd.Categories()&cat != 0 {
			delete(s.firstArgs, cmd)
		}
	}
}
