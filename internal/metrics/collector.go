package metrics

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/elastickv/elastickv/store"
)

// namespace begins the name of every metric. Names are relied on by dashboards and alerts:
// they do not change.
const namespace = "elastickv_"

// metric is one row of the table of metrics: counters, gauges, and what is counted by label.
type metric struct {
	name   string // without the namespace
	help   string // for an operator: what it counts, and what it means
	kind   prometheus.ValueType
	labels []string
	read   func(s *sample, emit emit)
}

// emit takes one value, and a value for each label.
type emit func(value float64, labels ...string)

// histogram is one row of the table of histograms, in seconds.
type histogram struct {
	name, help string
	read       func(s *sample) store.Histogram
}

// counter is a row of one value that only rises, until a restart.
func counter[T number](name, help string, read func(*sample) T) metric {
	return metric{name: name, help: help, kind: prometheus.CounterValue,
		read: func(s *sample, emit emit) { emit(float64(read(s))) }}
}

// gauge is a row of one value that rises and falls.
func gauge[T number](name, help string, read func(*sample) T) metric {
	return metric{name: name, help: help, kind: prometheus.GaugeValue,
		read: func(s *sample, emit emit) { emit(float64(read(s))) }}
}

type number interface {
	int | int64 | uint64 | float64
}

// yes is 1 for true.
func yes(b bool) int {
	if b {
		return 1
	}
	return 0
}

// collector hands the figures of a source to Prometheus. It takes one sample for each
// collection, so figures that belong together agree.
type collector struct {
	src        Source
	metrics    []metric
	histograms []histogram
	descs      map[string]*prometheus.Desc // by name; never changed
}

// NewCollector returns a collector of everything that src tells.
func NewCollector(src Source) prometheus.Collector {
	c := &collector{src: src, descs: make(map[string]*prometheus.Desc)}
	c.metrics = append(append(c.metrics, serverMetrics...), storeMetrics...)
	if src.Replica != nil {
		c.metrics = append(c.metrics, replicaMetrics...)
	}
	c.histograms = histograms
	for _, m := range c.metrics {
		c.descs[m.name] = prometheus.NewDesc(namespace+m.name, m.help, m.labels, nil)
	}
	for _, h := range c.histograms {
		c.descs[h.name] = prometheus.NewDesc(namespace+h.name, h.help, nil, nil)
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := c.src.sample()
	for _, m := range c.metrics {
		desc := c.descs[m.name]
		m.read(s, func(value float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(desc, m.kind, value, labels...)
		})
	}
	for _, h := range c.histograms {
		got := h.read(s)
		buckets := make(map[float64]uint64, len(got.Bounds))
		for i, bound := range got.Bounds {
			buckets[bound] = got.Counts[i]
		}
		ch <- prometheus.MustNewConstHistogram(c.descs[h.name], got.Count, got.Sum, buckets)
	}
}

// byLabel adds up counts under labels that Prometheus takes. What a client has a hand
// in, as in the code of an error that a script makes up, may be no text at all.
func byLabel(counts map[string]int64) map[string]int64 {
	out := make(map[string]int64, len(counts))
	for label, n := range counts {
		out[strings.ToValidUTF8(label, "\uFFFD")] += n
	}
	return out
}
