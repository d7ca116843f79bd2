package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/elastickv/elastickv/encryption"
	"github.com/elastickv/elastickv/encryption/keys"
	"github.com/elastickv/elastickv/internal/backup"
	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/store"
)

const restoreUsage = `Usage: elastickv restore --from FILE (--dir DIR [flags] | --check [flags])

Makes a data folder of what elastickv backup has written, or reads the file through without
making anything. A folder is made whole or not at all.

Flags:
  --from FILE              the backup; - is the standard input
  --dir DIR                the data folder to make; it is new or empty
  --check                  make no folder; read the backup to its end and tell what it holds
  --encryption SOURCE      seal the values of the new folder under keys of its own; SOURCE has
                           the key encryption key: file:PATH, env:NAME, command:LINE, or off
  --backup-key SOURCE      the key encryption key of a sealed backup, if it is not the same
  --help                   print this text
`

// restoreFlags are what a restore is asked for.
type restoreFlags struct {
	from, dir, encryption, backupKey string
	check                            bool
}

// restoreCommand is the subcommand that gets a backup back in.
func restoreCommand(args []string, env lookupEnv, stdio stdio) int {
	f, err := parseRestore(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdio.out, restoreUsage)
		return exitOK
	case err != nil:
		return complain(stdio, exitUsage, err)
	}
	ctx, stop := onSignal()
	defer stop()
	if err := f.run(ctx, env, stdio); err != nil {
		return complain(stdio, exitFault, err)
	}
	return exitOK
}

func parseRestore(args []string) (f restoreFlags, err error) {
	flags := newFlags("restore")
	flags.StringVar(&f.from, "from", "", "")
	flags.StringVar(&f.dir, "dir", "", "")
	flags.StringVar(&f.encryption, "encryption", "", "")
	flags.StringVar(&f.backupKey, "backup-key", "", "")
	flags.BoolVar(&f.check, "check", false, "")
	if err := parseAll(flags, args); err != nil {
		return f, err
	}
	switch {
	case f.from == "":
		return f, errors.New("restore what? --from FILE")
	case f.check == (f.dir != ""):
		return f, errors.New("restore --dir DIR makes a folder, restore --check makes none: one of them is wanted")
	case f.check && f.encryption != "":
		return f, errors.New("--encryption is for the folder that is made; --check takes --backup-key")
	}
	return f, nil
}

