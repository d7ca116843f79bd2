package server

import (
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/elastickv/elastickv/internal/eviction"
	"github.com/elastickv/elastickv/internal/keyspace"
)

// setting is one row of the table of settings.
type setting struct {
	name    string
	alias   string // an older name that Redis knows it by, too
	initial string // in the words of a configuration file; empty: the zero Config has it
	atStart bool   // cannot be changed while the server runs
	secret  bool   // its value is never logged
	hidden  bool   // CONFIG GET shows it to those who ask by its name, not by a pattern
	gathers bool   // lines of a file add to one another
	get     func(*Config) string
	set     func(*Config, string) error
}

// badValue is what can be wrong with a value, in the words of Redis.
type badValue string

func (b badValue) Error() string { return string(b) }

// What can be wrong with the value of a setting.
const (
	errDuplicateSetting = badValue("duplicate parameter")
	errImmutableSetting = badValue("can't set immutable config")
	errSettingInteger   = badValue("argument couldn't be parsed into an integer")
	errSettingMemory    = badValue("argument must be a memory value")
	errSettingBool      = badValue("argument must be 'yes' or 'no'")
	errOutputLimits     = badValue("Wrong number of arguments in buffer limit configuration.")
	errOutputClass      = badValue("Invalid client class specified in buffer limit configuration.")
	errOutputNumber     = badValue("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
	errSettingListen    = badValue("argument must be HOST:PORT with a port from 0 to 65535")
	errEventClass       = badValue("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
	errSettingKEK       = badValue("argument must be off, file:PATH, env:NAME or command:LINE")
	errSettingShare     = badValue("argument must be a memory or percent value")
	errSettingSocket    = badValue("the path of a socket is at most 103 bytes long")
	errSettingMode      = badValue("argument couldn't be parsed as an octal number of at most 777")
	errSettingBinds     = badValue("Too many bind addresses specified.")
	errEncryptedKey     = badValue("keys under a password are not supported; store the key in clear, readable only for the user of the server")
	errSettingSuites    = badValue("the cipher suites of TLS 1.3 cannot be chosen; all of them are used")
	errSettingProtocol  = badValue("argument must be TLSv1.2, TLSv1.3 or both; older ones are not spoken")
	errSettingCiphers   = badValue("argument must be names of cipher suites of TLS 1.2 that are secure, separated by colons, such as ECDHE-ECDSA-AES128-GCM-SHA256")
	errSavePoints       = badValue("Invalid save parameters")
	errSettingHosts     = badValue("argument must be one or more addresses or host names, separated by spaces")
	errSettingCluster   = badValue("a server is a node of a cluster if it has cluster-listen")
)

// settings is every setting, in the order of CONFIG GET. Those that always and atLeast have
// are Redis settings that have but one true value here.
var settings = slices.Concat([]setting{
	textSetting("bind", "127.0.0.1", func(c *Config) *string { return &c.bind }).check(checkBind),
	intSetting("port", "6379", 0, 65535, func(c *Config) *int64 { return &c.port }),
	textSetting("unixsocket", "", func(c *Config) *string { return &c.unixSocket }).check(checkSocketPath).onlyAtStart(),
	modeSetting("unixsocketperm", "0", func(c *Config) *uint32 { return &c.unixMode }).onlyAtStart(),
	boolSetting("protected-mode", "yes", func(c *Config) *bool { return &c.protected }),
	textSetting("requirepass", "", func(c *Config) *string { return &c.password }).isSecret(),
	textSetting("aclfile", "", func(c *Config) *string { return &c.aclFile }).onlyAtStart(),
	intSetting("acllog-max-len", "128", 0, math.MaxInt32, func(c *Config) *int64 { return &c.aclLogMost }),
	enumSetting("acl-pubsub-default", "resetchannels", func(c *Config) *string { return &c.newChannels },
		"allchannels", "resetchannels"),
	intSetting("maxclients", "10000", 1, math.MaxUint32, func(c *Config) *int64 { return &c.maxClients }),
	{name: "maxmemory-clients", get: formatClientsMemory, set: parseClientsMemory},
	intSetting("timeout", "0", 0, math.MaxInt32, func(c *Config) *int64 { return &c.timeout }),
	intSetting("tcp-keepalive", "300", 0, math.MaxInt32, func(c *Config) *int64 { return &c.keepalive }),
	memorySetting("client-query-buffer-limit", "1gb", 1<<20, func(c *Config) *int64 { return &c.queryLimit }),
	{name: "client-output-buffer-limit", get: formatOutputLimits, set: parseOutputLimits,
		initial: "normal 256mb 64mb 60 slave 256mb 64mb 60 pubsub 32mb 8mb 60"},
	memorySetting("proto-max-bulk-len", "512mb", 1<<20, func(c *Config) *int64 { return &c.bulkMax }),
	enumSetting("enable-debug-command", "local", func(c *Config) *string { return &c.enableDebug },
		"no", "yes", "local").onlyAtStart(),

	intSetting("tls-port", "0", 0, 65535, func(c *Config) *int64 { return &c.tls.port }),
	textSetting("tls-cert-file", "", func(c *Config) *string { return &c.tls.certFile }),
	textSetting("tls-key-file", "", func(c *Config) *string { return &c.tls.keyFile }),
	never("tls-key-file-pass", errEncryptedKey),
	textSetting("tls-ca-cert-file", "", func(c *Config) *string { return &c.tls.caFile }),
	textSetting("tls-ca-cert-dir", "", func(c *Config) *string { return &c.tls.caDir }),
	enumSetting("tls-auth-clients", "yes", func(c *Config) *string { return &c.tls.authClients }, "no", "yes", "optional"),
	textSetting("tls-protocols", "", func(c *Config) *string { return &c.tls.protocols }).check(checkProtocols),
	textSetting("tls-ciphers", "", func(c *Config) *string { return &c.tls.ciphers }).check(checkCiphers),
	never("tls-ciphersuites", errSettingSuites),
	always("tls-prefer-server-ciphers", "yes"), // Go's choice is the server's
	boolSetting("tls-session-caching", "yes", func(c *Config) *bool { return &c.tls.sessions }),
	boolSetting("tls-cluster", "no", func(c *Config) *bool { return &c.tls.cluster }),
	textSetting("tls-client-cert-file", "", func(c *Config) *string { return &c.tls.clientCert }),
	textSetting("tls-client-key-file", "", func(c *Config) *string { return &c.tls.clientKey }),
	never("tls-client-key-file-pass", errEncryptedKey),
	always("tls-replication", "no"),

	textSetting("metrics-listen", "", func(c *Config) *string { return &c.metricsListen }).check(checkListen).onlyAtStart(),
	boolSetting("profiling", "no", func(c *Config) *bool { return &c.profiling }).onlyAtStart(),
	textSetting("cluster-listen", "", func(c *Config) *string { return &c.cluster.Listen }).check(checkListen).onlyAtStart(),
	textSetting("cluster-cert-file", "", func(c *Config) *string { return &c.cluster.CertFile }).onlyAtStart(),
	textSetting("cluster-key-file", "", func(c *Config) *string { return &c.cluster.KeyFile }).onlyAtStart(),
	textSetting("cluster-ca-file", "", func(c *Config) *string { return &c.cluster.CAFile }).onlyAtStart(),
	boolSetting("cluster-insecure", "no", func(c *Config) *bool { return &c.cluster.Insecure }).onlyAtStart(),
	boolSetting("cluster-lease", "yes", func(c *Config) *bool { return &c.cluster.Lease }).onlyAtStart(),
	textSetting("cluster-announce-ip", "", func(c *Config) *string { return &c.cluster.AnnounceHost }).check(checkAnnounced),
	intSetting("cluster-announce-port", "0", 0, 65535, func(c *Config) *int64 { return &c.cluster.AnnouncePort }),
	intSetting("cluster-announce-tls-port", "0", 0, 65535, func(c *Config) *int64 { return &c.cluster.AnnounceTLSPort }),
	enumSetting("cluster-redirects", redirectsAuto, func(c *Config) *string { return &c.cluster.redirects }, redirectsAuto, redirectsAll, redirectsNone),
	intSetting("cluster-max-staleness", "1000", 50, math.MaxInt32, func(c *Config) *int64 { return &c.staleMillis }),
	textSetting("dir", "./data", func(c *Config) *string { return &c.dir }).onlyAtStart(),
	memorySetting("memory-limit", "0", 0, func(c *Config) *int64 { return &c.memoryLimit }).check(checkMemoryLimit).onlyAtStart(),
	textSetting("encryption", "off", func(c *Config) *string { return &c.encryption }).check(checkEncryption).onlyAtStart(),
	memorySetting("encryption-rate", "32mb", 64<<10, func(c *Config) *int64 { return &c.encryptionRate }).onlyAtStart(),
	intSetting("retention", "3600", 0, math.MaxInt32, func(c *Config) *int64 { return &c.retention }),
	intSetting("retention-interval", "900", 1, math.MaxInt32, func(c *Config) *int64 { return &c.retentionEvery }),
	intSetting("hz", "10", 1, 500, func(c *Config) *int64 { return &c.hz }),
	intSetting("shutdown-timeout", "10", 0, math.MaxInt32, func(c *Config) *int64 { return &c.shutdownWait }),

	memorySetting("maxmemory", "0", 0, func(c *Config) *int64 { return &c.maxMemory }),
	enumSetting("maxmemory-policy", "noeviction", func(c *Config) *string { return &c.policy }, eviction.PolicyNames()...),
	intSetting("maxmemory-samples", "5", 1, math.MaxInt32, func(c *Config) *int64 { return &c.evictionSamples }),
	intSetting("maxmemory-eviction-tenacity", "10", 0, 100, func(c *Config) *int64 { return &c.tenacity }),
	intSetting("lfu-log-factor", "10", 0, math.MaxInt32, func(c *Config) *int64 { return &c.lfuLogFactor }),
	intSetting("lfu-decay-time", "1", 0, math.MaxInt32, func(c *Config) *int64 { return &c.lfuDecay }),

	enumSetting("loglevel", "notice", func(c *Config) *string { return &c.logLevel },
		"debug", "verbose", "notice", "warning", "nothing"),
	enumSetting("log-format", "text", func(c *Config) *string { return &c.logFormat }, "text", "json").onlyAtStart(),
	intSetting("slowlog-log-slower-than", "10000", -1, math.MaxInt64, func(c *Config) *int64 { return &c.slowerThan }),
	intSetting("slowlog-max-len", "128", 0, 1<<20, func(c *Config) *int64 { return &c.slowlogLen }),
	intSetting("latency-monitor-threshold", "0", 0, math.MaxInt64, func(c *Config) *int64 { return &c.latencyMillis }),
	{name: "notify-keyspace-events",
		get: func(c *Config) string { return c.notify.String() },
		set: func(c *Config, v string) (err error) { c.notify, err = parseNotifications(v); return err }},
	intSetting("tracking-table-max-keys", "1000000", 0, math.MaxInt64, func(c *Config) *int64 { return &c.trackingKeys }),
	boolSetting("latency-tracking", "yes", func(c *Config) *bool { return &c.tracking }),

	intSetting("busy-reply-threshold", "5000", 0, math.MaxInt32, func(c *Config) *int64 { return &c.busyAfter }).formerly("lua-time-limit"),
	memorySetting("lua-memory-limit", "256mb", 1<<20, func(c *Config) *int64 { return &c.luaMemory }),

	limitSetting("hash-max-listpack-entries", "hash-max-ziplist-entries", func(l *keyspace.Limits) *int { return &l.HashMaxListpackEntries }),
	limitSetting("hash-max-listpack-value", "hash-max-ziplist-value", func(l *keyspace.Limits) *int { return &l.HashMaxListpackValue }),
	limitSetting("list-max-listpack-size", "list-max-ziplist-size", func(l *keyspace.Limits) *int { return &l.ListMaxListpackSize }),
	// The store compresses lists like everything else, however deep.
	intSetting("list-compress-depth", "0", 0, math.MaxInt32, func(c *Config) *int64 { return &c.listCompress }),
	limitSetting("set-max-intset-entries", "", func(l *keyspace.Limits) *int { return &l.SetMaxIntsetEntries }),
	limitSetting("set-max-listpack-entries", "", func(l *keyspace.Limits) *int { return &l.SetMaxListpackEntries }),
	limitSetting("set-max-listpack-value", "", func(l *keyspace.Limits) *int { return &l.SetMaxListpackValue }),
	limitSetting("zset-max-listpack-entries", "zset-max-ziplist-entries", func(l *keyspace.Limits) *int { return &l.ZSetMaxListpackEntries }),
	limitSetting("zset-max-listpack-value", "zset-max-ziplist-value", func(l *keyspace.Limits) *int { return &l.ZSetMaxListpackValue }),
	memorySetting("hll-sparse-max-bytes", "3000", 0, func(c *Config) *int64 { return &c.hllSparse }),
	limitSetting("stream-node-max-entries", "", func(l *keyspace.Limits) *int { return &l.StreamNodeMaxEntries }),

	always("databases", strconv.Itoa(keyspace.Databases)).onlyAtStart(),
	atLeast("appendonly", "yes", oneOf("yes", "no")),
	atLeast("appendfsync", "always", oneOf("always", "everysec", "no")),
	always("replica-ignore-maxmemory", "yes").formerly("slave-ignore-maxmemory"),
	// Nobody waits for rows to be taken off the disk.
	always("lazyfree-lazy-eviction", "yes"),
	always("lazyfree-lazy-expire", "yes"),
	always("lazyfree-lazy-server-del", "yes"),
	always("lazyfree-lazy-user-del", "yes"),
	always("lazyfree-lazy-user-flush", "yes"),
	setting{name: "cluster-enabled",
		get: func(c *Config) string { return map[bool]string{true: "yes", false: "no"}[c.cluster.Listen != ""] },
		set: func(_ *Config, v string) error {
			if strings.EqualFold(v, "no") {
				return nil
			}
			return errSettingCluster
		}}.onlyAtStart(),
	always("replica-read-only", "yes").formerly("slave-read-only"),
	always("replicaof", "").formerly("slaveof"),
	always("daemonize", "no").onlyAtStart(),
	always("supervised", "no").onlyAtStart(),
	always("logfile", "").onlyAtStart(),
	always("locale-collate", ""),
	always("enable-module-command", "no").onlyAtStart(),
	always("latency-tracking-info-percentiles", "50 99 99.9"),
	always("shutdown-on-sigint", "default"),
	always("shutdown-on-sigterm", "default"),
	always("pidfile", "").onlyAtStart(),
	always("syslog-enabled", "no").onlyAtStart(),
	always("oom-score-adj", "no"),
	intSetting("min-replicas-to-write", "0", 0, math.MaxInt32, func(c *Config) *int64 { return &c.replicasLeast }).formerly("min-slaves-to-write"),
	intSetting("min-replicas-max-lag", "10", 0, math.MaxInt32, func(c *Config) *int64 { return &c.replicasLag }).formerly("min-slaves-max-lag"),
}, idleSettings)

// settingNamed finds a setting by either of its names, in any case.
func settingNamed(name string) *setting {
	name = strings.ToLower(name)
	for i := range settings {
		if s := &settings[i]; s.name == name || s.alias != "" && s.alias == name {
			return s
		}
	}
	return nil
}

func (s setting) onlyAtStart() setting { s.atStart = true; return s }

func (s setting) isSecret() setting { s.secret = true; return s }

func (s setting) isHidden() setting { s.hidden = true; return s }

func (s setting) isGathered() setting { s.gathers = true; return s }

func (s setting) formerly(name string) setting { s.alias = name; return s }

// check makes ok look at a value before it is set.
func (s setting) check(ok func(string) error) setting {
	set := s.set
	s.set = func(c *Config, v string) error {
		if err := ok(v); err != nil {
			return err
		}
		return set(c, v)
	}
	return s
}

func textSetting(name, initial string, at func(*Config) *string) setting {
	return setting{name: name, initial: initial,
		get: func(c *Config) string { return *at(c) },
		set: func(c *Config, v string) error { *at(c) = v; return nil }}
}

func intSetting[T int | int64](name, initial string, least, most int64, at func(*Config) *T) setting {
	return setting{name: name, initial: initial,
		get: func(c *Config) string { return strconv.FormatInt(int64(*at(c)), 10) },
		set: func(c *Config, v string) error {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return errSettingInteger
			}
			if n < least || n > most {
				return fmt.Errorf("argument must be between %d and %d inclusive", least, most)
			}
			*at(c) = T(n)
			return nil
		}}
}

func memorySetting(name, initial string, least int64, at func(*Config) *int64) setting {
	return setting{name: name, initial: initial,
		get: func(c *Config) string { return strconv.FormatInt(*at(c), 10) },
		set: func(c *Config, v string) error {
			n, ok := parseMemory(v)
			if !ok {
				return errSettingMemory
			}
			if n < least {
				return fmt.Errorf("argument must be between %d and %d inclusive", least, int64(math.MaxInt64))
			}
			*at(c) = n
			return nil
		}}
}

// parseMemory reads an amount of memory as Redis writes it: 1k is 1000 bytes,
// 1kb is 1024.
func parseMemory(v string) (int64, bool) {
	v = strings.ToLower(v)
	digits := strings.TrimRight(v, "bkmg")
	unit, ok := map[string]int64{
		"": 1, "b": 1, "k": 1e3, "kb": 1 << 10, "m": 1e6, "mb": 1 << 20, "g": 1e9, "gb": 1 << 30,
	}[v[len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n < 0 || n > math.MaxInt64/unit {
		return 0, false
	}
	return n * unit, true
}

func boolSetting(name, initial string, at func(*Config) *bool) setting {
	return setting{name: name, initial: initial,
		get: func(c *Config) string {
			if *at(c) {
				return "yes"
			}
			return "no"
		},
		set: func(c *Config, v string) error {
			v = strings.ToLower(v)
			if v != "yes" && v != "no" {
				return errSettingBool
			}
			*at(c) = v == "yes"
			return nil
		}}
}

func enumSetting(name, initial string, at func(*Config) *string, words ...string) setting {
	return setting{name: name, initial: initial,
		get: func(c *Config) string { return *at(c) },
		set: func(c *Config, v string) error {
			if err := oneOf(words...)(v); err != nil {
				return err
			}
			*at(c) = strings.ToLower(v)
			return nil
		}}
}

// limitSetting is a size that OBJECT ENCODING goes by. Its default is the keyspace's.
func limitSetting(name, alias string, at func(*keyspace.Limits) *int) setting {
	least := int64(0)
	if name == "list-max-listpack-size" {
		least = math.MinInt32
	}
	s := intSetting(name, "", least, math.MaxInt32, func(c *Config) *int { return at(&c.limits) })
	s.alias = alias
	return s
}

// always is a setting that cannot be anything else. To set it to what it is
// does no harm.
func always(name, value string) setting {
	return setting{name: name,
		get: func(*Config) string { return value },
		set: func(_ *Config, v string) error {
			if strings.EqualFold(v, value) {
				return nil
			}
			return fmt.Errorf("is always '%s' here", value)
		}}
}

// never is a setting of Redis that has no value here. why tells those who give it one.
func never(name string, why badValue) setting {
	return setting{name: name,
		get: func(*Config) string { return "" },
		set: func(_ *Config, v string) error {
			if v != "" {
				return why
			}
			return nil
		}}
}

// modeSetting is the mode of a file, in octal digits.
func modeSetting(name, initial string, at func(*Config) *uint32) setting {
	return setting{name: name, initial: initial,
		get: func(c *Config) string { return strconv.FormatUint(uint64(*at(c)), 8) },
		set: func(c *Config, v string) error {
			n, err := strconv.ParseUint(v, 8, 32)
			if err != nil || n > 0o777 {
				return errSettingMode
			}
			*at(c) = uint32(n)
			return nil
		}}
}

// atLeast is a setting that asks for less safety than there always is, or for as much. It shows what is the case.
func atLeast(name, value string, check func(string) error) setting {
	return setting{name: name,
		get: func(*Config) string { return value },
		set: func(_ *Config, v string) error { return check(v) }}
}

// oneOf accepts any of the words.
func oneOf(words ...string) func(string) error {
	return func(v string) error {
		if slices.Contains(words, strings.ToLower(v)) {
			return nil
		}
		return fmt.Errorf("argument(s) must be one of the following: %s", strings.Join(words, ", "))
	}
}

// checkListen accepts an address to listen on, or none. Without a host it is all of the machine's.
func checkListen(v string) error {
	if v == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(v)
	if err != nil {
		return errSettingListen
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errSettingListen
	}
	return nil
}

// checkAnnounced accepts the name or address of a host, or none.
func checkAnnounced(v string) error {
	if len(v) > 255 || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ',' || r == '@' }) {
		return errSettingHosts
	}
	return nil
}

// checkEncryption accepts the names of where a key can come from, whatever is there.
func checkEncryption(v string) error {
	kind, rest, _ := strings.Cut(v, ":")
	switch kind {
	case "off":
		if v == "off" {
			return nil
		}
	case "file", "env", "command":
		if strings.TrimSpace(rest) != "" {
			return nil
		}
	}
	return errSettingKEK
}

func checkBind(v string) error {
	hosts := strings.Fields(v) // none: there is no listening but on a socket
	if len(hosts) > bindMost {
		return errSettingBinds
	}
	for _, h := range hosts {
		h = strings.TrimPrefix(h, "-")
		if h == "" || strings.Contains(h, ":") && net.ParseIP(strings.SplitN(h, "%", 2)[0]) == nil && h != "::*" {
			return errSettingHosts
		}
	}
	return nil
}
