package metrics

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/store"
)

// fake is a store and a server that tell what a test wants.
type fake struct {
	stats     store.Stats
	conflicts map[string]uint64
	activity  server.Activity
	health    error
	pins      Pins
	keys      Keys
	replica   Replica
	clustered bool
}

func (f *fake) Stats() store.Stats                             { return f.stats }
func (f *fake) WriteConflictCountsByPrefix() map[string]uint64 { return f.conflicts }
func (f *fake) Activity() server.Activity                      { return f.activity }
func (f *fake) Health() error                                  { return f.health }

// noon is when every sample is taken, in Unix seconds.
const noon = 1_700_000_000

func (f *fake) source() Source {
	src := Source{Store: f, Server: f, Pins: func() Pins { return f.pins }, Keys: func() Keys { return f.keys },
		Now: func() time.Time { return time.Unix(noon, 0) }, Version: "v1.2.3"}
	if f.clustered {
		src.Replica = func() Replica { return f.replica }
	}
	return src
}

// filled returns a fake whose figures all differ.
func filled() *fake {
	f := &fake{
		conflicts: map[string]uint64{"write|hash": 7, "read|redis_string": 8, "nonsense": 9},
		pins:      Pins{Count: 2, OldestTS: (noon - 90) * 1000 << 16, OldestAge: 1500 * time.Millisecond, Lapsed: 1},
		keys:      Keys{Stage: 2, Count: 3, Active: 4, Uses: 1000, RenewAt: 5000},
	}
	n := 100
	for _, part := range []any{&f.stats, &f.activity, &f.replica} {
		eachLeaf(reflect.ValueOf(part).Elem(), "", func(_ string, v reflect.Value) {
			n++
			set(v, n)
		})
	}
	f.stats.LastCommitTS = (noon - 2) * 1000 << 16
	f.stats.RetentionFloor = (noon - 3602) * 1000 << 16
	f.stats.Failure, f.stats.Reseal.Failure = nil, nil
	f.stats.WAL.Sync = store.Histogram{Bounds: []float64{0.001, 0.01}, Counts: []uint64{4, 6}, Count: 7, Sum: 0.25}
	f.activity.Latency = []server.LatencyBucket{{AtMost: time.Millisecond, Calls: 20}, {AtMost: 1<<63 - 1, Calls: 30}}
	return f
}

// eachLeaf calls fn for every value below v that has no parts of its own. Slices get two
// elements, maps one.
func eachLeaf(v reflect.Value, path string, fn func(path string, v reflect.Value)) {
	switch {
	case v.Type() == reflect.TypeFor[time.Time](), v.Kind() == reflect.Interface:
		fn(path, v)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			eachLeaf(v.Field(i), path+"."+v.Type().Field(i).Name, fn)
		}
	case v.Kind() == reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		}
		for i := range v.Len() {
			eachLeaf(v.Index(i), fmt.Sprintf("%s[%d]", path, i), fn)
		}
	default:
		fn(path, v)
	}
}

// set gives a leaf the value that n stands for.
func set(v reflect.Value, n int) {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		v.SetInt(int64(n) * int64(time.Second))
	case v.CanInt():
		v.SetInt(int64(n))
	case v.CanUint():
		v.SetUint(uint64(n))
	case v.CanFloat():
		v.SetFloat(float64(n))
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.Kind() == reflect.String:
		v.SetString(fmt.Sprintf("name%d", n))
	case v.Kind() == reflect.Map:
		v.Set(reflect.ValueOf(map[string]int64{"ERR": int64(n), "WRONGTYPE": int64(n) + 1}))
	case v.Type() == reflect.TypeFor[error]():
		v.Set(reflect.ValueOf(fmt.Errorf("error %d", n)))
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(int64(n), 0)))
	default:
		panic("no value for " + v.Type().String())
	}
}

// exposition is what Prometheus reads of our own figures. It fails t if one of them is wrong.
func exposition(t *testing.T, src Source) string {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(NewCollector(src)); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return strings.ReplaceAll(w.Body.String(), runtime.Version(), "GO")
}

func info(src Source) string {
	var b strings.Builder
	for _, f := range Info(src) {
		fmt.Fprintf(&b, "%s:%s\n", f.Name, f.Value)
	}
	return b.String()
}

// TestGolden holds names, types and help texts, on which dashboards rely, and which figure
// stands where.
func TestGolden(t *testing.T) {
	datadriven.RunTest(t, "testdata/golden.txt", func(t *testing.T, d *datadriven.TestData) string {
		f := filled()
		if d.HasArg("fresh") {
			f = &fake{}
		}
		if d.HasArg("failed") {
			f.stats.Failure = errors.New("disk is gone")
		}
		switch d.Cmd {
		case "exposition":
			return exposition(t, f.source())
		case "cluster":
			var b strings.Builder
			f.clustered = true
			for line := range strings.Lines(exposition(t, f.source())) {
				if strings.Contains(line, "elastickv_cluster_") {
					b.WriteString(line)
				}
			}
			return b.String()
		case "info":
			return info(f.source())
		}
		d.Fatalf(t, "unknown command %s", d.Cmd)
		return ""
	})
}

