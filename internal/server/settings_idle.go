package server

import (
	"math"
	"strconv"
	"strings"
)

// idleSettings are settings by which Redis tunes machinery that is not here: its own files, its replication,
// its memory. They promise nothing of data or replies, so any value is as true as another: a file written for
// Redis is read, and whoever sets one reads it back.
var idleSettings = []setting{
	// The files of Redis.
	idleBool("aof-disable-auto-gc", "no").isHidden(),
	idleBool("aof-load-truncated", "yes"),
	idleBool("aof-rewrite-incremental-fsync", "yes"),
	idleBool("aof-timestamp-enabled", "no"),
	idleBool("aof-use-rdb-preamble", "yes"),
	idleText("appenddirname", "appendonlydir").onlyAtStart(),
	idleText("appendfilename", "appendonly.aof").onlyAtStart(),
	idleMemory("auto-aof-rewrite-min-size", "64mb"),
	idleInt("auto-aof-rewrite-percentage", "100", 0, math.MaxInt32),
	idleText("dbfilename", "dump.rdb"),
	idleBool("no-appendfsync-on-rewrite", "no"),
	idleBool("rdb-del-sync-files", "no"),
	idleBool("rdb-save-incremental-fsync", "yes"),
	idleBool("rdbchecksum", "yes").onlyAtStart(),
	idleBool("rdbcompression", "yes"),
	idleSavePoints("save").isGathered(),
	idleEnum("sanitize-dump-payload", "no", "no", "yes", "clients"), // what RESTORE reads is always looked at
	idleBool("stop-writes-on-bgsave-error", "yes"),

	// Its replication. A server follows no other.
	idleText("masterauth", "").isSecret(),
	idleText("masteruser", ""),
	idleEnum("propagation-error-behavior", "ignore", "ignore", "panic", "panic-on-replicas"),
	idleMemory("repl-backlog-size", "1mb"),
	idleInt("repl-backlog-ttl", "3600", 0, math.MaxInt32),
	idleBool("repl-disable-tcp-nodelay", "no"),
	idleEnum("repl-diskless-load", "disabled", "disabled", "on-empty-db", "swapdb"),
	idleBool("repl-diskless-sync", "yes"),
	idleInt("repl-diskless-sync-delay", "5", 0, math.MaxInt32),
	idleInt("repl-diskless-sync-max-replicas", "0", 0, math.MaxInt32),
	idleInt("repl-ping-replica-period", "10", 1, math.MaxInt32).formerly("repl-ping-slave-period"),
	idleInt("repl-timeout", "60", 1, math.MaxInt32),
	idleText("replica-announce-ip", "").formerly("slave-announce-ip"),
	idleInt("replica-announce-port", "0", 0, 65535).formerly("slave-announce-port"),
	idleBool("replica-announced", "yes"),
	idleBool("replica-ignore-disk-write-errors", "no"),
	idleBool("replica-lazy-flush", "no").formerly("slave-lazy-flush"),
	idleInt("replica-priority", "100", 0, math.MaxInt32).formerly("slave-priority"),
	idleBool("replica-serve-stale-data", "yes").formerly("slave-serve-stale-data"),

	// Its memory, threads and process.
	idleBool("activedefrag", "no"),
	idleInt("active-defrag-cycle-max", "25", 1, 99),
	idleInt("active-defrag-cycle-min", "1", 1, 99),
	idleMemory("active-defrag-ignore-bytes", "100mb"),
	idleInt("active-defrag-max-scan-fields", "1000", 1, math.MaxInt32),
	idleInt("active-defrag-threshold-lower", "10", 0, 1000),
	idleInt("active-defrag-threshold-upper", "100", 0, 1000),
	idleInt("active-expire-effort", "1", 1, 10),
	idleBool("activerehashing", "yes"),
	idleBool("always-show-logo", "no").onlyAtStart(),
	idleBool("crash-log-enabled", "yes"),
	idleBool("crash-memcheck-enabled", "yes"),
	idleBool("disable-thp", "yes").onlyAtStart(),
	idleBool("dynamic-hz", "yes"),
	idleEnum("enable-protected-configs", "no", "no", "yes", "local").onlyAtStart(), // those that it protects are set at start
	idleText("ignore-warnings", ""),
	idleInt("io-threads", "1", 1, 128).onlyAtStart(),
	idleBool("io-threads-do-reads", "no").onlyAtStart(),
	idleBool("jemalloc-bg-thread", "yes"),
	idleText("oom-score-adj-values", "0 200 800"),
	idleText("proc-title-template", "{title} {listen-addr} {server-mode}"),
	idleBool("set-proc-title", "yes").onlyAtStart(),
	idleMemory("stream-node-max-bytes", "4096"),
	idleInt("tcp-backlog", "511", 0, math.MaxInt32).onlyAtStart(),

	// What slows it down in tests.
	idleInt("key-load-delay", "0", math.MinInt32, math.MaxInt32).isHidden(),
	idleInt("rdb-key-save-delay", "0", math.MinInt32, math.MaxInt32).isHidden(),
	idleMemory("loading-process-events-interval-bytes", "2mb").isHidden(),
	idleInt("watchdog-period", "0", 0, math.MaxInt32).isHidden(),
}

// idleValue is what an idle setting of any kind is read into.
type idleValue struct {
	on     bool
	number int64
	word   string
}

// idle keeps the value of a setting in Config.idle, as the setting that is made over an idleValue writes it.
func idle(over func(v *idleValue) setting) setting {
	s := over(nil)
	s.get = func(c *Config) string { return c.idle[s.name] }
	s.set = func(c *Config, text string) error {
		reader := over(new(idleValue))
		if err := reader.set(c, text); err != nil {
			return err
		}
		c.idle[s.name] = reader.get(c)
		return nil
	}
	return s
}

func idleBool(name, initial string) setting {
	return idle(func(v *idleValue) setting {
		return boolSetting(name, initial, func(*Config) *bool { return &v.on })
	})
}

func idleInt(name, initial string, least, most int64) setting {
	return idle(func(v *idleValue) setting {
		return intSetting(name, initial, least, most, func(*Config) *int64 { return &v.number })
	})
}

func idleMemory(name, initial string) setting {
	return idle(func(v *idleValue) setting {
		return memorySetting(name, initial, 0, func(*Config) *int64 { return &v.number })
	})
}

func idleText(name, initial string) setting {
	return idle(func(v *idleValue) setting {
		return textSetting(name, initial, func(*Config) *string { return &v.word })
	})
}

func idleEnum(name, initial string, words ...string) setting {
	return idle(func(v *idleValue) setting {
		return enumSetting(name, initial, func(*Config) *string { return &v.word }, words...)
	})
}

// idleSavePoints is pairs of seconds and numbers of changes, or none.
func idleSavePoints(name string) setting {
	return idle(func(v *idleValue) setting {
		return setting{name: name,
			get: func(*Config) string { return v.word },
			set: func(_ *Config, text string) (err error) {
				v.word, err = savePoints(text)
				return err
			}}
	})
}

// savePoints returns save points as Redis shows them.
func savePoints(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	words := strings.Split(text, " ")
	if len(words)%2 != 0 {
		return "", errSavePoints
	}
	for i, w := range words {
		n, err := strconv.ParseInt(w, 10, 32)
		if err != nil || n < int64(1-i%2) {
			return "", errSavePoints
		}
		words[i] = strconv.FormatInt(n, 10)
	}
	return strings.Join(words, " "), nil
}