func (f *restoreFlags) run(ctx context.Context, env lookupEnv, stdio stdio) error {
	in := io.Reader(os.Stdin)
	if f.from != standardStream {
		file, err := os.Open(f.from)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	in = bufio.NewReaderSize(&untilDone{ctx, in}, 1<<20)
	head, err := backup.Open(in)
	if err != nil {
		return err
	}
	providers := onceEach(env)
	cipher, err := f.openKeys(ctx, head, providers)
	if err != nil {
		return err
	}
	plain, err := store.OpenSnapshot(in, cipher)
	if err != nil {
		return err
	}
	if f.check {
		return tell(plain, head, stdio)
	}
	return f.restore(ctx, plain, head, providers, stdio)
}

// onceEach returns providers by name. A variable is read once and then removed, so the second who
// asks for it gets the same provider.
func onceEach(env lookupEnv) func(source string) (keys.Provider, error) {
	made := map[string]keys.Provider{}
	return func(source string) (keys.Provider, error) {
		if p := made[source]; p != nil {
			return p, nil
		}
		p, err := parseProvider(source, env)
		if err == nil {
			made[source] = p
		}
		return p, err
	}
}

// openKeys returns what opens a sealed backup, and nil for one that is not.
func (f *restoreFlags) openKeys(ctx context.Context, head *backup.Header, providers func(string) (keys.Provider, error)) (*encryption.Cipher, error) {
	source := f.backupKey
	if !head.Sealed() {
		if source != "" {
			return nil, errors.New("--backup-key: the backup is not sealed")
		}
		return nil, nil
	}
	if source == "" {
		source = f.encryption
	}
	if source == "" || source == encryptionOff {
		return nil, errors.New("the backup is sealed: give --backup-key SOURCE, the key encryption key that its keys are wrapped under")
	}
	if f.dir != "" && f.encryption == "" {
		return nil, fmt.Errorf("the backup is sealed: give --encryption SOURCE for the new folder, or --encryption off to have its values in clear")
	}
	p, err := providers(source)
	if err != nil {
		return nil, err
	}
	return keys.OpenCipher(ctx, head.Keys, p)
}

// tell reads the snapshot to its end and says what it has found.
func tell(plain io.Reader, head *backup.Header, stdio stdio) error {
	info, err := store.VerifySnapshot(plain)
	if err != nil {
		return err
	}
	sealed := "clear"
	if head.Sealed() {
		sealed = "sealed"
	}
	fmt.Fprintf(stdio.out, "whole and intact: taken %s by elastickv %s, %s, %d rows in %d versions, last write %s\n",
		head.Created.Format(time.RFC3339), head.Server, sealed, info.Keys, info.Versions, momentOf(info.LastCommitTS))
	return nil
}

// momentOf shows the wall clock in a timestamp.
func momentOf(ts uint64) string {
	if ts == 0 {
		return "never"
	}
	return time.UnixMilli(int64(ts >> 16)).UTC().Format(time.RFC3339)
}

// restore makes the folder.
func (f *restoreFlags) restore(ctx context.Context, plain io.Reader, head *backup.Header, providers func(string) (keys.Provider, error), stdio stdio) (err error) {
	fresh, err := newFolder(f.dir)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, clearFolder(f.dir, fresh))
		}
	}()
	cfg := server.NewConfig()
	if err := cfg.Set("dir", f.dir); err != nil {
		return err
	}
	var kek keys.Provider
	if f.encryption != "" && f.encryption != encryptionOff {
		if kek, err = providers(f.encryption); err != nil {
			return err
		}
	}
	log := slog.New(slog.NewTextHandler(stdio.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	began := time.Now()
	if err := gather(ctx, plain, cfg, kek, log); err != nil {
		return err
	}
	if err := keys.OS.Rename(filepath.Join(f.dir, restoringFolder), filepath.Join(f.dir, storeFolder)); err != nil {
		return err
	}
	if err := errors.Join(keys.OS.SyncFolder(f.dir), keys.OS.SyncFolder(filepath.Dir(f.dir))); err != nil {
		return err
	}
	start := "elastickv serve --dir " + f.dir
	if kek != nil {
		start += fmt.Sprintf(" --encryption %q", kek)
	}
	fmt.Fprintf(stdio.out, "%s holds what was there on %s, in %s; start it with: %s\n",
		f.dir, head.Created.Format(time.RFC3339), time.Since(began).Round(time.Millisecond), start)
	return nil
}

// gather makes the store, beside where it will be.
func gather(ctx context.Context, plain io.Reader, cfg *server.Config, kek keys.Provider, log *slog.Logger) error {
	ring, err := loadKeys(ctx, cfg, kek)
	if err != nil {
		return err
	}
	e, err := openEngine(filepath.Join(cfg.Dir(), restoringFolder), cfg, ring, log)
	if err != nil {
		return err
	}
	return errors.Join(e.Restore(plain), e.Close())
}

// newFolder makes dir, or takes one in which nothing is but what a fresh file system has. It
// reports whether it has made it.
func newFolder(dir string) (fresh bool, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if e.Name() != "lost+found" {
			return false, fmt.Errorf("%s holds %s; a restore wants a new or empty folder", dir, e.Name())
		}
	}
	return false, nil
}

// clearFolder takes back what a restore has begun.
func clearFolder(dir string, fresh bool) error {
	if fresh {
		return os.RemoveAll(dir)
	}
	return errors.Join(os.RemoveAll(filepath.Join(dir, restoringFolder)), keys.OS.Remove(filepath.Join(dir, keys.FileName)),
		keys.OS.Remove(filepath.Join(dir, keys.NewFileName)))
}

// untilDone ends a stream with ctx.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}
