package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// machineFaults are what a machine can run out of, and the operations that need it.
var machineFaults = []struct {
	errno syscall.Errno
	want  error
	needs func(op errorfs.Op) bool
}{
	{syscall.EMFILE, ErrTooManyFiles, opensFile},
	{syscall.ENFILE, ErrTooManyFiles, opensFile},
	{syscall.ENOSPC, ErrDiskFull, takesSpace},
	{syscall.EDQUOT, ErrDiskFull, takesSpace},
}

func opensFile(op errorfs.Op) bool {
	switch op.Kind {
	case errorfs.OpCreate, errorfs.OpOpen, errorfs.OpOpenDir, errorfs.OpReuseForWrite, errorfs.OpList, errorfs.OpLock:
		return true
	}
	return false
}

func takesSpace(op errorfs.Op) bool {
	switch op.Kind {
	case errorfs.OpCreate, errorfs.OpMkdirAll, errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpFilePreallocate:
		return true
	}
	return false
}

// failFrom lets an operation fail, and all relevant ones after it.
type failFrom struct {
	failAtStep
	errno syscall.Errno
}

func (f *failFrom) op(op errorfs.Op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at == 0 || !f.relevant(op) {
		return nil
	}
	if f.steps++; f.steps < f.at {
		return nil
	}
	f.failed = true
	return &os.PathError{Op: "open", Path: op.Path, Err: f.errno}
}

// What the machine has run out of, at any step of opening a folder or creating one, is
// reported as that and not as damage, and the folder is as good as before.
func TestOpenOnExhaustedMachine(t *testing.T) {
	for _, fault := range machineFaults {
		for _, create := range []bool{false, true} {
			faults := &failFrom{failAtStep: failAtStep{relevant: fault.needs}, errno: fault.errno}
			failures := 0
			for step := 1; ; step++ {
				mem := vfs.NewMem()
				if !create {
					must(t, openTest(t, "data/db", WithFS(mem)).Close())
				}
				faults.arm(step)
				s, err := NewPebbleStore("data/db", WithFS(errorfs.Wrap(mem, errorfs.InjectorFunc(faults.op))))
				hit := faults.hit()
				if err == nil {
					must(t, s.Close())
				}
				if !hit {
					must(t, err)
					break
				}
				if err != nil {
					failures++
					checkMachineFault(t, err, fault.want)
				}
				checkFolder(t, mem, "none")
			}
			if failures < 3 {
				t.Errorf("%v, creating %t: only %d failures", fault.errno, create, failures)
			}
		}
	}
}

func checkMachineFault(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || errors.Is(err, ErrDamagedFolder) {
		t.Fatalf("got %v, want %v", err, want)
	}
	if text := err.Error(); strings.Contains(text, "\n") || !strings.Contains(text, "data/db") {
		t.Errorf("not one line that names the folder: %q", text)
	}
}

// checkFolder opens a copy of the folder, as another process would find it, and looks for
// the value of k.
func checkFolder(t *testing.T, mem *vfs.MemFS, want string) {
	t.Helper()
	fs := vfs.NewMem()
	if _, err := vfs.Clone(mem, fs, "data", "data"); err != nil {
		t.Fatal(err)
	}
	s := openTest(t, "data/db", WithFS(fs))
	wantValue(t, s, "k", maxTS, want)
	must(t, s.PutAt(context.Background(), []byte("k"), nil, maxTS, 0))
	must(t, s.Close())
}

// Of a folder of the older format the engine writes what it finds in a log of its own to a table before it is open. If it cannot, it
// is given up: by itself it would try for ever.
func TestOpenCannotWriteLogToTable(t *testing.T) {
	for _, fault := range machineFaults {
		mem := vfs.NewMem()
		cloneGolden(t, mem, "folder1")
		tables := func(op errorfs.Op) bool { return strings.HasSuffix(op.Path, ".sst") && fault.needs(op) }
		faults := &failFrom{failAtStep: failAtStep{relevant: tables}, errno: fault.errno}
		faults.arm(1)
		_, err := NewPebbleStore("data/db", WithFS(errorfs.Wrap(mem, errorfs.InjectorFunc(faults.op))))
		if !faults.hit() || err == nil {
			t.Fatalf("%v: no error", fault.errno)
		}
		checkMachineFault(t, err, fault.want)
		fs := vfs.NewMem()
		if _, err := vfs.Clone(mem, fs, "data", "data"); err != nil {
			t.Fatal(err)
		}
		s := openTest(t, "data/db", WithFS(fs))
		if got := contents(t, s); got != goldenContents {
			t.Error(difference(got, goldenContents))
		}
	}
}

// cloneGolden puts a golden folder to data/db.
func cloneGolden(t *testing.T, mem *vfs.MemFS, name string) {
	t.Helper()
	must(t, mem.MkdirAll("data", 0o755))
	if _, err := vfs.Clone(vfs.Default, mem, goldenFolders+name, "data/db", vfs.CloneSync); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", "data", "data/db"} {
		must(t, syncFolder(mem, dir))
	}
}

func TestTooManyFilesNamesTheLimit(t *testing.T) {
	most, ok := openFilesMost()
	if !ok {
		t.Skip("this system has no limit of open files for each process")
	}
	err := folderError("db", ErrDamagedFolder, syscall.EMFILE)
	for _, want := range []string{"ulimit -n", fmt.Sprintf("limit of this process is %d", most)} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}
