package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// benchmarkWait bounds one run of redis-benchmark.
const benchmarkWait = 10 * time.Minute

// measure runs redis-benchmark once against a server.
func (s *server) measure(ctx context.Context, o *testsCommand, t test, pipeline string) (sample, error) {
	requests := o.requestsOf(t, pipeline)
	if t.refill != nil {
		if _, err := s.benchmark(ctx, o, requests, "16", t.refill); err != nil {
			return sample{}, err
		}
	}
	s.beginPeak()
	before := usageOf(s.pid)
	out, err := s.benchmark(ctx, o, requests, pipeline, t.args)
	if err != nil {
		return sample{}, err
	}
	got, err := parseReport(out)
	got.usage = usageOf(s.pid).since(before).of(float64(requests))
	return got, err
}

func (s *server) benchmark(ctx context.Context, o *testsCommand, requests int, pipeline string, args []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, benchmarkWait)
	defer cancel()
	all := append([]string{"-h", "127.0.0.1", "-p", s.port, "--precision", "3", "-n", strconv.Itoa(requests), "-d", strconv.Itoa(o.size),
		"-r", strconv.Itoa(o.keyspace), "-c", strconv.Itoa(o.clients), "-P", pipeline}, args...)
	cmd := exec.CommandContext(ctx, redisBenchmark, all...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("redis-benchmark %s: %w\n%s", strings.Join(args, " "), errors.Join(err, ctx.Err()), complaints.String())
	}
	return string(out), nil
}

var (
	throughputLine = regexp.MustCompile(`throughput summary: ([0-9.]+) requests per second`)
	summaryLine    = regexp.MustCompile(`avg\s+min\s+p50\s+p95\s+p99\s+max\s+([0-9. ]+)`)
	percentileLine = regexp.MustCompile(`([0-9.]+)% <= ([0-9.]+) milliseconds`)
)

// parseReport takes the figures of one test out of what redis-benchmark writes for people.
func parseReport(out string) (s sample, err error) {
	throughput, summary := throughputLine.FindStringSubmatch(out), summaryLine.FindStringSubmatch(out)
	if throughput == nil || summary == nil || len(strings.Fields(summary[1])) != 6 {
		return s, fmt.Errorf("redis-benchmark wrote %q", out)
	}
	latencies := strings.Fields(summary[1])
	for _, f := range []struct {
		to   *float64
		text string
	}{{&s.rps, throughput[1]}, {&s.p50, latencies[2]}, {&s.p99, latencies[4]}} {
		if *f.to, err = strconv.ParseFloat(f.text, 64); err != nil {
			return s, fmt.Errorf("redis-benchmark wrote %q", out)
		}
	}
	s.p999 = percentile(out, 99.9)
	return s, nil
}

// percentile returns the first latency of the distribution that stands for so many percent or more. The list by
// percentiles comes before that by latencies.
func percentile(out string, percent float64) float64 {
	for _, m := range percentileLine.FindAllStringSubmatch(out, -1) {
		if p, err := strconv.ParseFloat(m[1], 64); err == nil && p >= percent {
			ms, _ := strconv.ParseFloat(m[2], 64)
			return ms
		}
	}
	return 0
}
