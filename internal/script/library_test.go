package script_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/testkit"
	"github.com/elastickv/elastickv/store"
)

// largeLibrary holds some megabytes from when it is loaded.
const largeLibrary = `#!lua name=large
local held = {}
for i = 1, %d do held[i] = i end
redis.register_function('held', function() return #held end)`

// largeEnough is how many elements do not fit into 1 MiB. To load them takes a tenth of the time that a library may take to load, or
// less, so that a test of others at the same time does not make it fail.
const largeEnough = 60_000

// TestLibraryComesBack starts a server that has not the memory to load a library which is kept. The
// library is not lost: it is shown, dumped and in the way of another of its name, and it is there
// again when there is memory.
func TestLibraryComesBack(t *testing.T) {
	engine := store.NewMVCCStore().(store.Engine)
	source := fmt.Sprintf(largeLibrary, largeEnough)
	var dump string
	t.Run("before", func(t *testing.T) {
		c := testkit.Dial(t, testkit.InProcess(t, engine, map[string]string{"lua-memory-limit": "64mb"}), 2)
		c.MustDo(t, "FUNCTION", "LOAD", source)
		dump = c.MustDo(t, "FUNCTION", "DUMP").Str
	})
	c := testkit.Dial(t, testkit.InProcess(t, engine, map[string]string{"lua-memory-limit": "1mb"}), 2)
	for _, step := range []struct {
		args []string
		want string
	}{
		{[]string{"FCALL", "held", "0"}, "ERR Function not found"},
		{[]string{"FUNCTION", "LOAD", source}, "ERR Library 'large' already exists"},
		{[]string{"FUNCTION", "DUMP"}, dump},
		{[]string{"FUNCTION", "RESTORE", dump}, "ERR Error registering functions: ERR not enough memory"},
	} {
		if v, err := c.Do(step.args...); err != nil || v.Str != step.want {
			t.Fatalf("%.40q: got %v, %v, want %q", step.args, v, err, step.want)
		}
	}
	if list := c.MustDo(t, "FUNCTION", "LIST").String(); !strings.Contains(list, "large") {
		t.Fatalf("the library is not shown: %s", list)
	}
	c.MustDo(t, "CONFIG", "SET", "lua-memory-limit", "64mb")
	for {
		v, err := c.Do("FCALL", "held", "0")
		if err != nil {
			t.Fatal(err)
		}
		if v.Int == largeEnough {
			break
		}
		if v.Str != "ERR Function not found" {
			t.Fatalf("got %v", v)
		}
	}
	c.MustDo(t, "FUNCTION", "DELETE", "large")
}

// TestBrokenLibraryGoes deletes a library that cannot be loaded.
func TestBrokenLibraryGoes(t *testing.T) {
	engine := store.NewMVCCStore().(store.Engine)
	t.Run("before", func(t *testing.T) {
		c := testkit.Dial(t, testkit.InProcess(t, engine, map[string]string{"lua-memory-limit": "64mb"}), 2)
		c.MustDo(t, "FUNCTION", "LOAD", fmt.Sprintf(largeLibrary, largeEnough))
	})
	c := testkit.Dial(t, testkit.InProcess(t, engine, map[string]string{"lua-memory-limit": "1mb"}), 2)
	c.MustDo(t, "FUNCTION", "DELETE", "large")
	if list := c.MustDo(t, "FUNCTION", "LIST"); len(list.Elems) != 0 {
		t.Fatalf("got %v", list)
	}
	c.MustDo(t, "FUNCTION", "LOAD", fmt.Sprintf(largeLibrary, 10))
	if v := c.MustDo(t, "FCALL", "held", "0"); v.Int != 10 {
		t.Fatalf("got %v", v)
	}
}

// TestReplacedLibraries loads a large library again and again, also in vain. The old ones go.
func TestReplacedLibraries(t *testing.T) {
	const limit = 4 << 20
	c := testkit.Dial(t, testkit.InProcess(t, store.NewMVCCStore().(store.Engine), map[string]string{"lua-memory-limit": "4mb"}), 2)
	c.MustDo(t, "FUNCTION", "LOAD", "#!lua name=other\nredis.register_function('taken', function() end)")
	peak := testkit.HeapPeak(func() {
		for i := range 30 {
			n := 50_000 + i // which are loaded in time on a busy machine, too
			c.MustDo(t, "FUNCTION", "LOAD", "REPLACE", fmt.Sprintf(largeLibrary, n))
			if v := c.MustDo(t, "FCALL", "held", "0"); v.Int != int64(n) {
				t.Fatalf("got %v, want %d", v, n)
			}
			vain := strings.Replace(strings.Replace(fmt.Sprintf(largeLibrary, n), "name=large", "name=vain", 1), "'held'", "'taken'", 1)
			if v, err := c.Do("FUNCTION", "LOAD", vain); err != nil || v.Str != "ERR Function taken already exists" {
				t.Fatalf("got %v, %v", v, err)
			}
		}
	})
	if peak > hostileFactor*limit {
		t.Errorf("the heap has grown by %d KiB", peak>>10)
	}
}

// TestManyScripts keeps more compiled scripts than there is memory for: they are compiled again when
// they are called, and leave room for what scripts do.
func TestManyScripts(t *testing.T) {
	testkit.Single(t)
	const limit = 16 << 20
	c := testkit.Dial(t, testkit.InProcess(t, store.NewMVCCStore().(store.Engine), map[string]string{"lua-memory-limit": "16mb"}), 2)
	var shas []string
	peak := testkit.HeapPeak(func() {
		for i := range 100 {
			source := strings.Repeat("local a = {1, 'x'} ", 100) + strings.Repeat("do local b = {a, 2} end ", 2000) +
				fmt.Sprintf("local t = {} for i = 1, 200000 do t[i] = i end return %d", i)
			shas = append(shas, c.MustDo(t, "SCRIPT", "LOAD", source).Str)
		}
		for i, sha := range shas {
			if v := c.MustDo(t, "EVALSHA", sha, "0"); v.Int != int64(i) {
				t.Fatalf("got %v, want %d", v, i)
			}
		}
	})
	const sources = 100 * 100_000 // bytes, twice
	if peak > hostileFactor*limit+2*sources {
		t.Errorf("the heap has grown by %d KiB", peak>>10)
	}
}
