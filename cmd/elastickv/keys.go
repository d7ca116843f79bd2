package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/elastickv/elastickv/encryption"
	"github.com/elastickv/elastickv/encryption/keys"
	"github.com/elastickv/elastickv/internal/admin"
)

const keysUsage = `Usage: elastickv keys COMMAND [flags]

Looks after the keys that a server seals its values with, on this machine and as its user.

Commands:
  status [--json]          tells of the keys, and of the rows that are being sealed again
  enable --kek SOURCE      has a server that runs without --encryption begin to seal; SOURCE is
                           file:PATH or command:LINE
  rotate                   makes a new key, and has all rows sealed again under it
  rewrap [--to SOURCE]     wraps the keys under another key encryption key (KEK): file:PATH or
                           command:LINE; without --to under what the present source gives now
  retire ID                forgets a key that no row is sealed under any more
  generate --out FILE      makes a KEK of chance in a new file, for its owner only

Flags:
  --dir DIR                the data folder of the server    (./data)
  --help                   print this text
`

// keysFlags are the flags of the subcommands.
type keysFlags struct {
	dir, kek, to, out string
	json              bool
	args              []string // behind the command
}

// keysCommand is the subcommand that talks to a server about its keys.
func keysCommand(args []string, io stdio) int {
	if len(args) == 0 {
		fmt.Fprint(io.err, keysUsage)
		return exitUsage
	}
	name, args := args[0], args[1:]
	commands := map[string]func(context.Context, keysFlags, stdio) error{
		"status": keysStatus, "enable": keysEnable, "rotate": keysRotate, "rewrap": keysRewrap, "retire": keysRetire, "generate": keysGenerate,
	}
	f, err := parseKeys(args)
	switch {
	case errors.Is(err, flag.ErrHelp), name == "--help", name == "-h", name == "help":
		fmt.Fprint(io.out, keysUsage)
		return exitOK
	case commands[name] == nil:
		return complain(io, exitUsage, fmt.Errorf("unknown command %q; see elastickv keys --help", name))
	case err == nil:
		err = f.check(name)
	}
	if err != nil {
		return complain(io, exitUsage, err)
	}
	ctx, stop := onSignal()
	defer stop()
	if err := commands[name](ctx, f, io); err != nil {
		return complain(io, exitFault, err)
	}
	return exitOK
}

// parseKeys takes flags before and behind other arguments.
func parseKeys(args []string) (f keysFlags, err error) {
	fs := flag.NewFlagSet("keys", flag.ContinueOnError)
	fs.SetOutput(new(strings.Builder))
	fs.Usage = func() {}
	fs.StringVar(&f.dir, "dir", "./data", "")
	fs.StringVar(&f.kek, "kek", "", "")
	fs.StringVar(&f.to, "to", "", "")
	fs.StringVar(&f.out, "out", "", "")
	fs.BoolVar(&f.json, "json", false, "")
	for len(args) > 0 {
		if err := fs.Parse(args); err != nil {
			return f, err
		}
		if args = fs.Args(); len(args) > 0 {
			f.args, args = append(f.args, args[0]), args[1:]
		}
	}
	return f, nil
}

// check fails if a command was given what it does not take.
func (f keysFlags) check(command string) error {
	wanted := 0
	if command == "retire" {
		wanted = 1
	}
	switch {
	case len(f.args) > wanted:
		return fmt.Errorf("unexpected argument %q", f.args[wanted])
	case len(f.args) < wanted:
		return errors.New("which key? elastickv keys retire ID")
	case f.to != "" && command != "rewrap":
		return errors.New("--to is for rewrap")
	case (f.kek != "") != (command == "enable"):
		return errors.New("enable --kek SOURCE has the server begin to seal")
	case (f.out != "") != (command == "generate"):
		return errors.New("generate --out FILE makes a file")
	case f.json && command != "status":
		return errors.New("--json is for status")
	}
	return nil
}

