package acl

import "strings"

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

// describeCommands returns rules that allow the selector's commands and no others: all or none to begin with, then
// what has been said since.
func (s *selector) describeCommands() string {
	begin := "-@all"
	if s.future {
		begin = "+@all"
	}
	return strings.Join(append([]string{begin}, s.rules...), " ")
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
