package acl

import (
	"slices"
	"strings"

	"github.com/elastickv/elastickv/internal/command"
)

// Reason is why a call is denied. A higher one says more.
type Reason int

// The reasons.
const (
	Allowed Reason = iota
	DeniedCommand
	DeniedKey
	DeniedChannel
	DeniedAuth
)

var reasonNames = [...]string{"", "command", "key", "channel", "auth"}

// String returns the word that ACL LOG shows.
func (r Reason) String() string { return reasonNames[r] }

// Decision is whether a call is allowed, and if not, why.
type Decision struct {
	Reason Reason
	Arg    int // of the key or channel
}

// Check decides about a call, whose number of arguments is right.
func (u *User) Check(cmd *command.Command, args [][]byte) Decision {
	worst := Decision{Reason: DeniedCommand}
	for _, s := range u.rights.Load().selectors {
		d := s.check(cmd, args)
		switch {
		case d.Reason == Allowed:
			return d
		case d.Reason > worst.Reason, d.Reason == worst.Reason && d.Arg > worst.Arg:
			worst = d
		}
	}
	return worst
}

func (s *selector) check(cmd *command.Command, args [][]byte) Decision {
	if s.unrestricted() {
		return Decision{}
	}
	if !s.allows(cmd, args) {
		return Decision{Reason: DeniedCommand}
	}
	if !s.allKeys {
		for _, key := range cmd.KeysOf(args) {
			if key.Flags&command.KeyNotKey == 0 && !s.allowsKey(args[key.At], accessOf(key.Flags)) {
				return Decision{DeniedKey, key.At}
			}
		}
	}
	if !s.allChannels && cmd.Channels != command.NoChannels {
		for _, i := range cmd.ChannelPositions(args) {
			if !s.allowsChannel(string(args[i]), cmd.Channels == command.PatternArgs) {
				return Decision{DeniedChannel, i}
			}
		}
	}
	return Decision{}
}

func (s *selector) allows(cmd *command.Command, args [][]byte) bool {
	if s.everything || cmd.Has(command.NoAuth) || s.commands.has(s.catalog.number[cmd]) {
		return true
	}
	return len(args) > 1 && slices.ContainsFunc(s.firstArgs[cmd], func(a string) bool {
		return strings.EqualFold(a, string(args[1]))
	})
}

// accessOf is what a pattern has to allow for a key that is used as flags say.
func accessOf(flags command.KeyFlags) (a access) {
	if flags&command.KeyAccess != 0 {
		a |= readAccess
	}
	if flags&(command.KeyInsert|command.KeyDelete|command.KeyUpdate) != 0 {
		a |= writeAccess
	}
	return a
}

func (s *selector) allowsKey(key []byte, a access) bool {
	return slices.ContainsFunc(s.keys, func(p keyPattern) bool {
		return p.access&a == a && command.MatchGlob([]byte(p.glob), key)
	})
}

// allowsChannel decides about a channel, or about a pattern, which has to be word for word
// one of the selector's.
func (s *selector) allowsChannel(name string, isPattern bool) bool {
	if isPattern {
		return slices.Contains(s.channels, name)
	}
	return slices.ContainsFunc(s.channels, func(glob string) bool {
		return command.MatchGlob([]byte(glob), []byte(name))
	})
}

// Unrestricted reports whether the user itself, without its other selectors, may do everything.
func (u *User) Unrestricted() bool { return u.rights.Load().root().unrestricted() }

func (s *selector) unrestricted() bool { return s.everything && s.allKeys && s.allChannels }

// ReadsAll reports whether the user may run the call and read every key, whatever its
// name. Commands that read keys they do not name ask for that.
func (u *User) ReadsAll(cmd *command.Command, args [][]byte) bool {
	return slices.ContainsFunc(u.rights.Load().selectors, func(s *selector) bool {
		all := s.allKeys || slices.ContainsFunc(s.keys, func(p keyPattern) bool {
			return p.access&readAccess != 0 && p.glob == "*"
		})
		return all && s.check(cmd, args).Reason == Allowed
	})
}

// MayListen reports whether the user may be subscribed to a channel or pattern.
func (u *User) MayListen(name string, isPattern bool) bool {
	return slices.ContainsFunc(u.rights.Load().selectors, func(s *selector) bool {
		return s.allChannels || s.allowsChannel(name, isPattern)
	})
}