// Names and help texts are as Prometheus recommends.
func TestLint(t *testing.T) {
	problems, err := promlint.New(strings.NewReader(exposition(t, filled().source()))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// unshown are the figures that neither Prometheus nor INFO has, and why.
var unshown = map[string]string{
	".Compact.Started":       "the durations tell",
	".Compact.Pass.Floor":    "the retention floor is raised before a pass begins",
	".Compact.Last.Floor":    "the same",
	".Compact.Total.Floor":   "the same",
	".Compact.Pass.Ranges":   "of an unfinished pass, rows and versions are enough",
	".Compact.Pass.Keys":     "the same",
	".Compact.Pass.Skipped":  "the same",
	".Compact.Pass.Duration": "the same",
	".Compact.Last.Ranges":   "the totals tell",
	".Compact.Last.Skipped":  "the same",
	".Latency[1].AtMost":     "the last bucket has no bound",
}

// Every figure of the store and the server shows somewhere.
func TestNothingIsForgotten(t *testing.T) {
	show := func(f *fake) string {
		f.clustered = true
		return exposition(t, f.source()) + info(f.source())
	}
	before := show(filled())
	for part := range 3 {
		target := func(f *fake) reflect.Value {
			return reflect.ValueOf([]any{&f.stats, &f.activity, &f.replica}[part]).Elem()
		}
		var paths []string
		eachLeaf(target(filled()), "", func(path string, _ reflect.Value) { paths = append(paths, path) })
		for _, changed := range paths {
			f := filled()
			eachLeaf(target(f), "", func(path string, v reflect.Value) {
				if path == changed && v.Kind() == reflect.Bool {
					v.SetBool(!v.Bool())
				} else if path == changed {
					set(v, 100_000)
				}
			})
			shown := show(f) != before
			if _, hidden := unshown[changed]; shown == hidden {
				t.Errorf("%s: shows %v, want %v", changed, shown, !hidden)
			}
		}
	}
}

// A metric that one sample has is there in every sample, with the value 0 or without labels.
func TestSameMetricsFromTheBeginning(t *testing.T) {
	labelled := []string{"error_replies_by_code_total", "commands_total", "command_failures_total", "command_rejections_total",
		"command_seconds_total", "store_level_bytes", "store_level_tables", "store_level_read_amplification", "store_write_conflict_total"}
	fresh := exposition(t, (&fake{}).source())
	for line := range strings.Lines(exposition(t, filled().source())) {
		name, ok := strings.CutPrefix(line, "# TYPE "+namespace)
		name, _, _ = strings.Cut(name, " ")
		if ok && !slices.Contains(labelled, name) && !strings.Contains(fresh, line) {
			t.Errorf("%s is not there from the beginning", name)
		}
	}
}

// Codes of errors that are no text, and such that become the same when they are made one.
func TestHostileLabels(t *testing.T) {
	f := &fake{activity: server.Activity{ErrorCodes: map[string]int64{"A\xff": 1, "A\xfe": 2, "A\uFFFD": 4, "\"\n\\": 8, "": 16}}}
	got := exposition(t, f.source())
	for _, want := range []string{
		`{code="A` + "\uFFFD" + `"} 7`, `{code="\"\n\\"} 8`, `{code=""} 16`,
	} {
		if !strings.Contains(got, namespace+"error_replies_by_code_total"+want+"\n") {
			t.Errorf("no %s in:\n%s", want, got)
		}
	}
}

// What a figure becomes at its edges.
func TestEdges(t *testing.T) {
	for _, tc := range []struct {
		name  string
		stats store.Stats
		want  string
	}{
		{"nothing dropped", store.Stats{LastCommitTS: noon * 1000 << 16}, "store_history_seconds 0"},
		{"nothing dropped", store.Stats{LastCommitTS: noon * 1000 << 16}, "store_retention_floor_age_seconds 0"},
		{"a floor above the newest write", store.Stats{LastCommitTS: 1 << 16, RetentionFloor: noon * 1000 << 16}, "store_history_seconds 0"},
		{"a clock that was set back", store.Stats{RetentionFloor: (noon + 5) * 1000 << 16}, "store_retention_floor_age_seconds 0"},
		{"the highest timestamp", store.Stats{LastCommitTS: 1<<64 - 1}, "store_last_commit_timestamp_seconds 2.81474976710655e+11"},
		{"a failure", store.Stats{Failure: errors.New("no")}, "store_writable 0"},
	} {
		f := &fake{stats: tc.stats}
		if got := exposition(t, f.source()); !strings.Contains(got, "\n"+namespace+tc.want+"\n") {
			t.Errorf("%s: no %s in:\n%s", tc.name, tc.want, got)
		}
	}
}
