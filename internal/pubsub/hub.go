package pubsub

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/elastickv/elastickv/internal/prefixes"
)

// Receiver is told of messages. Deliver returns at once, and calls neither the Hub nor a Client.
type Receiver interface{ Deliver(m *Message) }

// Hub knows all subscriptions. Its methods are safe for concurrent use. Messages reach all
// subscribers in one and the same order.
type Hub struct {
	match func(pattern, name []byte) bool
	total atomic.Int64 // subscriptions

	mu struct {
		sync.Mutex
		topics [Kinds]map[string]*topic
		// patterns has the topics of the kind Pattern, in order of their serial numbers,
		// by the bytes that everything they match begins with.
		patterns prefixes.Map[[]*topic]
		serial   uint64 // of the last topic or subscription
	}
}

// topic is what somebody has subscribed to.
type topic struct {
	name    string
	pattern []byte // the name, for the kind Pattern
	serial  uint64
	subs    []*subscription
}

type subscription struct {
	client *Client
	topic  *topic
	at     int    // its place in topic.subs
	serial uint64 // rises from subscription to subscription
}

// Client is the subscriptions of one receiver.
type Client struct {
	hub *Hub
	to  Receiver
	// subs is guarded by the hub's lock.
	subs [Kinds]map[string]*subscription
}

// NewHub returns a Hub without subscriptions. match says whether a pattern matches a name; that
// it takes the bytes before the first of * ? [ and \ literally is relied on.
func NewHub(match func(pattern, name []byte) bool) *Hub {
	h := &Hub{match: match}
	for k := range h.mu.topics {
		h.mu.topics[k] = make(map[string]*topic)
	}
	return h
}

// NewClient returns the subscriptions, none yet, of a receiver.
func (h *Hub) NewClient(to Receiver) *Client { return &Client{hub: h, to: to} }

// Subscribe adds a subscription, which may be there already.
func (c *Client) Subscribe(k Kind, name string) {
	h := c.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.subs[k][name] != nil {
		return
	}
	t := h.mu.topics[k][name]
	if t == nil {
		t = h.addTopicLocked(k, name)
	}
	h.mu.serial++
	s := &subscription{client: c, topic: t, at: len(t.subs), serial: h.mu.serial}
	t.subs = append(t.subs, s)
	if c.subs[k] == nil {
		c.subs[k] = make(map[string]*subscription)
	}
	c.subs[k][t.name] = s
	h.total.Add(1)
}

func (h *Hub) addTopicLocked(k Kind, name string) *topic {
	h.mu.serial++
	t := &topic{name: name, serial: h.mu.serial}
	h.mu.topics[k][name] = t
	if k == Pattern {
		t.pattern = []byte(name)
		same, _ := h.mu.patterns.Get(literal(name))
		h.mu.patterns.Put(literal(name), append(same, t))
	}
	return t
}

// dropPatternLocked takes a topic out of the index of patterns.
func (h *Hub) dropPatternLocked(t *topic) {
	same, _ := h.mu.patterns.Get(literal(t.name))
	i, _ := slices.BinarySearchFunc(same, t.serial, func(t *topic, n uint64) int { return cmp.Compare(t.serial, n) })
	if same = slices.Delete(same, i, i+1); len(same) == 0 {
		h.mu.patterns.Delete(literal(t.name))
		return
	}
	h.mu.patterns.Put(literal(t.name), same)
}

