package acl

import (
	"strings"

	"github.com/elastickv/elastickv/internal/command"
)

// describe returns rules that make the selector anew.
func (s *selector) describe() string {
	words := make([]string, 0, 8)
	if s.allKeys {
		words = append(words, "~*")
	}
	for _, p := range s.keys {
		words = append(words, p.String())
	}
	if s.allChannels {
		words = append(words, "&*")
	} else {
		words = append(words, "resetchannels")
	}
	for _, glob := range s.channels {
		words = append(words, "&"+glob)
	}
	return strings.Join(append(words, s.describeCommands()), " ")
}

// describeCommands returns rules that allow the selector's commands and no others: all or
// none to begin with, then the categories that bring it nearest one by one, then
// single commands.
func (s *selector) describeCommands() string {
	c := s.catalog
	words, made := []string{"-@all"}, c.none()
	add, undo := "+", false
	if s.future {
		words, made, add, undo = []string{"+@all"}, c.every(), "-", true
	}
	left := append(commandSet{}, s.commands...)
	for applied := command.Category(0); ; {
		best, ok := s.bestCategory(left, applied)
		if !ok {
			break
		}
		words = append(words, add+best.Names()[0])
		c.putCategory(made, best, !undo)
		c.putCategory(left, best, undo)
		applied |= best
	}
	for n, cmd := range c.all {
		if in := s.commands.has(n); in != made.has(n) {
			c.put(made, cmd, in)
			words = append(words, sign(in)+cmd.FullName())
		}
		if !s.commands.has(n) {
			for _, arg := range s.firstArgs[cmd] {
				words = append(words, "+"+cmd.FullName()+"|"+arg)
			}
		}
	}
	return strings.Join(words, " ")
}

func sign(in bool) string {
	if in {
		return "+"
	}
	return "-"
}

// bestCategory returns the category not yet applied of which more commands are as the
// selector has them than are not: the one with the fewest that are not, and of those the one
// with the most that are.
func (s *selector) bestCategory(left commandSet, applied command.Category) (best command.Category, ok bool) {
	fewest, most := int(^uint(0)>>1), 0
	for _, cat := range command.AllCategories() {
		if cat&applied != 0 {
			continue
		}
		same, diff := s.catalog.count(left, cat)
		if s.future {
			same, diff = diff, same
		}
		if same > diff && (diff < fewest || diff == fewest && same > most) {
			best, ok, fewest, most = cat, true, diff, same
		}
	}
	return best, ok
}

// Selector is a selector in words, as ACL GETUSER shows it.
type Selector struct{ Commands, Keys, Channels string }

func (s *selector) words() Selector {
	w := Selector{Commands: s.describeCommands(), Keys: "~*", Channels: "&*"}
	if !s.allKeys {
		var keys []string
		for _, p := range s.keys {
			keys = append(keys, p.String())
		}
		w.Keys = strings.Join(keys, " ")
	}
	if !s.allChannels {
		var channels []string
		for _, glob := range s.channels {
			channels = append(channels, "&"+glob)
		}
		w.Channels = strings.Join(channels, " ")
	}
	return w
}
