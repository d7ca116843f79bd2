package command

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", false}, {"**", "", false}, {"*", "abc", true}, {"a*", "abc", true}, {"*c", "abc", true},
		{"a*c", "abc", true}, {"a*c", "abd", false}, {"?", "", false}, {"?", "a", true}, {"a?c", "abc", true},
		{"[abc]", "b", true}, {"[abc]", "d", false}, {"[a-c]x", "bx", true}, {"[c-a]x", "bx", true}, {"[^a-c]", "d", true},
		{"[^a]", "a", false}, {"[]", "a", false}, {"[^]", "a", true}, {"[a", "a", true}, {"[a-", "-", true},
		{`\*`, "*", true}, {`\*`, "a", false}, {`\`, `\`, true}, {`[\]]`, "]", true}, {`a\`, `a\`, true},
		{"*a*b*c", "xxaxxbxxc", true}, {"*a*b*c", "xxaxxcxxb", false}, {"h[^e]llo", "hello", false}, {"h[a-b]llo", "hbllo", true},
		{"**", "a", true}, {"*?", "", false}, {"a**b", "ab", true}, {"\x00*", "\x00\xff", true},
	} {
		if got := globMatch([]byte(c.pattern), []byte(c.s)); got != c.want {
			t.Errorf("globMatch(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
}

// naiveGlob is the obvious, exponential matcher.
func naiveGlob(pattern, s []byte) bool {
	if len(pattern) > 0 && pattern[0] == '*' {
		return naiveGlob(pattern[1:], s) || len(s) > 0 && naiveGlob(pattern, s[1:])
	}
	if len(pattern) == 0 || len(s) == 0 {
		return len(pattern) == len(s)
	}
	n, ok := matchOne(pattern, s[0])
	return ok && naiveGlob(pattern[n:], s[1:])
}

func TestGlobAgainstNaive(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		pattern := []byte(rapid.StringMatching(`[ab*?\[\]^\\-]{0,8}`).Draw(rt, "pattern"))
		s := []byte(rapid.StringMatching(`[ab\]-]{0,8}`).Draw(rt, "s"))
		want := naiveGlob(pattern, s) && (len(s) > 0 || len(pattern) == 0)
		if got := globMatch(pattern, s); got != want {
			rt.Fatalf("globMatch(%q, %q) = %v, want %v", pattern, s, got, want)
		}
		if prefix := literalPrefix(pattern); globMatch(pattern, s) && !strings.HasPrefix(string(s), string(prefix)) {
			rt.Fatalf("%q matches %q, which does not begin with %q", pattern, s, prefix)
		}
	})
}

func TestGlobWithManyStarsEnds(t *testing.T) {
	done := make(chan bool)
	go func() {
		done <- globMatch([]byte(strings.Repeat("a*", 100)+"b"), []byte(strings.Repeat("a", 10_000)))
	}()
	select {
	case got := <-done:
		if got {
			t.Error("matched")
		}
	case <-time.After(time.Minute):
		t.Fatal("a pattern of many stars takes for ever")
	}
}

func FuzzGlob(f *testing.F) {
	for _, p := range []string{"*", "[a-", `\`, "[^", "a*b?c[d-e]"} {
		f.Add([]byte(p), []byte("abc"))
	}
	f.Fuzz(func(t *testing.T, pattern, s []byte) {
		if len(pattern) > 100 || len(s) > 100 {
			t.Skip()
		}
		globMatch(pattern, s)
		if prefix := literalPrefix(pattern); globMatch(pattern, s) && !strings.HasPrefix(string(s), string(prefix)) {
			t.Fatalf("%q matches %q, which does not begin with %q", pattern, s, prefix)
		}
	})
}
