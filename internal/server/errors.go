package server

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/resp"
)

// Errors of the state of a connection, as a client reads them.
const (
	errMaxClients     = command.Error("ERR max number of clients reached")
	errProtected      = command.Error("DENIED elastickv runs in protected mode: there is no password, so only clients on the same machine may connect. Set requirepass, or switch protected-mode off if the network is trusted.")
	errNoAuth         = command.Error("NOAUTH Authentication required.")
	errNoAuthHello    = command.Error("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time")
	errWrongPass      = command.Error("WRONGPASS invalid username-password pair or user is disabled.")
	errNoPassword     = command.Error("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?")
	errNoProto        = command.Error("NOPROTO unsupported protocol version")
	errProtoInteger   = command.Error("ERR Protocol version is not an integer or out of range")
	errClientName     = command.Error("ERR Client names cannot contain spaces, newlines or special characters.")
	errLibraryName    = command.Error("ERR lib-name cannot contain spaces, newlines or special characters.")
	errLibraryVersion = command.Error("ERR lib-ver cannot contain spaces, newlines or special characters.")
)

// Errors where several machines keep the data. Clients try again by themselves after all but
// errOutcomeUnknown.
const (
	errNotLeader      = command.Error("READONLY You can't write against a read only replica.")
	errNobodyLeads    = command.Error("CLUSTERDOWN The cluster is down: nobody leads at the moment")
	errBeginsToLead   = command.Error("TRYAGAIN Nothing was written: this node has only begun to lead. Try again.")
	errNotCommitted   = command.Error("TRYAGAIN Nothing was written: this node has ceased to lead, or could not keep up. Try again.")
	errNoMajority     = command.Error("CLUSTERDOWN The cluster is down: no majority of its nodes has answered")
	errOutcomeUnknown = command.Error("ERR The outcome is unknown: this node has ceased to lead. The command was carried out, or will be, or never will.")
	errAnswerLost     = command.Error("ERR The outcome is unknown: the leader has not answered this node. The command was carried out, or will be, or never will.")
	errReadLost       = command.Error("CLUSTERDOWN The cluster is down: the leader has not answered this node")
	errTooLongToPass  = command.Error("ERR this is too much for this node to pass on to the leader")
	errNotForGuests   = command.Error("ERR This is about the connection or the node, and the leader does not carry it out for clients of other nodes")
	errNotTracked     = command.Error("ERR this node does not lead, so nobody can be told when what it reads changes: switch CLIENT TRACKING off, or ask the leader")
	errMessageSize    = command.Error("ERR a message can have 63 MiB at most, with its channel: it goes to the other nodes, too")
	errDeposed        = command.Error("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)")
)

func errMoved(slot int, addr string) command.Error {
	return command.Error("MOVED " + strconv.Itoa(slot) + " " + addr)
}

// errLeaderAway is what a client is told whose command has not reached the leader.
func errLeaderAway(leader Peer) command.Error {
	return command.Error(fmt.Sprintf("CLUSTERDOWN Nothing was written: this node cannot reach the leader, node %d", leader.Node))
}

// errUnknownGuest is what a client is told whose user the leader does not let in.
func errUnknownGuest(user string) command.Error {
	return command.Spell("NOPERM The leader of the cluster does not know the user '%s', or has switched it off: users are each node's own", []byte(user))
}

// errNotAway is why a transaction comes to nothing that cannot be carried out as a whole.
func errNotAway(cmd *command.Command) command.Error {
	return command.Spell("EXECABORT Transaction discarded because of: '%s' is about the connection or the node, and the rest of the transaction is for the leader, which this node is not", []byte(cmd.FullName()))
}

// redirects reports whether a client that knows clusters goes on elsewhere because of an error.
func redirects(err error) bool { return strings.HasPrefix(err.Error(), "MOVED ") }

func errLeaderIs(addr string) command.Error {
	return errNotLeader + command.Error(" The leader is "+addr+".")
}

func errTooStale(within time.Duration) command.Error {
	return command.Error(fmt.Sprintf("MASTERDOWN The leader does not answer, and what this node has may be older than %d ms (cluster-max-staleness). Ask another node, or again later.", within.Milliseconds()))
}

