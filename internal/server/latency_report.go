package server

import (
	"fmt"
	"strings"

	"github.com/elastickv/elastickv/internal/command"
)

func latencyGraph(c *command.Ctx) error {
	srv := serverOf(c)
	event := string(c.Args[2])
	t, ok := srv.spikes.series(event)
	if !ok {
		return errNoSamples(c.Args[2])
	}
	c.Out.Verbatim("txt", t.graph(event, srv.opts.Now().Unix()))
	return nil
}

// The size of graphs in characters.
const (
	graphColumns = 80
	graphRows    = 4
)

// graphLevels fill a character, from nothing to all of it; one above them has more.
const graphLevels = "_o#"

// graph draws the samples, the oldest first, with how long ago each was below it.
func (t latencySeries) graph(event string, now int64) string {
	low, high := t.bounds()
	var b strings.Builder
	fmt.Fprintf(&b, "%s - high %d ms, low %d ms (all time high %d ms)\n", event, high, low, t.most)
	b.WriteString(strings.Repeat("-", graphColumns) + "\n")
	for from := 0; from < len(t.samples); from += graphColumns {
		if from > 0 {
			b.WriteByte('\n')
		}
		part := t.samples[from:min(from+graphColumns, len(t.samples))]
		for row := graphRows - 1; row >= 0; row-- {
			for _, s := range part {
				b.WriteByte(graphChar(s.millis-low, high-low, row))
			}
			b.WriteByte('\n')
		}
		b.WriteString(strings.Repeat(" ", len(part)) + "\n")
		writeAges(&b, part, now)
	}
	return b.String()
}

func (t latencySeries) bounds() (low, high int64) {
	for i, s := range t.samples {
		if i == 0 {
			low, high = s.millis, s.millis
		}
		low, high = min(low, s.millis), max(high, s.millis)
	}
	return low, high
}

// graphChar is what a row, 0 being the lowest, shows of a value from 0 to most.
func graphChar(value, most int64, row int) byte {
	levels := int64(len(graphLevels))
	level := min(value*levels*graphRows/max(most, 1), levels*graphRows-1) - int64(row)*levels
	switch {
	case level < 0:
		return ' '
	case level >= levels:
		return '|'
	}
	return graphLevels[level]
}

// writeAges writes how long ago each sample was, from top to bottom.
func writeAges(b *strings.Builder, samples []latencySample, now int64) {
	labels := make([]string, len(samples))
	longest := 0
	for i, s := range samples {
		labels[i] = age(now - s.at)
		longest = max(longest, len(labels[i]))
	}
	for row := range longest {
		for _, l := range labels {
			if row < len(l) {
				b.WriteByte(l[row])
			} else {
				b.WriteByte(' ')
			}
		}
		b.WriteByte('\n')
	}
}

func age(seconds int64) string {
	switch {
	case seconds < 60:
		return fmt.Sprintf("%ds", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%dm", seconds/60)
	case seconds < 24*3600:
		return fmt.Sprintf("%dh", seconds/3600)
	}
	return fmt.Sprintf("%dd", seconds/(24*3600))
}

// advice is what may help against events of each name.
var advice = map[string]string{
	latencyCommand:     "Look at SLOWLOG GET for the calls that took long; give large reads a COUNT or LIMIT.",
	latencyFastCommand: "Commands that do little took long: the machine is busy, or lacks memory or processors.",
	latencySync:        "Writes wait for the disk: use a faster one, or let other programs write less to it.",
	latencyExpiry:      "Many keys expire at one time: spread their expiries.",
}

func latencyDoctor(c *command.Ctx) error {
	srv := serverOf(c)
	names := srv.spikes.names()
	var b strings.Builder
	switch {
	case len(names) == 0 && srv.cfg.Load().latencyMillis == 0:
		b.WriteString("The latency monitor is off. CONFIG SET latency-monitor-threshold <milliseconds> switches it on.\n")
	case len(names) == 0:
		b.WriteString("Nothing has taken longer than the threshold.\n")
	default:
		b.WriteString("These took longer than the threshold:\n\n")
	}
	for i, name := range names {
		t, ok := srv.spikes.series(name)
		if !ok {
			continue
		}
		fmt.Fprintf(&b, "%d. %s: %s %s\n", i+1, name, t.summary(srv.opts.Now().Unix()), advice[name])
	}
	c.Out.Verbatim("txt", b.String())
	return nil
}

// summary says in figures how often, and by how much, the threshold was passed.
func (t latencySeries) summary(now int64) string {
	n := int64(len(t.samples))
	var sum, off int64
	for _, s := range t.samples {
		sum += s.millis
	}
	mean := sum / n
	for _, s := range t.samples {
		off += max(s.millis-mean, mean-s.millis)
	}
	period := float64(max(now-t.samples[0].at, 1)) / float64(n)
	return fmt.Sprintf("%d latency spikes (average %dms, mean deviation %dms, period %.2f sec). Worst all time event %dms.",
		n, mean, off/n, period, t.most)
}
