package keyspace

import "slices"

// Class is a set of classes of events, as the setting notify-keyspace-events names them.
type Class uint16

// The classes of events.
const (
	ClassGeneric Class = 1 << iota // g: commands for keys of every type
	ClassString                    // $
	ClassList                      // l
	ClassSet                       // s
	ClassHash                      // h
	ClassZSet                      // z
	ClassExpired                   // x: a key's time had come
	ClassEvicted                   // e: a key was given up for want of memory
	ClassStream                    // t
	ClassMiss                      // m: a key was asked for that is not there
	ClassNew                       // n: a key was created
)

// Event is one thing that has happened to a key, in the words of Redis' keyspace
// notifications. It belongs to whoever took it from Space.Events.
type Event struct {
	DB    int
	Class Class // exactly one
	Name  string
	Key   []byte
}

// Notify records an event, if anybody has asked for its class. It is told to
// others when the transaction is durable, and never if that fails.
func (s *Space) Notify(class Class, name string, key []byte) {
	if s.shared.classes&class != 0 {
		s.shared.events = append(s.shared.events, Event{s.db, class, name, key})
	}
}

// misses returns those of the events that no write has made.
func misses(events []Event) []Event {
	return slices.DeleteFunc(events, func(e Event) bool { return e.Class != ClassMiss })
}

// Mute keeps events of some classes from being recorded in the transaction.
func (s *Space) Mute(classes Class) { s.shared.classes &^= classes }

// Events returns what Notify has recorded through the spaces of the transaction, in order.
func (s *Space) Events() []Event { return s.shared.events }
