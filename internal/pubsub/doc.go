// Package pubsub answers one question: who hears what is said on a channel?
//
// A Hub knows who has subscribed to which channels, patterns and shard channels, and hands each
// message to those. It imports prefixes, and resp for the form that messages have on the wire. It knows
// nothing of connections and never waits for anybody: who receives a message has to take it at once.
package pubsub
