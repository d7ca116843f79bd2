package arch

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// layers is the plan of the house. A package imports what stands behind its name, and
// nothing else of this module; a name may be used only below its own line, so imports
// always point down. The two wings (keyspace, command, script, server; replica, shard)
// share txn and never know each other: only cmd joins them.
const layers = `
hlc:
encryption:
encryption/keys:    encryption
internal/watermark:
internal/prefetch:
internal/zerofill:
internal/wal:       internal/zerofill
internal/resp:
internal/netpoll:
internal/relay:
internal/rdb:
internal/prefixes:
internal/pubsub:    internal/prefixes internal/resp
internal/tracking:  internal/prefixes
store:              internal/watermark internal/prefetch internal/wal encryption
internal/txn:       hlc store
internal/eviction:  internal/prefetch
internal/keyspace:  internal/txn internal/eviction store
internal/bitmap:
internal/hll:
internal/geohash:
internal/pqsort:
internal/lua:
internal/command:   internal/keyspace internal/bitmap internal/hll internal/geohash internal/pqsort internal/rdb internal/txn internal/resp
internal/acl:       internal/command
internal/lualib:    internal/lua
internal/script:    internal/command internal/keyspace internal/resp internal/rdb internal/lua internal/lualib
internal/server:    internal/script internal/acl internal/command internal/keyspace internal/eviction internal/txn internal/resp internal/pubsub internal/tracking internal/netpoll internal/relay
internal/replica/raftlog: internal/watermark internal/zerofill encryption
internal/replica/transport: internal/replica/raftlog
internal/replica:   internal/replica/raftlog internal/txn store hlc encryption
internal/replica/host: internal/replica internal/replica/transport internal/replica/raftlog internal/txn store
internal/replica/node: internal/replica/host internal/replica/transport internal/replica/raftlog internal/replica store
internal/shard:     internal/replica internal/txn store hlc
internal/backup:
internal/metrics:   internal/server internal/shard internal/replica store
internal/admin:      internal/metrics internal/backup internal/shard store encryption/keys
cmd/elastickv:      *
`

// testOnly are the packages that exist for tests, with those in their folders. They may
// import anything, and only test files and they themselves import them.
var testOnly = []string{"store/storetest", "internal/testkit", "internal/arch", "test", "bench"}

func isTestOnly(dir string) bool {
	return slices.ContainsFunc(testOnly, func(p string) bool { return dir == p || strings.HasPrefix(dir, p+"/") })
}

// openers are the names of store that keyspace may not use: it knows keys and values, and
// leaves it to txn how they are kept.
var openers = []string{"MVCCStore", "NewMVCCStore", "NewPebbleStore"}

func TestLayers(t *testing.T) {
	report(t, checkLayers(loadModule(t), layers))
}

// report fails t with every finding.
func report(t *testing.T, findings []string) {
	t.Helper()
	for _, f := range findings {
		t.Error(f)
	}
}

// plan is the parsed list: package to what it may import.
type plan struct {
	allows map[string][]string
	faults []string
}

func parsePlan(list string) plan {
	p := plan{allows: make(map[string][]string)}
	for line := range strings.Lines(strings.TrimSpace(list)) {
		name, uses, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok || p.allows[name] != nil {
			p.faults = append(p.faults, fmt.Sprintf("plan: line %q is not NAME: USES or comes twice", line))
			continue
		}
		allowed := []string{}
		for _, use := range strings.Fields(uses) {
			switch {
			case use == "*":
				for above := range p.allows {
					allowed = append(allowed, above)
				}
			case p.allows[use] == nil:
				p.faults = append(p.faults, fmt.Sprintf("plan: %s uses %s, which does not stand above it", name, use))
			default:
				allowed = append(allowed, use)
			}
		}
		p.allows[name] = allowed
	}
	return p
}

// checkLayers reports every import that the plan does not have, and every package that is
// not in it.
func checkLayers(tr *tree, list string) []string {
	p := parsePlan(list)
	found := p.faults
	unknown := make(map[string]bool)
	for _, f := range tr.files {
		if isTestOnly(f.dir) {
			continue
		}
		allowed, planned := p.allows[f.dir]
		if !planned && !unknown[f.dir] {
			unknown[f.dir] = true
			found = append(found, fmt.Sprintf("%s: package %s is not in the plan: "+
				"add its line to internal/arch/layers_test.go, in a commit that says why", tr.at(f.Name), f.dir))
		}
		if !planned || f.test {
			continue
		}
		found = append(found, checkImports(tr, f, allowed)...)
	}
	return found
}

func checkImports(tr *tree, f *file, allowed []string) []string {
	var found []string
	for _, spec := range f.Imports {
		dir, ours := strings.CutPrefix(imported(spec), modulePath+"/")
		if !ours || slices.Contains(allowed, dir) {
			continue
		}
		advice := "move the code to the package that may, or let it enter as an argument or interface"
		if isTestOnly(dir) {
			advice = "it is for tests only"
		}
		found = append(found, fmt.Sprintf("%s: %s imports %s, which the plan does not allow: %s",
			tr.at(spec), f.dir, dir, advice))
	}
	if f.dir == "internal/keyspace" {
		f.selectors(modulePath+"/store", func(sel *ast.SelectorExpr) {
			if slices.Contains(openers, sel.Sel.Name) {
				found = append(found, fmt.Sprintf("%s: keyspace uses store.%s: it may use only the codecs of keys and values, and reads and writes through txn.Tx",
					tr.at(sel), sel.Sel.Name))
			}
		})
	}
	return found
}