// Errors of the commands about a cluster.
const (
	errNoStatus     = command.Error("ERR What this node knows of the cluster cannot be told: it is about to end")
	errNotByClients = command.Error("ERR This is not for clients to do: a cluster is looked after by elastickv cluster, on the machines of its nodes")
	errNoMaster     = command.Error("ERR The specified node is not a master")
	errSlot         = command.Error("ERR Invalid slot")
	errSlotOrCount  = command.Error("ERR Invalid slot or number of keys")
	errWaitReplica  = command.Error("ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated.")
	errWaitAOF      = command.Error("ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated.")
)

func errUnknownNode(name []byte) error { return command.Spell("ERR Unknown node %s", name) }

// errUnblocked is the reply to a call whose wait somebody has ended.
const errUnblocked = command.Error("UNBLOCKED client unblocked via CLIENT UNBLOCK")

// Errors of transactions.
const (
	errNestedMulti    = command.Error("ERR MULTI calls can not be nested")
	errWatchInMulti   = command.Error("ERR WATCH inside MULTI is not allowed")
	errExecNoMulti    = command.Error("ERR EXEC without MULTI")
	errDiscardNoMulti = command.Error("ERR DISCARD without MULTI")
	errExecAbort      = command.Error("EXECABORT Transaction discarded because of previous errors.")
	errNotInMulti     = command.Error("ERR Command not allowed inside a transaction")
)