func keysStatus(ctx context.Context, f keysFlags, io stdio) error {
	st, err := admin.NewClient(f.dir).KeysStatus(ctx)
	if err != nil {
		return err
	}
	if f.json {
		e := json.NewEncoder(io.out)
		e.SetIndent("", "  ")
		return e.Encode(st)
	}
	if st.Provider == "" {
		fmt.Fprintln(io.out, "nothing is sealed; elastickv keys enable --kek SOURCE has the server begin")
		return nil
	}
	w := tabwriter.NewWriter(io.out, 0, 0, 2, ' ', 0)
	line := func(name string, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	line("stage", "%s", st.Stage)
	line("kek", "%s from %s", st.KEK, st.Provider)
	line("active key", "%d, used %d times of %d", st.Active, st.Uses, st.RenewAt)
	line("node", "%s in epoch %d", st.Node, st.Epoch)
	line("rows", "%s", rowsText(st))
	for _, k := range st.Keys {
		line(fmt.Sprintf("key %d", k.ID), "%s, made %s", k.State, k.Created.Format(time.RFC3339))
	}
	return w.Flush()
}

// rowsText says how the rows are sealed.
func rowsText(st admin.KeysStatus) string {
	if st.Due <= st.Rewritten {
		return fmt.Sprintf("all sealed under key %d or later", st.Rewritten)
	}
	text := fmt.Sprintf("those below key %d are being sealed again: %d of %d looked at so far, about %d bytes on the disk left",
		st.Due, st.Reseal.Sealed, st.Reseal.Rows, st.Reseal.Left)
	if st.Reseal.Failure != "" {
		text += "; it has stopped and will try again: " + st.Reseal.Failure
	}
	return text
}

func keysRotate(ctx context.Context, f keysFlags, io stdio) error {
	done, err := admin.NewClient(f.dir).Rotate(ctx)
	if err == nil {
		fmt.Fprintf(io.out, "key %d is active; rows are being sealed again under it (elastickv keys status)\n", done.Active)
	}
	return err
}

func keysEnable(ctx context.Context, f keysFlags, io stdio) error {
	kek, err := absolute(f.kek)
	if err != nil {
		return err
	}
	done, err := admin.NewClient(f.dir).Enable(ctx, kek)
	if err == nil {
		fmt.Fprintf(io.out, "what is written is sealed, and what was there is being sealed (elastickv keys status); from the next start on give --encryption %q\n", done.Provider)
	}
	return err
}

// absolute names the file of a source so that a server finds it, which has another working folder.
func absolute(source string) (string, error) {
	path, ok := strings.CutPrefix(source, "file:")
	if !ok {
		return source, nil
	}
	path, err := filepath.Abs(path)
	return "file:" + path, err
}

func keysRewrap(ctx context.Context, f keysFlags, io stdio) error {
	to, err := absolute(f.to)
	if err != nil {
		return err
	}
	done, err := admin.NewClient(f.dir).Rewrap(ctx, to)
	if err == nil {
		fmt.Fprintf(io.out, "the keys are wrapped anew; from the next start on give --encryption %q\n", done.Provider)
	}
	return err
}

func keysRetire(ctx context.Context, f keysFlags, io stdio) error {
	id, err := strconv.ParseUint(f.args[0], 10, 32)
	if err != nil {
		return fmt.Errorf("key %q: a number is wanted", f.args[0])
	}
	if err := admin.NewClient(f.dir).Retire(ctx, uint32(id)); err != nil {
		return err
	}
	fmt.Fprintf(io.out, "key %d is retired\n", id)
	return nil
}

// keysGenerate writes a KEK, so that it is in no shell's history and no list of processes.
func keysGenerate(_ context.Context, f keysFlags, io stdio) error {
	key := make([]byte, encryption.KeySize)
	defer clear(key)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	file, err := keys.OS.Create(f.out)
	if err != nil {
		return err
	}
	_, err = file.Write(append(base64.StdEncoding.AppendEncode(nil, key), '\n'))
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = keys.OS.SyncFolder(filepath.Dir(f.out))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.out))
	}
	fmt.Fprintf(io.out, "%s holds a new key encryption key; keep a copy of it apart from the data\n", f.out)
	return nil
}