// literal returns the bytes that everything matching a pattern begins with, or some of them.
func literal(pattern string) string {
	if i := strings.IndexAny(pattern, `*?[\`); i >= 0 {
		return pattern[:i]
	}
	return pattern
}

// Unsubscribe ends a subscription, which need not be there.
func (c *Client) Unsubscribe(k Kind, name string) {
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	if s := c.subs[k][name]; s != nil {
		c.hub.endLocked(k, s)
	}
}

// Drop ends all subscriptions. Nothing is delivered to the receiver afterwards.
func (c *Client) Drop() {
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	for k := range c.subs {
		for _, s := range c.subs[k] {
			c.hub.endLocked(Kind(k), s)
		}
	}
}

func (h *Hub) endLocked(k Kind, s *subscription) {
	t := s.topic
	delete(s.client.subs[k], t.name)
	h.total.Add(-1)
	last := t.subs[len(t.subs)-1]
	t.subs[s.at], last.at = last, s.at
	t.subs[len(t.subs)-1] = nil
	if t.subs = t.subs[:len(t.subs)-1]; len(t.subs) > 0 {
		return
	}
	delete(h.mu.topics[k], t.name)
	if k == Pattern {
		h.dropPatternLocked(t)
	}
}

// Count returns how many subscriptions of a kind there are.
func (c *Client) Count(k Kind) int {
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	return len(c.subs[k])
}

// Names returns what is subscribed to, in the order in which it was.
func (c *Client) Names(k Kind) []string {
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	subs := slices.SortedFunc(maps.Values(c.subs[k]), func(a, b *subscription) int { return cmp.Compare(a.serial, b.serial) })
	names := make([]string, len(subs))
	for i, s := range subs {
		names[i] = s.topic.name
	}
	return names
}

// Own says how a publisher that is itself subscribed hears its message.
type Own struct {
	Client  *Client
	Deliver func(m *Message)
}

// Publish hands a message to all who are subscribed to the channel, of the kind Channel or
// Shard, and returns to how many subscriptions. channel and payload are not kept.
func (h *Hub) Publish(k Kind, channel, payload []byte, own Own) (n int) {
	if !h.Active() {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.eachLocked(k, channel, func(k Kind, t *topic) {
		n += len(t.subs)
		t.deliver(&Message{Kind: k, Pattern: t.name, Channel: channel, Payload: payload}, own)
	})
	return n
}

func (t *topic) deliver(m *Message, own Own) {
	for _, s := range t.subs {
		if own.Client != nil && s.client == own.Client {
			own.Deliver(m)
			continue
		}
		s.client.to.Deliver(m)
	}
}

// Audience returns to how many subscriptions Publish would hand a message.
func (h *Hub) Audience(k Kind, channel []byte) (n int) {
	if !h.Active() {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.eachLocked(k, channel, func(_ Kind, t *topic) { n += len(t.subs) })
	return n
}

// eachLocked calls fn for everything subscribed to that a message to the channel reaches.
func (h *Hub) eachLocked(k Kind, channel []byte, fn func(Kind, *topic)) {
	if t := h.mu.topics[k][string(channel)]; t != nil {
		fn(k, t)
	}
	if k == Shard {
		return
	}
	for _, same := range h.mu.patterns.Of(channel) {
		for _, t := range same {
			if h.match(t.pattern, channel) {
				fn(Pattern, t)
			}
		}
	}
}

// Hear calls fn with every message that Publish would hand to this client.
func (c *Client) Hear(k Kind, channel, payload []byte, fn func(m *Message)) {
	h := c.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	h.eachLocked(k, channel, func(k Kind, t *topic) {
		if c.subs[k][t.name] != nil {
			fn(&Message{Kind: k, Pattern: t.name, Channel: channel, Payload: payload})
		}
	})
}

// Active reports whether there is any subscription.
func (h *Hub) Active() bool { return h.total.Load() > 0 }

// Subscribers returns how many have subscribed to exactly this name.
func (h *Hub) Subscribers(k Kind, name []byte) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t := h.mu.topics[k][string(name)]; t != nil {
		return len(t.subs)
	}
	return 0
}

// Topics returns how many names of a kind anybody has subscribed to.
func (h *Hub) Topics(k Kind) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.mu.topics[k])
}

func (h *Hub) unsorted(k Kind) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.AppendSeq(make([]string, 0, len(h.mu.topics[k])), maps.Keys(h.mu.topics[k]))
}

// Names returns the names of a kind that anybody has subscribed to, sorted.
func (h *Hub) Names(k Kind) []string {
	names := h.unsorted(k)
	slices.Sort(names) // meanwhile others may publish
	return names
}
