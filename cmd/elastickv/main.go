// Command elastickv is a database that speaks the Redis protocol and keeps every
// version. It reads flags, the environment and the clock, puts the packages together
// and holds no logic of its own.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	os.Exit(run(os.Args[1:], os.LookupEnv, stdio{os.Stdout, os.Stderr}))
}

// stdio is where a command writes to.
type stdio struct {
	out io.Writer // what was asked for
	err io.Writer // logs, and the one line that says why it did not work
}

// lookupEnv reads a variable of the environment.
type lookupEnv func(name string) (string, bool)

// Exit codes.
const (
	exitOK    = 0
	exitFault = 1
	exitUsage = 2
)

const usage = `elastickv is a durable, multi-version database that speaks the Redis protocol.

Usage:

  elastickv serve [flags]    serve clients
  elastickv backup [flags]   write all data of a running server into one file
  elastickv restore [flags]  make a data folder of such a file, or check it
  elastickv keys COMMAND     look after the keys of a server that seals its values
  elastickv cluster COMMAND  make a cluster of several servers, and look after it
  elastickv version          print the version
  elastickv help             print this text

"elastickv COMMAND --help" lists the flags of a command.
`

// run carries out the subcommand that args name and returns the exit code.
func run(args []string, env lookupEnv, io stdio) int {
	if len(args) == 0 {
		fmt.Fprint(io.err, usage)
		return exitUsage
	}
	switch args[0] {
	case "serve":
		return serve(args[1:], env, io)
	case "backup":
		return backupCommand(args[1:], io)
	case "restore":
		return restoreCommand(args[1:], env, io)
	case "keys":
		return keysCommand(args[1:], io)
	case "cluster":
		return clusterCommand(args[1:], io)
	case "version", "--version", "-version":
		return printVersion(args[1:], io)
	case "help", "--help", "-help", "-h":
		fmt.Fprint(io.out, usage)
		return exitOK
	}
	return complain(io, exitUsage, fmt.Errorf("unknown command %q; see elastickv --help", args[0]))
}

// complain says in one line what is wrong.
func complain(io stdio, code int, err error) int {
	fmt.Fprintln(io.err, "elastickv: "+strings.ReplaceAll(err.Error(), "\n", "; "))
	return code
}
