package main

import (
	"strings"
	"testing"
)

func TestResults(t *testing.T) {
	r := newResults()
	for contestant, outs := range map[string][]string{
		"a": {"\"test\",\"rps\"\n\"SET\",\"10.0\"\n\"MSET (10 keys)\",\"1\"\n", "h,h\nSET,30\nMSET (10 keys),3\n", "h,h\nSET,20\nMSET (10 keys),1\n"},
		"b": {"h,h\nSET,40\nMSET (10 keys),1\n", "h,h\nSET,60\nMSET (10 keys),2\n"},
	} {
		for _, out := range outs {
			if err := r.add(contestant, out); err != nil {
				t.Fatal(err)
			}
		}
	}
	var b strings.Builder
	r.print(&b, "16", "a", "b")
	want := "\npipeline 16, medians in requests a second\n" +
		"   a   b  ratio              test\n" +
		"  20  50   2.50               SET\n" +
		"   1   2   1.50    MSET (10 keys)\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	for _, bad := range []string{"", "h,h\n", "h,h\nSET\n", "h,h\nSET,fast\n"} {
		if err := r.add("a", bad); err == nil {
			t.Errorf("output %q is accepted", bad)
		}
	}
}

func TestParseOptions(t *testing.T) {
	for _, bad := range []string{"-n 0", "-P 0", "-P 1,x", "-rounds 0", "extra", "-nosuch"} {
		if _, err := parseOptions(strings.Fields(bad), &strings.Builder{}); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
