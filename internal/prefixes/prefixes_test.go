package prefixes

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Of finds what a search through all prefixes finds, whatever has been put in and taken out.
func TestModel(t *testing.T) {
	name := rapid.StringOfN(rapid.SampledFrom([]rune("ab:")), 0, 6, -1)
	rapid.Check(t, func(t *rapid.T) {
		var m Map[int]
		model := make(map[string]int)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				p, v := name.Draw(t, "prefix"), rapid.Int().Draw(t, "value")
				m.Put(p, v)
				model[p] = v
			},
			"delete": func(t *rapid.T) {
				p := name.Draw(t, "prefix")
				m.Delete(p)
				delete(model, p)
			},
			"": func(t *rapid.T) {
				n := name.Draw(t, "name")
				var got, want []string
				for p, v := range m.Of([]byte(n)) {
					got = append(got, p)
					if v != model[p] {
						t.Fatalf("the value of %q is %d, want %d", p, v, model[p])
					}
				}
				for p := range model {
					if strings.HasPrefix(n, p) {
						want = append(want, p)
					}
				}
				slices.Sort(want) // all begin n, so this is the order of their lengths
				if !slices.Equal(got, want) || m.Len() != len(model) {
					t.Fatalf("prefixes of %q: got %q, want %q; %d in all, want %d", n, got, want, m.Len(), len(model))
				}
				if v, ok := m.Get(n); v != model[n] || ok != slices.Contains(want, n) {
					t.Fatalf("Get(%q) = %d, %v", n, v, ok)
				}
			},
		})
	})
}
