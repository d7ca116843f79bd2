package server

import (
	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/pubsub"
)

const pubsubFlags = command.PubSub | command.Loading | command.Stale

var pubsubRow = &command.Command{
	Name: "pubsub", Arity: -2, Group: command.GroupPubSub, Since: "2.8.0",
	Summary: "A container for commands about who listens to what.", Complexity: "Depends on subcommand.",
	Sub: []*command.Command{
		{Name: "channels", Arity: -2, Flags: pubsubFlags, Group: command.GroupPubSub, Run: pubsubChannels, Since: "2.8.0",
			Syntax:  "[pattern]",
			Summary: "Lists the channels that anybody listens to.", Complexity: "O(N) where N is the number of channels"},
		{Name: "numpat", Arity: 2, Flags: pubsubFlags, Group: command.GroupPubSub, Run: pubsubNumPat, Since: "2.8.0",
			Summary: "Counts the patterns that anybody listens to.", Complexity: "O(1)"},
		{Name: "numsub", Arity: -2, Flags: pubsubFlags, Group: command.GroupPubSub, Run: numSub(pubsub.Channel), Since: "2.8.0",
			Syntax:  "[channel...]",
			Summary: "Counts who listens to channels.", Complexity: "O(N) where N is the number of channels asked for"},
		{Name: "shardchannels", Arity: -2, Flags: pubsubFlags, Group: command.GroupPubSub, Run: pubsubShardChannels, Since: "7.0.0",
			Syntax:  "[pattern]",
			Summary: "Lists the shard channels that anybody listens to.", Complexity: "O(N) where N is the number of shard channels"},
		{Name: "shardnumsub", Arity: -2, Flags: pubsubFlags, Group: command.GroupPubSub, Run: numSub(pubsub.Shard), Since: "7.0.0",
			Syntax:  "[shardchannel...]",
			Summary: "Counts who listens to shard channels.", Complexity: "O(N) where N is the number of shard channels asked for"},
		{Name: "help", Arity: 2, Flags: command.Loading | command.Stale, Group: command.GroupPubSub, Run: pubsubHelp, Since: "6.2.0",
			Summary: "Returns help about the subcommands.", Complexity: "O(1)"},
	},
}

func pubsubChannels(ctx *command.Ctx) error { return channels(ctx, pubsub.Channel) }

func pubsubShardChannels(ctx *command.Ctx) error { return channels(ctx, pubsub.Shard) }

func channels(ctx *command.Ctx, k pubsub.Kind) error {
	if len(ctx.Args) > 3 {
		return errNoSubcommand("PUBSUB", ctx.Args[1])
	}
	var found []string
	for _, name := range serverOf(ctx).hub.Names(k) {
		if len(ctx.Args) == 2 || command.MatchGlob(ctx.Args[2], []byte(name)) {
			found = append(found, name)
		}
	}
	ctx.Out.Array(len(found))
	for _, name := range found {
		ctx.Out.BulkString(name)
	}
	return nil
}

func pubsubNumPat(ctx *command.Ctx) error {
	ctx.Out.Int(int64(serverOf(ctx).hub.Topics(pubsub.Pattern)))
	return nil
}

func numSub(k pubsub.Kind) command.Handler {
	return func(ctx *command.Ctx) error {
		names := ctx.Args[2:]
		ctx.Out.Array(2 * len(names))
		for _, name := range names {
			ctx.Out.Bulk(name)
			ctx.Out.Int(int64(serverOf(ctx).hub.Subscribers(k, name)))
		}
		return nil
	}
}

func pubsubHelp(ctx *command.Ctx) error {
	return help(ctx, "PUBSUB",
		"CHANNELS [<pattern>]",
		"    Return the currently active channels matching a <pattern> (default: '*').",
		"NUMPAT",
		"    Return number of subscriptions to patterns.",
		"NUMSUB [<channel> ...]",
		"    Return the number of subscribers for the specified channels, excluding",
		"    pattern subscriptions(default: no channels).",
		"SHARDCHANNELS [<pattern>]",
		"    Return the currently active shard level channels matching a <pattern> (default: '*').",
		"SHARDNUMSUB [<shardchannel> ...]",
		"    Return the number of subscribers for the specified shard level channel(s)")
}
