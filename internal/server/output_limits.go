package server

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

// clientClasses are the kinds of connections that have output limits of their own.
var clientClasses = []string{"normal", "slave", "pubsub"}

func formatOutputLimits(c *Config) string {
	var out []string
	for _, class := range clientClasses {
		l := c.output[class]
		out = append(out, fmt.Sprintf("%s %d %d %d", class, l.hard, l.soft, int64(l.softFor/time.Second)))
	}
	return strings.Join(out, " ")
}

// parseOutputLimits reads groups of four words: class, hard limit, soft limit,
// seconds. Classes that are not named keep their limits.
func parseOutputLimits(c *Config, v string) error {
	words := strings.Fields(v)
	if len(words) == 0 || len(words)%4 != 0 {
		return errOutputLimits
	}
	next := maps.Clone(c.output)
	if next == nil {
		next = make(map[string]outputLimit)
	}
	for ; len(words) > 0; words = words[4:] {
		class := strings.ToLower(words[0])
		if class == "replica" {
			class = "slave"
		}
		if class != "normal" && class != "slave" && class != "pubsub" {
			return errOutputClass
		}
		hard, ok := parseMemory(words[1])
		soft, ok2 := parseMemory(words[2])
		secs, err := strconv.ParseInt(words[3], 10, 32)
		if !ok || !ok2 || err != nil || secs < 0 {
			return errOutputNumber
		}
		next[class] = outputLimit{hard: hard, soft: soft, softFor: seconds(secs)}
	}
	c.output = next
	return nil
}
