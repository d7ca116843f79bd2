package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/rdb"
	"github.com/elastickv/elastickv/internal/txn"
)

// Error is an error as a client reads it, code word first. All texts stand in this file;
// they are those of Redis 7.2.
type Error string

func (e Error) Error() string { return string(e) }

// Errors of arguments.
const (
	ErrSyntax         = Error("ERR syntax error")
	ErrNotInteger     = Error("ERR value is not an integer or out of range")
	ErrNotFloat       = Error("ERR value is not a valid float")
	ErrNotPositive    = Error("ERR value is out of range, must be positive")
	ErrOutOfRange     = Error("ERR value is out of range")
	ErrOverflow       = Error("ERR increment or decrement would overflow")
	ErrDecrOverflow   = Error("ERR decrement would overflow")
	ErrLCSBoth        = Error("ERR If you want both the length and indexes, please just use IDX.")
	ErrLCSType        = Error("ERR The specified keys must contain string values")
	ErrLCSTooLong     = Error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
	ErrIncrNaN        = Error("ERR increment would produce NaN or Infinity")
	ErrOffset         = Error("ERR offset is out of range")
	ErrStringTooLong  = Error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
	ErrInvalidCursor  = Error("ERR invalid cursor")
	ErrInvalidDBIndex = Error("ERR DB index is out of range")
)

// Errors of commands that wait.
const (
	ErrTimeoutNotFloat = Error("ERR timeout is not a float or out of range")
	ErrTimeoutNegative = Error("ERR timeout is negative")
	ErrTimeoutRange    = Error("ERR timeout is out of range")
)

// Errors of the EXPIRE family and of COMMAND.
const (
	ErrExpireNX       = Error("ERR NX and XX, GT or LT options at the same time are not compatible")
	ErrExpireGTLT     = Error("ERR GT and LT options at the same time are not compatible")
	ErrGetKeysCommand = Error("ERR Invalid command specified")
	ErrGetKeysArgs    = Error("ERR Invalid number of arguments specified for command")
	ErrGetKeysNone    = Error("ERR The command has no key arguments")
	ErrGetKeysInvalid = Error("ERR Invalid arguments specified for command")
)

// Errors of lists.
const (
	ErrNumKeys        = Error("ERR numkeys should be greater than 0")
	ErrCountPositive  = Error("ERR count should be greater than 0")
	ErrCountNegative  = Error("ERR COUNT can't be negative")
	ErrMaxLenNegative = Error("ERR MAXLEN can't be negative")
	ErrRankZero       = Error("ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list")
	ErrIntRange       = Error("ERR value is out of range, value must between -2147483648 and 2147483647")
	ErrRankRange      = Error("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807")
	ErrIndexRange     = Error("ERR index out of range")
	ErrListFull       = Error("ERR list has no room for more elements at this end")
)

