package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/elastickv/elastickv/encryption/keys"
	"github.com/elastickv/elastickv/internal/admin"
)

const backupUsage = `Usage: elastickv backup --out FILE [flags]

Writes all data of a running server, as it is at one moment, into one file, while clients are
served. It is asked on this machine and as the server's user.

What is sealed in the data folder is sealed in the file, which has the wrapped keys too: to
restore it takes the key encryption key and nothing else. The configuration file and the
file of users are not data; keep copies of them.

Flags:
  --out FILE               the new file; - is the standard output
  --dir DIR                the data folder of the server    (./data)
  --help                   print this text
`

// standardStream stands for standard output or input where a file is named.
const standardStream = "-"

// partSuffix is behind the name of a file that is not whole yet.
const partSuffix = ".part"

// backupCommand is the subcommand that gets all data out of a server.
func backupCommand(args []string, stdio stdio) int {
	flags := newFlags("backup")
	dir, out := flags.String("dir", "./data", ""), flags.String("out", "", "")
	switch err := parseAll(flags, args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdio.out, backupUsage)
		return exitOK
	case err != nil:
		return complain(stdio, exitUsage, err)
	case *out == "":
		return complain(stdio, exitUsage, errors.New("backup to where? --out FILE"))
	}
	ctx, stop := onSignal()
	defer stop()
	if *out == standardStream {
		if _, err := admin.NewClient(*dir).Backup(ctx, stdio.out); err != nil {
			return complain(stdio, exitFault, err)
		}
		return exitOK
	}
	n, err := backupTo(ctx, *dir, *out)
	if err != nil {
		return complain(stdio, exitFault, err)
	}
	fmt.Fprintf(stdio.out, "%s: %d bytes; elastickv restore --from %s --check reads it through\n", *out, n, *out)
	return exitOK
}

// backupTo makes the file, which has its name once it is whole and on the disk.
func backupTo(ctx context.Context, dir, out string) (n int64, err error) {
	if _, err := os.Lstat(out); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("%s is there already", out)
		}
		return 0, err
	}
	part := out + partSuffix
	if err := keys.OS.Remove(part); err != nil {
		return 0, err
	}
	file, err := keys.OS.Create(part)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, keys.OS.Remove(part))
		}
	}()
	w := bufio.NewWriterSize(file, 1<<20)
	if n, err = admin.NewClient(dir).Backup(ctx, w); err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return 0, err
	}
	if err := keys.OS.Rename(part, out); err != nil {
		return 0, err
	}
	return n, keys.OS.SyncFolder(filepath.Dir(out))
}

// newFlags returns flags that say nothing by themselves.
func newFlags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	return f
}

// parseAll takes flags, and nothing else.
func parseAll(f *flag.FlagSet, args []string) error {
	if len(args) > 0 && args[0] == "help" {
		return flag.ErrHelp
	}
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", strings.Join(f.Args(), " "))
	}
	return nil
}
