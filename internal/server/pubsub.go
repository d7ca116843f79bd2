package server

import (
	"bytes"

	"github.com/elastickv/elastickv/internal/acl"
	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/pubsub"
	"github.com/elastickv/elastickv/internal/resp"
)

const (
	subscribeFlags = command.PubSub | command.NoScript | command.Loading | command.Stale
	publishFlags   = command.PubSub | command.Loading | command.Stale | command.Fast | command.MayReplicate | command.AnyNode
)

// shardChannels is the spec of channels, which have slots like keys but are none.
func shardChannels(last int) []command.KeySpec {
	return []command.KeySpec{{Flags: command.KeyNotKey, Index: 1, Last: last, Step: 1}}
}

var pubsubRows = []*command.Command{
	{Name: "subscribe", Arity: -2, Flags: subscribeFlags, Group: command.GroupPubSub, Run: subscribe, Channels: command.ChannelArgs, Since: "2.0.0",
		Syntax:  "channel...",
		Summary: "Listens to channels.", Complexity: "O(N) where N is the number of channels to subscribe to."},
	{Name: "unsubscribe", Arity: -1, Flags: subscribeFlags, Group: command.GroupPubSub, Run: unsubscribe, Since: "2.0.0",
		Syntax:  "[channel...]",
		Summary: "Listens to channels no more, or to none at all.", Complexity: "O(N) where N is the number of channels to unsubscribe."},
	{Name: "psubscribe", Arity: -2, Flags: subscribeFlags, Group: command.GroupPubSub, Run: psubscribe, Channels: command.PatternArgs, Since: "2.0.0",
		Syntax:  "pattern...",
		Summary: "Listens to all channels that match patterns.", Complexity: "O(N) where N is the number of patterns to subscribe to."},
	{Name: "punsubscribe", Arity: -1, Flags: subscribeFlags, Group: command.GroupPubSub, Run: punsubscribe, Since: "2.0.0",
		Syntax:  "[pattern...]",
		Summary: "Listens to patterns no more, or to none at all.", Complexity: "O(N) where N is the number of patterns to unsubscribe."},
	{Name: "publish", Arity: 3, Flags: publishFlags, Group: command.GroupPubSub, Run: publish, Channels: command.ChannelArg, Since: "2.0.0",
		Syntax:     "channel message",
		Summary:    "Sends a message to all who listen to a channel.",
		Complexity: "O(N+M) where N is the number of clients that listen to the channel and M the number of patterns that begin like it"},
	{Name: "ssubscribe", Arity: -2, Flags: subscribeFlags, Group: command.GroupPubSub, Run: ssubscribe, Channels: command.ChannelArgs, Since: "7.0.0",
		Syntax:  "shardchannel...",
		Keys:    shardChannels(-1),
		Summary: "Listens to shard channels.", Complexity: "O(N) where N is the number of shard channels to subscribe to."},
	{Name: "sunsubscribe", Arity: -1, Flags: subscribeFlags, Group: command.GroupPubSub, Run: sunsubscribe, Since: "7.0.0",
		Syntax:  "[shardchannel...]",
		Keys:    shardChannels(-1),
		Summary: "Listens to shard channels no more, or to none at all.", Complexity: "O(N) where N is the number of shard channels to unsubscribe."},
	{Name: "spublish", Arity: 3, Flags: publishFlags, Group: command.GroupPubSub, Run: spublish, Channels: command.ChannelArg, Since: "7.0.0",
		Syntax:  "shardchannel message",
		Keys:    shardChannels(0),
		Summary: "Sends a message to all who listen to a shard channel.", Complexity: "O(N) where N is the number of clients that listen to the shard channel"},
	pubsubRow,
}

// subscriptions returns the session's subscriptions. They begin with the first.
func (c *session) subscriptions() *pubsub.Client {
	if c.hearing.Load() == nil {
		c.hearing.Store(c.srv.hub.NewClient(c))
	}
	return c.hearing.Load()
}

// heard returns what the session listens to.
func (c *session) heard(k pubsub.Kind) []string {
	if h := c.hearing.Load(); h != nil {
		return h.Names(k)
	}
	return nil
}

// Deliver implements pubsub.Receiver.
func (c *session) Deliver(m *pubsub.Message) { c.push(m.Encoded(int(c.facts.proto.Load()))) }

// counted returns the number that stands in confirmations: shard channels count by themselves.
func (f *sessionFacts) counted(k pubsub.Kind) int64 {
	if k == pubsub.Shard {
		return f.subs[pubsub.Shard].Load()
	}
	return f.subs[pubsub.Channel].Load() + f.subs[pubsub.Pattern].Load()
}

