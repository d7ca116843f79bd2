package script

import (
	"errors"
	"fmt"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/lua"
)

// Errors of calls, as a client reads them.
const (
	errNoScript      = command.Error("NOSCRIPT No matching script. Please use EVAL.")
	errNumKeysMany   = command.Error("ERR Number of keys can't be greater than number of args")
	errNumKeysLow    = command.Error("ERR Number of keys can't be negative")
	errNumKeysBad    = command.Error("ERR Bad number of keys provided")
	errNoFunction    = command.Error("ERR Function not found")
	errWriteFlag     = command.Error("ERR Can not execute a script with write flag using *_ro command.")
	errDenyOOM       = command.Error("OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'")
	errFlushMode     = command.Error("ERR SCRIPT FLUSH only support SYNC|ASYNC option")
	errDebugger      = command.Error("ERR SCRIPT DEBUG is not supported: there is no debugger")
	errDebugMode     = command.Error("ERR Use SCRIPT DEBUG YES/SYNC/NO")
	errFunctionFlush = command.Error("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")
)

// Errors of scripts that run.
const (
	// ErrBusyScript and ErrBusyFunction are what others are told while a script has held up
	// the sequencer for too long.
	ErrBusyScript   = command.Error("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")
	ErrBusyFunction = command.Error("BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.")

	errNotBusy    = command.Error("NOTBUSY No scripts in execution right now.")
	errUnkillable = command.Error("UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.")
	errKilledText = command.Error("ERR Script killed by user with SCRIPT KILL...")
	errShutdown   = command.Error("ERR The server is shutting down: the script had no effect")
	errTooDeep    = command.Error("ERR reached lua stack limit")
)

// errOutOfMemory is what a call in a script that may not go over the limit of memory gets, unless
// the script has written already.
const errOutOfMemory = command.Error("OOM command not allowed when used memory > 'maxmemory'.")

// ErrNoReplicas refuses writes, because no replica would take them: what says of itself that it writes, and what writes
// first in a script that does not.
const ErrNoReplicas = command.Error("NOREPLICAS Not enough good replicas to write.")

// errKilled ends a script that somebody has killed.
var errKilled = errors.New("script: killed")

// errStopped ends a script, and takes back what it wrote, because the server ends.
var errStopped = errors.New("script: the server is shutting down")

// errLoadTimeout ends the loading of a library that takes too long.
var errLoadTimeout = errors.New("FUNCTION LOAD timeout")

// Errors that redis.call raises, without the code that all of them have.
const (
	textNoArguments  = "Please specify at least one argument for this redis lib call"
	textBadArgument  = "Lua redis lib command arguments must be strings or integers"
	textUnknown      = "Unknown Redis command called from script"
	textArity        = "Wrong number of args calling Redis command from script"
	textNotInScripts = "This Redis command is not allowed from script"
	textReadOnly     = "Write commands are not allowed from read-only scripts."
	textNoRun        = "%s can only be called inside a script invocation"
)

// Errors of libraries, without a code.
const (
	textName         = "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"
	textNoMetadata   = "Missing library metadata"
	textBadMetadata  = "Invalid library metadata"
	textNamedTwice   = "Invalid metadata value, name argument was given multiple times"
	textNotNamed     = "Library name was not given"
	textNoFunctions  = "No functions registered"
	textDoubled      = "Function already exists in the library"
	textOnlyOnLoad   = "redis.register_function can only be called on FUNCTION LOAD command"
	textNoCode       = "Function code is missing"
	textNoLibrary    = "Library not found"
	textListNoName   = "library name argument was not given"
	textPolicy       = "Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE."
	textPayload      = "DUMP payload version or checksum are wrong"
	textNotFunction  = "given type is not a function"
	textBadFunctions = "failed loading the given functions payload"
)

// generalCode begins the text of an error that names no other code.
const generalCode = "ERR"

// general returns a text with the code of errors that name no other.
func general(text string) string { return generalCode + " " + text }

// fault is an error with the code that it has unless it names another.
func fault(format string, args ...any) command.Error {
	return command.Error(general(fmt.Sprintf(format, args...)))
}

// refusedSource is why a source cannot be used: what is wrong with it, or, as it is, what has ended
// the compiler.
func refusedSource(format string, err error) error {
	var wrong *lua.Error
	if errors.As(err, &wrong) {
		return fault(format, describe(wrong.Value))
	}
	if errors.Is(err, errKilled) || errors.Is(err, errStopped) {
		return err
	}
	return fault(format, err.Error())
}

func errSubcommand(container, sub string) command.Error {
	return fault("unknown subcommand or wrong number of arguments for '%s'. Try %s HELP.", sub, container)
}