// Errors of CLIENT TRACKING and CLIENT CACHING.
const (
	errRedirectTwice     = command.Error("ERR A client can only redirect to a single other client")
	errRedirectGone      = command.Error("ERR The client ID you want redirect to does not exist")
	errPrefixNoBroadcast = command.Error("ERR PREFIX option requires BCAST mode to be enabled")
	errSwitchBroadcast   = command.Error("ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.")
	errOptBroadcast      = command.Error("ERR OPTIN and OPTOUT are not compatible with BCAST")
	errOptBoth           = command.Error("ERR You can't specify both OPTIN mode and OPTOUT mode")
	errSwitchOpt         = command.Error("ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.")
	errCachingOff        = command.Error("ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled")
	errCachingYes        = command.Error("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
	errCachingNo         = command.Error("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
)

func errPrefixExists(p, old string) error {
	return command.Spell("ERR Prefix '%s' overlaps with an existing prefix '%s'. Prefixes for a single client must not overlap.", p, old)
}

func errPrefixGiven(p, other string) error {
	return command.Spell("ERR Prefix '%s' overlaps with another provided prefix '%s'. Prefixes for a single client must not overlap.", p, other)
}

// errMonitorKeys is what one who monitors is told.
const errMonitorKeys = command.Error("ERR Replica can't interact with the keyspace")

func errSubscribed(c *command.Command) error {
	return command.Spell("ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context", c.FullName())
}

// Errors of what has no one reply where every call has to have one.
const (
	errMonitorDenied    = command.Error("ERR MONITOR isn't allowed for DENY BLOCKING client")
	errSSubscribeDenied = command.Error("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client")
)

// Errors of arguments.
const (
	errNoSuchClient   = command.Error("ERR No such client")
	errClientID       = command.Error("ERR client-id should be greater than 0")
	errUnblockReason  = command.Error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
	errWaitLocal      = command.Error("ERR value is out of range, value must between 0 and 1")
	errInvalidID      = command.Error("ERR Invalid client ID")
	errFirstIndex     = command.Error("ERR invalid first DB index")
	errSecondIndex    = command.Error("ERR invalid second DB index")
	errMasterPort     = command.Error("ERR Invalid master port")
	errPauseMode      = command.Error("ERR CLIENT PAUSE mode must be WRITE or ALL")
	errPauseTimeout   = command.Error("ERR timeout is not an integer or out of range")
	errPauseNegative  = command.Error("ERR timeout is negative")
	errConfigNoFile   = command.Error("ERR The server is running without a config file")
	errSlowlogCount   = command.Error("ERR count should be greater than or equal to -1")
	errNoShutdown     = command.Error("ERR No shutdown in progress.")
	errDebugForbidden = command.Error("ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.")
)

// Errors of what belongs to several servers, and of what there is none of.
const (
	errNoCluster       = command.Error("ERR This instance has cluster support disabled")
	errNoReplication   = command.Error("ERR elastickv follows no other server: only REPLICAOF NO ONE is accepted. To take over data, copy it with DUMP and RESTORE.")
	errNoStream        = command.Error("ERR elastickv has no stream for replicas: a copy is made by a backup of its folder")
	errNoReplicas      = command.Error("ERR FAILOVER requires connected replicas.")
	errNoFailover      = command.Error("ERR No failover in progress.")
	errFailoverTimeout = command.Error("ERR FAILOVER timeout must be greater than 0")
	errNoModules       = command.Error("ERR elastickv has no modules")
	errReplicaFlag     = command.Error("ERR value is out of range, value must between 0 and 1")
)

func errReplicaOption(name []byte) error {
	return command.Spell("ERR Unrecognized REPLCONF option: %s", name)
}

func errNoSamples(event []byte) error {
	return command.Spell("ERR No samples available for event '%s'", event)
}

// Errors of DEBUG.
const (
	errReloadOption = command.Error("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")
	errNoPush       = command.Error("ERR RESP2 is not supported by this command")
	errProtocolType = command.Error("ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false")
)

// Errors of MIGRATE.
const (
	errMigrateInMulti = command.Error("ERR MIGRATE waits for another server, which a transaction or a script cannot")
	errMigrateKeys    = command.Error("ERR When using MIGRATE KEYS option, the key argument must be set to the empty string")
	errMigrateConnect = command.Error("IOERR error or timeout connecting to the client")
	errMigrateWrite   = command.Error("IOERR error or timeout writing to target instance")
	errMigrateRead    = command.Error("IOERR error or timeout reading to target instance")
	errMigrateKept    = command.Error("ERR this node has ceased to lead: what was moved is on the other server, and may still be here")
	errMigrateChanged = command.Error("ERR a key was changed while it was moved: it is on both servers")
)

func errMigrateTarget(reply string) error {
	return command.Error("ERR Target instance replied with error: " + reply)
}

func errNotEncoded(enc string) error {
	return command.Spell("ERR Not a %s encoded object.", enc)
}

func errProtocol(bad resp.ProtocolError) error { return command.Error("ERR " + bad.Error()) }

func errUnknownClientType(name []byte) error {
	return command.Spell("ERR Unknown client type '%s'", name)
}

// errExecAbortedBy is the answer to an EXEC that is itself refused.
func errExecAbortedBy(cause error) error {
	return command.Error("EXECABORT Transaction discarded because of: " + strings.TrimPrefix(cause.Error(), "ERR "))
}

func errUnknownUser(name []byte) error {
	return command.Spell("ERR No such user '%s'", name)
}

func errHelloOption(name []byte) error {
	return command.Spell("ERR Syntax error in HELLO option '%s'", name)
}

func errConfigUnknown(name []byte) error {
	return command.Spell("ERR Unknown option or number of arguments for CONFIG SET - '%s'", name)
}

func errConfigSet(name string, cause error) error {
	return command.Spell("ERR CONFIG SET failed (possibly related to argument '%s') - %v", name, cause)
}

// What can be wrong with settings of connections that are changed while the server runs.
const (
	errBind = badValue("Failed to bind to specified addresses.")
	errPort = badValue("Unable to listen on this port. Check server logs.")
)

func errUpdateTLS(cause error) error {
	return badValue("Unable to update TLS configuration: " + cause.Error())
}

func errConfigRewrite(cause error) error {
	return command.Spell("ERR Rewriting config file: %v", cause)
}

func errNoSubcommand(container string, sub []byte) error {
	return command.Spell("ERR unknown subcommand or wrong number of arguments for '%s'. Try %s HELP.", sub, container)
}

// errShutdown ends Serve without a fault.
var errShutdown = errors.New("server: shutdown asked for")

func errClientAttribute(name []byte) error {
	return command.Spell("ERR Unrecognized option '%s'", name)
}

func errArity(c *command.Command) error {
	return command.Spell("ERR wrong number of arguments for '%s' command", c.FullName())
}

// Errors of ACL.
const (
	errNoACLFile   = command.Error("ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration.")
	errACLSave     = command.Error("ERR There was an error trying to save the ACLs. Please check the server logs for more information")
	errDefaultUser = command.Error("ERR The 'default' user cannot be removed")
	errGenPass     = command.Error("ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096")
)

func errACL(cause error) error { return command.Error("ERR " + cause.Error()) }

func errUnknownCategory(name []byte) error {
	return command.Spell("ERR Unknown category '%.128s'", name)
}

func errUserNotFound(name []byte) error {
	return command.Spell("ERR User '%s' not found", name)
}

func errCommandNotFound(name []byte) error {
	return command.Spell("ERR Command '%s' not found", name)
}