// Errors of sorted sets.
const (
	ErrScoreNaN        = Error("ERR resulting score is not a number (NaN)")
	ErrZAddNXXX        = Error("ERR XX and NX options at the same time are not compatible")
	ErrZAddGTLTNX      = Error("ERR GT, LT, and/or NX options at the same time are not compatible")
	ErrZAddIncrPair    = Error("ERR INCR option supports a single increment-element pair")
	ErrMinMaxFloat     = Error("ERR min or max is not a float")
	ErrMinMaxLex       = Error("ERR min or max not valid string range item")
	ErrRangeLimit      = Error("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
	ErrRangeWithScores = Error("ERR syntax error, WITHSCORES not supported in combination with BYLEX")
	ErrWeightNotFloat  = Error("ERR weight value is not a float")
	ErrLimitNegative   = Error("ERR LIMIT can't be negative")
)

// Errors of hashes and sets.
const (
	ErrHashNotInteger = Error("ERR hash value is not an integer")
	ErrHashNotFloat   = Error("ERR hash value is not a float")
	ErrInfinite       = Error("ERR value is NaN or Infinity")
	ErrTooManyKeys    = Error("ERR Number of keys can't be greater than number of args")
	ErrFieldsMissing  = Error("ERR Mandatory argument FIELDS is missing or not at the right position")
	ErrNumFields      = Error("ERR Parameter `numFields` should be greater than 0")
	ErrNumFieldsWrong = Error("ERR The `numfields` parameter must match the number of arguments")
	ErrExpireNegative = Error("ERR invalid expire time, must be >= 0")
	ErrHGetExOne      = Error("ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified")
	ErrHSetExOne      = Error("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified")
	ErrFXXFNX         = Error("ERR Only one of FXX or FNX arguments can be specified")
)

// Errors of bitmaps.
const (
	ErrBitOffset    = Error("ERR bit offset is not an integer or out of range")
	ErrBitValue     = Error("ERR bit is not an integer or out of range")
	ErrBitArgument  = Error("ERR The bit argument must be 1 or 0.")
	ErrBitopNot     = Error("ERR BITOP NOT must be called with a single source key.")
	ErrBitfieldType = Error("ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.")
	ErrBitfieldRO   = Error("ERR BITFIELD_RO only supports the GET subcommand")
	ErrOverflowType = Error("ERR Invalid OVERFLOW type specified")
)

// Errors of HyperLogLogs.
const (
	ErrNotHLL       = Error("WRONGTYPE Key is not a valid HyperLogLog string value.")
	ErrCorruptHLL   = Error("INVALIDOBJ Corrupted HLL object detected")
	ErrNotSparse    = Error("ERR HLL encoding is not sparse")
	ErrPFDebugNoKey = Error("ERR The specified key does not exist")
)

// Errors of places.
const (
	ErrGeoUnit           = Error("ERR unsupported unit provided. please use M, KM, FT, MI")
	ErrGeoMember         = Error("ERR could not decode requested zset member")
	ErrGeoRadius         = Error("ERR need numeric radius")
	ErrGeoNegativeRadius = Error("ERR radius cannot be negative")
	ErrGeoWidth          = Error("ERR need numeric width")
	ErrGeoHeight         = Error("ERR need numeric height")
	ErrGeoNegativeBox    = Error("ERR height or width cannot be negative")
	ErrGeoCount          = Error("ERR COUNT must be > 0")
	ErrGeoAny            = Error("ERR the ANY argument requires COUNT argument")
)

// Errors of SORT.
const (
	ErrSortScore     = Error("ERR One or more scores can't be converted into double")
	ErrSortByDenied  = Error("ERR BY option of SORT denied due to insufficient ACL permissions.")
	ErrSortGetDenied = Error("ERR GET option of SORT denied due to insufficient ACL permissions.")
)

// Errors of streams.
const (
	ErrStreamID          = Error("ERR Invalid stream ID specified as stream command argument")
	ErrStreamIDZero      = Error("ERR The ID specified in XADD must be greater than 0-0")
	ErrStreamIDSmall     = Error("ERR The ID specified in XADD is equal or smaller than the target stream top item")
	ErrStreamExhausted   = Error("ERR The stream has exhausted the last possible ID, unable to add more items")
	ErrStreamTooLarge    = Error("ERR Elements are too large to be stored")
	ErrStreamStart       = Error("ERR invalid start ID for the interval")
	ErrStreamStop        = Error("ERR invalid end ID for the interval")
	ErrTrimBoth          = Error("ERR syntax error, MAXLEN and MINID options at the same time are not compatible")
	ErrTrimMaxLen        = Error("ERR The MAXLEN argument must be >= 0.")
	ErrTrimLimit         = Error("ERR The LIMIT argument must be >= 0.")
	ErrTrimLimitAlone    = Error("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy")
	ErrTrimLimitExact    = Error("ERR syntax error, LIMIT cannot be used without the special ~ option")
	ErrTrimNothing       = Error("ERR syntax error, XTRIM must be called with a trimming strategy")
	ErrEntriesAdded      = Error("ERR entries_added must be positive")
	ErrSetIDBelowDeleted = Error("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id")
	ErrSetIDBelowCurrent = Error("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id")
	ErrSetIDBelowTop     = Error("ERR The ID specified in XSETID is smaller than the target stream top item")
	ErrSetIDBelowLength  = Error("ERR The entries_added specified in XSETID is smaller than the target stream length")
)

// Errors of reading streams.
const (
	ErrXReadUnbalanced      = Error("ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.")
	ErrXReadGroupUnbalanced = Error("ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.")
	ErrXReadGroupOption     = Error("ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.")
	ErrXReadNoAck           = Error("ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.")
	ErrXReadGreater         = Error("ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.")
	ErrXReadGroupMissing    = Error("ERR Missing GROUP option for XREADGROUP")
	ErrXReadGroupDollar     = Error("ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.")
	ErrTimeoutNotInteger    = Error("ERR timeout is not an integer or out of range")
)

// Errors of consumer groups.
const (
	ErrGroupNoKey       = Error("ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.")
	ErrGroupExists      = Error("BUSYGROUP Consumer Group name already exists")
	ErrGroupEntriesRead = Error("ERR value for ENTRIESREAD must be positive or -1")
	ErrXClaimIdle       = Error("ERR Invalid min-idle-time argument for XCLAIM")
	ErrXClaimIdleOption = Error("ERR Invalid IDLE option argument for XCLAIM")
	ErrXClaimTime       = Error("ERR Invalid TIME option argument for XCLAIM")
	ErrXClaimRetryCount = Error("ERR Invalid RETRYCOUNT option argument for XCLAIM")
	ErrXAutoClaimIdle   = Error("ERR Invalid min-idle-time argument for XAUTOCLAIM")
	ErrXAutoClaimCount  = Error("ERR COUNT must be > 0")
)

// Errors of the state of keys.
const (
	ErrSameObject = Error("ERR source and destination objects are the same")
	ErrLFU        = Error("ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.")
	ErrNoLFU      = Error("ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.")
	ErrWrongType  = Error("WRONGTYPE Operation against a key holding the wrong kind of value")
	ErrNoSuchKey  = Error("ERR no such key")
)

// Errors of DUMP and RESTORE.
const (
	ErrBusyKey       = Error("BUSYKEY Target key name already exists.")
	ErrBadPayload    = Error("ERR Bad data format")
	ErrPayloadFooter = Error("ERR DUMP payload version or checksum are wrong")
	ErrRestoreTTL    = Error("ERR Invalid TTL value, must be >= 0")
	ErrRestoreIdle   = Error("ERR Invalid IDLETIME value, must be >= 0")
	ErrRestoreFreq   = Error("ERR Invalid FREQ value, must be >= 0 and <= 255")
	ErrDumpTooLarge  = Error("ERR the value is too large for one payload (proto-max-bulk-len)")
)

// Errors of the server's own limits.
const (
	ErrReplyTooLong = Error("ERR reply exceeds maximum allowed size (1 GB, and lua-memory-limit in scripts)")
	ErrSortTooLarge = Error("ERR what to sort by or to store exceeds maximum allowed size (1 GB)")
	ErrTxTooLarge   = Error("ERR the command changes more than fits into one transaction (1 GB): split it")
	ErrKeyTooLong   = Error("ERR key or element exceeds maximum allowed size (1 MB with its key)")
	ErrInternal     = Error("ERR internal error: the command had no effect, see the server log")
)

// replyOf translates err into what the client reads. internal means that it is a fault of the
// server or its disk, which the operator has to see.
func replyOf(err error) (reply Error, internal bool) {
	var e Error
	switch {
	case errors.As(err, &e):
		return e, false
	case errors.Is(err, keyspace.ErrWrongType):
		return ErrWrongType, false
	case errors.Is(err, keyspace.ErrNoSuchKey):
		return ErrNoSuchKey, false
	case errors.Is(err, keyspace.ErrListFull):
		return ErrListFull, false
	case errors.Is(err, keyspace.ErrNaN):
		return ErrScoreNaN, false
	case errors.Is(err, rdb.ErrFormat):
		return ErrBadPayload, false
	case errors.Is(err, rdb.ErrFooter):
		return ErrPayloadFooter, false
	case errors.Is(err, txn.ErrTooLarge), errors.Is(err, rdb.ErrTooLarge):
		return ErrTxTooLarge, false
	case errors.Is(err, txn.ErrKeyTooLarge):
		return ErrKeyTooLong, false
	case errors.Is(err, txn.ErrValueTooLarge):
		return ErrStringTooLong, false
	}
	return ErrInternal, true
}

// Spell spells an error as C does, where a string ends at its first NUL: so do the arguments that it shows.
func Spell(format string, args ...any) Error {
	for i, a := range args {
		switch a := a.(type) {
		case string:
			args[i] = UpToNUL(a)
		case []byte:
			args[i] = UpToNUL(a)
		}
	}
	return Error(fmt.Sprintf(format, args...))
}

// UpToNUL returns s up to its first NUL.
func UpToNUL[T string | []byte](s T) string {
	text, _, _ := strings.Cut(string(s), "\x00")
	return text
}

// errUnknownCommand is the answer to a name that is not in the table.
func errUnknownCommand(args [][]byte) Error {
	const shown = 128
	var b strings.Builder
	for _, a := range args[1:] {
		if b.Len() >= shown {
			break
		}
		fmt.Fprintf(&b, "'%s' ", UpToNUL(clip(a, shown-b.Len())))
	}
	return Spell("ERR unknown command '%s', with args beginning with: %s", clip(args[0], shown), b.String())
}

func errUnknownSubcommand(container *Command, sub []byte) Error {
	return Spell("ERR unknown subcommand '%s'. Try %s HELP.", clip(sub, 128), strings.ToUpper(container.Name))
}

func errArity(c *Command) Error {
	return Spell("ERR wrong number of arguments for '%s' command", c.FullName())
}

func errUnknownArgument(arg []byte) Error {
	return Spell("ERR unknown argument: %s", clip(arg, 128))
}

func errUnsupportedOption(arg []byte) Error {
	return Spell("ERR Unsupported option %s", clip(arg, 128))
}

// errNoInputKey is the answer to a number of keys that is below 1.
func errNoInputKey(c *Ctx) error {
	return Spell("ERR at least 1 input key is needed for '%s' command", c.Cmd.FullName())
}

// errNoGroup is the answer where a stream has to have a group, or is not there itself.
func errNoGroup(key, group []byte) error {
	return Spell("NOGROUP No such key '%s' or consumer group '%s'", key, group)
}

// errXReadNoGroup is errNoGroup of XREADGROUP.
func errXReadNoGroup(key, group []byte) error {
	return Error(errNoGroup(key, group).Error() + " in XREADGROUP with GROUP option")
}

// errNoGroupOfKey is the answer where a stream that is there has to have a group.
func errNoGroupOfKey(key, group []byte) error {
	return Spell("NOGROUP No such consumer group '%s' for key name '%s'", group, key)
}

// errSubcommand is the answer to a subcommand with too many or unknown arguments.
func errSubcommand(c *Ctx) error {
	return Spell("ERR unknown subcommand or wrong number of arguments for '%s'. Try %s HELP.",
		clip(c.Args[1], 128), strings.ToUpper(string(clip(c.Args[0], 128))))
}

// errXClaimOption is the answer to a word that XCLAIM does not know.
func errXClaimOption(arg []byte) error {
	return Spell("ERR Unrecognized XCLAIM option '%s'", arg)
}

// errInvalidExpire is the answer to an expiry that is not above 0 or too far away.
func errInvalidExpire(c *Ctx) error {
	return Spell("ERR invalid expire time in '%s' command", c.Cmd.FullName())
}

func errUnknownPFDebug(sub []byte) error {
	return Spell("ERR Unknown PFDEBUG subcommand '%s'", clip(sub, 128))
}

func errTestFailed(cause error) error { return Error("ERR TESTFAILED " + cause.Error()) }

func errInvalidPoint(lon, lat float64) Error {
	text := fmt.Sprintf("ERR invalid longitude,latitude pair %f,%f", lon, lat)
	return Error(strings.NewReplacer("+Inf", "inf", "-Inf", "-inf").Replace(text)) // as C prints them
}

func errGeoStoreWith(what string) Error {
	return Spell("ERR %s is not compatible with WITHDIST, WITHHASH and WITHCOORD options", what)
}

func errGeoNoCenter(name []byte) Error {
	return Spell("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for %s", name)
}

func errGeoNoShape(name []byte) Error {
	return Spell("ERR exactly one of BYRADIUS and BYBOX can be specified for %s", name)
}

// errBlockInScript is the answer to a script that wants to wait.
func errBlockInScript(c *Ctx) error {
	return Spell("ERR %s command is not allowed with BLOCK option from scripts", clip(c.Args[0], 128))
}

func isWrongType(err error) bool { return errors.Is(err, keyspace.ErrWrongType) }

// clip returns at most n bytes of b.
func clip(b []byte, n int) []byte { return b[:min(len(b), max(n, 0))] }
