package server

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/pubsub"
	"github.com/elastickv/elastickv/internal/tracking"
	"github.com/elastickv/elastickv/internal/txn"
)

// notifications is the value of the setting notify-keyspace-events: which events of keys are
// published, and on which of their two channels.
type notifications struct {
	classes     keyspace.Class
	module      bool // d: of modules, which there are none of
	byKey       bool // K: on the channel of the key
	byEventName bool // E: on the channel of the event
}

// eventClasses are the letters of the classes, in the order in which Redis shows them. All but the
// last and d, which is no class, are what A stands for.
var eventClasses = []struct {
	letter byte
	class  keyspace.Class
}{
	{'g', keyspace.ClassGeneric}, {'$', keyspace.ClassString}, {'l', keyspace.ClassList}, {'s', keyspace.ClassSet},
	{'h', keyspace.ClassHash}, {'z', keyspace.ClassZSet}, {'x', keyspace.ClassExpired}, {'e', keyspace.ClassEvicted},
	{'t', keyspace.ClassStream},
}

// classesOfA are those that A stands for.
var classesOfA = func() (all keyspace.Class) {
	for _, c := range eventClasses {
		all |= c.class
	}
	return all
}()

func parseNotifications(v string) (n notifications, err error) {
	for i := range len(v) {
		switch v[i] {
		case 'A':
			n.classes |= classesOfA
			n.module = true
		case 'd':
			n.module = true
		case 'K':
			n.byKey = true
		case 'E':
			n.byEventName = true
		case 'm':
			n.classes |= keyspace.ClassMiss
		case 'n':
			n.classes |= keyspace.ClassNew
		default:
			if n.classes, err = withClass(n.classes, v[i]); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func withClass(all keyspace.Class, letter byte) (keyspace.Class, error) {
	for _, c := range eventClasses {
		if c.letter == letter {
			return all | c.class, nil
		}
	}
	return 0, errEventClass
}

// String shows the setting as Redis does. With A, it leaves out n.
func (n notifications) String() string {
	var b strings.Builder
	put := func(letter byte, on bool) {
		if on {
			b.WriteByte(letter)
		}
	}
	all := n.module && n.classes&classesOfA == classesOfA
	put('A', all)
	for _, c := range eventClasses {
		put(c.letter, !all && n.classes&c.class != 0)
	}
	put('d', !all && n.module)
	put('n', !all && n.classes&keyspace.ClassNew != 0)
	put('K', n.byKey)
	put('E', n.byEventName)
	put('m', n.classes&keyspace.ClassMiss != 0)
	return b.String()
}

// recorded returns the classes of events that transactions have to record.
func (n notifications) recorded() keyspace.Class {
	if !n.byKey && !n.byEventName {
		return 0
	}
	return n.classes
}

// publish tells the subscribers of an event.
func (n notifications) publish(s *Server, e keyspace.Event) {
	db := strconv.Itoa(e.DB)
	if n.byKey {
		channel := append([]byte("__keyspace@"+db+"__:"), e.Key...)
		s.publish(pubsub.Channel, channel, []byte(e.Name), pubsub.Own{})
	}
	if n.byEventName {
		s.publish(pubsub.Channel, []byte("__keyevent@"+db+"__:"+e.Name), e.Key, pubsub.Own{})
	}
}

// telling is what others are to be told of a transaction.
type telling struct {
	by       *session     // who has made it; nil: nobody
	said     []saying     // published in it
	heard    []byte       // what of it the session hears itself, behind the reply
	due      tracking.Due // changes
	reported int          // changes of the transaction that are in due
}

// saying is a message that was published in a transaction.
type saying struct {
	by               *pubsub.Client // who hears it otherwise, or not at all if they had not subscribed then
	kind             pubsub.Kind
	channel, payload []byte
	after            int // events that came before it
}

// collect adds the changes of the transaction so far to those that clients have to forget.
func (t *telling) collect(table *tracking.Table, changes []keyspace.Change) {
	from := min(t.reported, len(changes)) // some may have been taken back since
	t.reported = len(changes)
	if !table.Active() || from == len(changes) {
		return
	}
	var by tracking.ID
	if t.by != nil {
		by = tracking.ID(t.by.id)
	}
	fresh := make([]tracking.Change, 0, len(changes)-from)
	for i := from; i < len(changes); i++ {
		ch := changes[i]
		if ch.Key == nil && i > from && changes[i-1].Key == nil && changes[i-1].DB == ch.DB-1 {
			continue // of one FLUSHALL
		}
		fresh = append(fresh, tracking.Change{Key: ch.Key, Expired: ch.Expired})
	}
	table.Collect(&t.due, by, fresh...)
}

// tell sees to it that others are told of a transaction inside the sequencer when it is durable.
func (s *Server) tell(seq *txn.Seq, t *telling, root *keyspace.Space) {
	t.collect(s.tracking, root.Changes())
	events, how := root.Events(), s.cfg.Load().notify
	if t.due.Empty() && len(events) == 0 && len(t.said) == 0 {
		return
	}
	due, said := t.due, t.said
	t.due, t.said = tracking.Due{}, nil
	seq.AfterSync(func() {
		read, broadcast := s.tracking.Settle(&due)
		s.sendInvalidations(read)
		s.publishAll(how, events, said)
		s.sendInvalidations(broadcast)
	})
}

// tellNow tells others of the session's transaction, which was on a snapshot, unless it has failed.
// Keys that it has found expired go.
func (c *session) tellNow(err error) {
	if err != nil {
		return
	}
	if events, said := c.tx.Events(), c.telling.said; len(events)+len(said) > 0 && c.srv.heard() {
		c.srv.db.Settled() // what the client has read is told before what it says
		c.srv.publishAll(c.srv.cfg.Load().notify, events, said)
	}
	for _, k := range c.tx.Overdue() {
		k.Key = bytes.Clone(k.Key)
		c.overdue = append(c.overdue, k)
	}
}

// tellNothing ends the telling of a transaction that has not happened. Who was taken for one who
// has to be told of its changes is told, since it is forgotten that they have read the keys.
func (s *Server) tellNothing(t *telling) {
	if !t.due.Empty() {
		read, _ := s.tracking.Settle(&t.due)
		s.sendInvalidations(read)
		t.due = tracking.Due{}
	}
}

// publishAll publishes events and messages of a transaction in the order in which they came.
func (s *Server) publishAll(how notifications, events []keyspace.Event, said []saying) {
	if !s.heard() {
		return
	}
	for i, e := range events {
		for len(said) > 0 && said[0].after <= i {
			said[0].publish(s)
			said = said[1:]
		}
		how.publish(s, e)
	}
	for _, m := range said {
		m.publish(s)
	}
}

func (m *saying) publish(s *Server) {
	s.publish(m.kind, m.channel, m.payload, pubsub.Own{Client: m.by, Deliver: func(*pubsub.Message) {}})
}

// removeOverdue removes keys that reads have found expired, as Redis does when they are
// asked for, so that whoever waits for that need not wait for the next round.
func (c *session) removeOverdue() {
	keys := c.overdue
	c.overdue = nil
	s := c.srv
	if s.pauses.active.Load() || !s.leads() {
		return
	}
	err := s.db.Sequence(s.scripts.calm.Load().ctx, func(seq *txn.Seq) {
		err := s.update(seq, &telling{by: c}, func(root *keyspace.Space) error {
			for _, k := range keys {
				if err := root.DB(k.DB).Expire(k.Key); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			s.commandFailed(c, err)
		}
	})
	if busy := command.Error(""); err != nil && !errors.As(err, &busy) && errorOf(err) == "" {
		c.ending = true
		s.storeFailed(err)
	}
}