// confirm sends the client what is both a reply and a push: it comes even if the client
// does not want replies.
func (c *session) confirm(ctx *command.Ctx, write func(w *resp.Writer)) {
	if !c.mute && !c.skip {
		write(ctx.Out)
		return
	}
	var w resp.Writer
	w.SetProto(ctx.Out.Proto())
	write(&w)
	c.push(w.Bytes())
}

func (c *session) subscribe(ctx *command.Ctx, word string, k pubsub.Kind) {
	c.setSubscribed(true)
	for _, name := range ctx.Args[1:] {
		c.subscriptions().Subscribe(k, string(name))
		c.facts.subs[k].Store(int64(c.hearing.Load().Count(k)))
		c.confirm(ctx, func(w *resp.Writer) {
			w.Push(3)
			w.BulkString(word)
			w.Bulk(name)
			w.Int(c.facts.counted(k))
		})
	}
	// Whoever has changed what the user may hear has either found the new subscriptions, or is
	// found here.
	if !c.user.Unrestricted() && !c.mayHear(c.user) {
		c.hearNothing()
		c.output.takeHeld()
		c.ending = true
	}
}

// subscribedAtOnce is how many subscriptions are begun or ended without a goroutine for it.
const subscribedAtOnce = 256

// placeToSubscribe is where subscriptions are begun or ended: without a goroutine, so that a PUBLISH that comes
// behind finds them so even if its client has not waited for the reply to them, but not in a unit, whose messages
// are sent when it is durable and would come after what stands behind them.
func (c *session) placeToSubscribe(args [][]byte) place {
	n := int64(len(args) - 1)
	if n == 0 {
		n = c.facts.counted(pubsub.Channel) + c.facts.counted(pubsub.Shard)
	}
	if c.seq != nil || n > subscribedAtOnce {
		return outside
	}
	return anywhere
}

// mayHear reports whether a user may listen to all that the session does.
func (c *session) mayHear(u *acl.User) bool {
	for k := range pubsub.Kinds {
		for _, name := range c.heard(k) {
			if !u.MayListen(name, k == pubsub.Pattern) {
				return false
			}
		}
	}
	return true
}

// setSubscribed notes whether the connection counts as one that listens, which has a limit of its own.
func (c *session) setSubscribed(on bool) {
	if c.facts.subscribed.Swap(on) != on {
		c.limitOutput(c.srv.cfg.Load())
	}
}

func (c *session) unsubscribe(ctx *command.Ctx, word string, k pubsub.Kind) {
	var names []string
	for _, name := range ctx.Args[1:] {
		names = append(names, string(name))
	}
	if len(ctx.Args) == 1 {
		names = c.subscriptions().Names(k)
	}
	for _, name := range names {
		c.subscriptions().Unsubscribe(k, name)
		c.facts.subs[k].Store(int64(c.hearing.Load().Count(k)))
		c.confirm(ctx, func(w *resp.Writer) {
			w.Push(3)
			w.BulkString(word)
			w.BulkString(name)
			w.Int(c.facts.counted(k))
		})
	}
	if len(names) == 0 {
		c.confirm(ctx, func(w *resp.Writer) {
			w.Push(3)
			w.BulkString(word)
			w.Null()
			w.Int(c.facts.counted(k))
		})
	}
	if c.facts.counted(pubsub.Channel)+c.facts.counted(pubsub.Shard) == 0 {
		c.setSubscribed(false)
	}
}

// hearNothing ends all subscriptions.
func (c *session) hearNothing() {
	if c.hearing.Load() == nil {
		return
	}
	c.hearing.Load().Drop()
	for k := range c.facts.subs {
		c.facts.subs[k].Store(0)
	}
	c.setSubscribed(false)
}

func subscribe(ctx *command.Ctx) error {
	callerOf(ctx).subscribe(ctx, "subscribe", pubsub.Channel)
	return nil
}

func psubscribe(ctx *command.Ctx) error {
	callerOf(ctx).subscribe(ctx, "psubscribe", pubsub.Pattern)
	return nil
}

// ssubscribe cannot be part of a transaction, unlike its older sisters.
func ssubscribe(ctx *command.Ctx) error {
	if callerOf(ctx).tx != nil {
		return errSSubscribeDenied
	}
	callerOf(ctx).subscribe(ctx, "ssubscribe", pubsub.Shard)
	return nil
}

func unsubscribe(ctx *command.Ctx) error {
	callerOf(ctx).unsubscribe(ctx, "unsubscribe", pubsub.Channel)
	return nil
}

