package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/internal/testkit"
)

// TestRedisNames compares what is known of Redis with a real redis-server, or asks it.
func TestRedisNames(t *testing.T) {
	conn := testkit.Dial(t, testkit.Redis(t).Addr, 3)
	var lines []string
	for _, name := range conn.MustDo(t, "COMMAND", "LIST").Elems {
		lines = append(lines, "command "+name.Str)
	}
	settings := conn.MustDo(t, "CONFIG", "GET", "*").Elems
	for i := 0; i < len(settings); i += 2 {
		name, value := settings[i].Str, settings[i+1].Str
		when := "run"
		if reply, err := conn.Do("CONFIG", "SET", name, value); err != nil {
			t.Fatal(err)
		} else if strings.Contains(reply.Str, "immutable") {
			when = "start"
		}
		switch name { // those that testkit.Redis sets, and those of the machine
		case "port", "bind", "dir", "save", "appendonly", "enable-debug-command", "pidfile", "logfile", "oom-score-adj-values":
			value = "?"
		}
		lines = append(lines, fmt.Sprintf("setting %s %s %q", name, when, value))
	}
	slices.Sort(lines)
	text := "# Commands and settings of redis-server 7.0: when a setting can be set, and its default.\n" + strings.Join(lines, "\n") + "\n"
	server.SameFile(t, "testdata/redis-7.0.txt", text)
}