func punsubscribe(ctx *command.Ctx) error {
	callerOf(ctx).unsubscribe(ctx, "punsubscribe", pubsub.Pattern)
	return nil
}

func sunsubscribe(ctx *command.Ctx) error {
	callerOf(ctx).unsubscribe(ctx, "sunsubscribe", pubsub.Shard)
	return nil
}

func publish(ctx *command.Ctx) error { return callerOf(ctx).publish(ctx, pubsub.Channel) }

func spublish(ctx *command.Ctx) error { return callerOf(ctx).publish(ctx, pubsub.Shard) }

// publish sends a message at once if nothing that the client did before waits to become
// durable, and else when it has.
func (c *session) publish(ctx *command.Ctx, k pubsub.Kind) error {
	hub, channel, payload := c.srv.hub, ctx.Args[1], ctx.Args[2]
	if c.srv.shared() && len(channel)+len(payload) > messageMost {
		return errMessageSize
	}
	var heard []byte // by the client itself: it comes behind the reply
	own := c.ownMessages(ctx, &heard)
	switch {
	case c.tx != nil:
		var by *pubsub.Client
		if !c.mute && !c.skip {
			by = c.subscriptions()
			by.Hear(k, channel, payload, func(m *pubsub.Message) { c.telling.heard = append(c.telling.heard, m.Encoded(ctx.Out.Proto())...) })
		}
		c.telling.said = append(c.telling.said, saying{by, k, channel, payload, len(c.tx.Events())})
		ctx.Out.Int(int64(hub.Audience(k, channel)))
	case c.seq != nil:
		n := hub.Audience(k, channel)
		if own.Client != nil {
			own.Client.Hear(k, channel, payload, own.Deliver)
			own.Deliver = func(*pubsub.Message) {}
		}
		c.seq.AfterSync(func() { c.srv.publish(k, channel, payload, own) })
		ctx.Out.Int(int64(n))
	default:
		if c.srv.heard() {
			c.srv.db.Settled() // what the client has read is told before what it says
		}
		ctx.Out.Int(int64(c.srv.publish(k, channel, payload, own)))
	}
	ctx.Out.Raw(heard)
	return nil
}

// publish tells those who listen here, and has those told who listen at other nodes. It returns how many are here.
func (s *Server) publish(k pubsub.Kind, channel, payload []byte, own pubsub.Own) int {
	if s.shared() {
		s.opts.Cluster.Say(Message{k == pubsub.Shard, channel, payload})
	}
	return s.hub.Publish(k, channel, payload, own)
}

// heard reports whether anybody may listen to what is published.
func (s *Server) heard() bool { return s.shared() || s.hub.Active() }

// Hear tells those who listen here what was published at another node. It keeps nothing of it.
func (s *Server) Hear(m Message) {
	k := pubsub.Channel
	if m.Shard {
		k = pubsub.Shard
	}
	s.hub.Publish(k, bytes.Clone(m.Channel), bytes.Clone(m.Payload), pubsub.Own{})
}

// ownMessages says how the client hears what it publishes itself: in heard, unless the reply is a part of a larger one or
// is not to be sent.
func (c *session) ownMessages(ctx *command.Ctx, heard *[]byte) pubsub.Own {
	if c.tx != nil || !c.facts.subscribed.Load() || c.mute || c.skip {
		return pubsub.Own{}
	}
	return pubsub.Own{Client: c.hearing.Load(), Deliver: func(m *pubsub.Message) { *heard = append(*heard, m.Encoded(ctx.Out.Proto())...) }}
}

// refusalByMode is why a call cannot be carried out on a connection that listens.
func (c *session) refusalByMode(r *route) error {
	switch {
	case c.facts.subscribed.Load() && c.out.Proto() == 2 && !r.listening:
		return errSubscribed(r.cmd)
	case c.facts.monitors.Load() && r.cmd.Has(command.Write|command.ReadOnly|command.MayReplicate):
		return errMonitorKeys
	}
	return nil
}

// leaveAll ends all that the client is told without asking.
func (c *session) leaveAll() {
	c.hearNothing()
	c.stopTracking()
	c.srv.monitors.remove(c)
}

// limitOutput sets how much may wait for the client.
func (c *session) limitOutput(cfg *Config) { c.output.setLimit(cfg.output[c.facts.class()]) }

// class is the class of connections that has limits of its own.
func (f *sessionFacts) class() string {
	if f.subscribed.Load() {
		return "pubsub"
	}
	return "normal"
}
