package server

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"strings"
	"time"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/keyspace"
)

// Config is the value of every setting. A Server never changes one: CONFIG SET
// puts a changed copy in its place.
type Config struct {
	bind            string // addresses, separated by spaces; one that begins with - may fail
	port            int64  // for clients that do not speak TLS; 0: there are none
	anyPort         bool   // any free one, until Listen has found it
	tls             tlsSettings
	unixSocket      string
	unixMode        uint32 // of the socket; 0: as the system makes it
	protected       bool
	maxClients      int64
	clientsMemory   int64 // bytes of all clients together from which the largest are cut off; below 0: percent of maxmemory; 0: none
	timeout         int64 // seconds without a command until a connection is closed; 0: never
	keepalive       int64 // seconds
	password        string
	users           []string // the rules of each, its name first
	aclFile         string
	aclLogMost      int64
	newChannels     string // allchannels or resetchannels
	queryLimit      int64  // bytes of a MULTI that is being queued
	bulkMax         int64  // bytes of one argument or string
	output          map[string]outputLimit
	enableDebug     string
	metricsListen   string // address for metrics; none if empty
	profiling       bool   // profiles are served there, too
	cluster         ClusterSettings
	staleMillis     int64 // how old what a follower shows may be
	dir             string
	memoryLimit     int64 // bytes of the process; 0: half of what it may have
	encryption      string
	encryptionRate  int64 // bytes a second
	logLevel        string
	logFormat       string
	slowerThan      int64 // microseconds; below 0: nothing is logged as slow
	slowlogLen      int64
	listCompress    int64
	shutdownWait    int64 // seconds
	hz              int64 // rounds a second of the search for expired keys
	retention       int64 // seconds that old versions are kept
	retentionEvery  int64 // seconds; a round looks at what was written since the last one
	tracking        bool  // of latencies
	latencyMillis   int64 // from which an event is remembered; 0: none is
	notify          notifications
	trackingKeys    int64 // keys of which is remembered who has read them; 0: any number
	limits          keyspace.Limits
	hllSparse       int64  // bytes
	busyAfter       int64  // milliseconds that a script may take until others are told
	luaMemory       int64  // bytes that a script may hold
	maxMemory       int64  // bytes of the dataset; 0: any number
	policy          string // of eviction
	replicasLeast   int64  // without so many replicas there are no writes
	replicasLag     int64  // seconds that these may be behind; 0: there may be none
	evictionSamples int64  // candidates of each database
	tenacity        int64  // see the function
	lfuLogFactor    int64
	lfuDecay        int64 // minutes

	idle  map[string]string // values of idleSettings
	given map[string]bool   // settings that were set, by a file, a flag or CONFIG SET
	file  string            // that CONFIG REWRITE rewrites
}

// NewConfig returns the default of every setting.
func NewConfig() *Config {
	c := &Config{idle: make(map[string]string), given: make(map[string]bool), limits: keyspace.DefaultLimits()}
	for _, s := range settings {
		if s.initial == "" {
			continue
		}
		if err := s.set(c, s.initial); err != nil {
			panic(fmt.Sprintf("server: the default of %s: %v", s.name, err))
		}
	}
	return c
}

// Set gives a setting a value. The error does not name the setting.
func (c *Config) Set(name, value string) error {
	s := settingNamed(name)
	if s == nil {
		return fmt.Errorf("unknown setting")
	}
	if err := s.set(c, value); err != nil {
		return err
	}
	c.given[s.name] = true
	return nil
}

// Get returns the value of a setting, in the words that Set takes. It panics if
// there is no such setting.
func (c *Config) Get(name string) string { return settingNamed(name).get(c) }

// LogLevel is the level below which nothing is logged.
func (c *Config) LogLevel() slog.Level {
	return map[string]slog.Level{
		"debug": slog.LevelDebug, "verbose": slog.LevelInfo, "notice": slog.LevelInfo, "warning": slog.LevelWarn,
		"nothing": math.MaxInt,
	}[c.logLevel]
}

// JSONLog reports whether log lines are JSON objects.
func (c *Config) JSONLog() bool { return c.logFormat == "json" }

// Dir is the data folder.
func (c *Config) Dir() string { return c.dir }

// Encryption says where the key comes from that seals the keys of values; off if there is none.
func (c *Config) Encryption() string { return c.encryption }

// EncryptionRate is how many bytes a second are read and written to seal what is clear or under older keys.
func (c *Config) EncryptionRate() int64 { return c.encryptionRate }

// ClusterSettings say how this node and the others of its cluster talk.
type ClusterSettings struct {
	Listen                    string // address for the others; empty: this is no node of a cluster
	CertFile, KeyFile, CAFile string
	Insecure                  bool // what is said is clear, and said by anybody

	// Where clients are to connect to this node; empty and 0: see Announced.
	AnnounceHost                  string
	AnnouncePort, AnnounceTLSPort int64

	Lease     bool   // the leader answers reads for a while without asking the others
	redirects string // what becomes of writes at a node that follows: one of redirectsAuto and its kin
}

// Cluster returns those of the cluster.
func (c *Config) Cluster() ClusterSettings { return c.cluster }

// maxStaleness is how old what a follower shows may be, to who is content with what is not the newest.
func (c *Config) maxStaleness() time.Duration { return milliseconds(c.staleMillis) }

// MetricsListen is the address at which metrics are served; none if it is empty.
func (c *Config) MetricsListen() string { return c.metricsListen }

// Profiling reports whether profiles of the process are served there, too.
func (c *Config) Profiling() bool { return c.profiling }

// UseAnyPort leaves a port, of the setting port or tls-port, to Listen: any free one will do.
// It panics for any other setting.
func (c *Config) UseAnyPort(name string) {
	switch name {
	case "port":
		c.anyPort = true
	case "tls-port":
		c.tls.anyPort = true
	default:
		panic("server: no port: " + name)
	}
	c.given[name] = true
}

// Given reports whether a setting was set, whatever its value.
func (c *Config) Given(name string) bool { return c.given[settingNamed(name).name] }

func (c *Config) clone() *Config {
	d := *c
	d.idle = maps.Clone(c.idle)
	d.given = make(map[string]bool, len(c.given))
	for name := range c.given {
		d.given[name] = true
	}
	d.output = make(map[string]outputLimit, len(c.output))
	for class, l := range c.output {
		d.output[class] = l
	}
	return &d
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// milliseconds is a duration; one that is too long is the longest.
func milliseconds(n int64) time.Duration {
	return time.Duration(min(n, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}

var configRow = &command.Command{
	Name: "config", Arity: -2, Group: command.GroupServer, Since: "2.0.0",
	Summary: "A container for commands about settings.", Complexity: "Depends on subcommand.",
	Sub: []*command.Command{
		{Name: "get", Arity: -3, Flags: adminFlags, Group: command.GroupServer, Run: configGet, Since: "2.0.0",
			Syntax: "parameter...", History: []string{"7.0.0 Takes several patterns."},
			Summary: "Returns settings whose names match patterns.", Complexity: "O(N) when N is the number of settings asked for"},
		{Name: "set", Arity: -4, Flags: adminFlags, Group: command.GroupServer, Run: configSet, Since: "2.0.0",
			Syntax: "data(parameter value)...", History: []string{"7.0.0 Takes several settings."},
			Summary: "Changes settings of the running server, all or none.", Complexity: "O(N) when N is the number of settings given",
			Tips: onAllNodes},
		{Name: "resetstat", Arity: 2, Flags: adminFlags, Group: command.GroupServer, Run: configResetStat, Tips: onAllNodes, Since: "2.0.0",
			Summary: "Sets the counters that INFO shows back to zero.", Complexity: "O(1)"},
		{Name: "rewrite", Arity: 2, Flags: adminFlags, Group: command.GroupServer, Run: configRewrite, Tips: onAllNodes, Since: "2.8.0",
			Summary: "Writes the settings in force to the configuration file.", Complexity: "O(1)"},
		{Name: "help", Arity: 2, Flags: command.Loading | command.Stale, Group: command.GroupServer, Run: configHelp, Since: "5.0.0",
			Summary: "Returns help about the subcommands.", Complexity: "O(1)"},
	},
}

func configGet(c *command.Ctx) error {
	cfg := serverOf(c).cfg.Load()
	found := make(map[string]string)
	var order []string
	add := func(name, value string) {
		if _, ok := found[name]; !ok {
			order = append(order, name)
		}
		found[name] = value
	}
	for _, pattern := range c.Args[2:] {
		if s := settingNamed(string(pattern)); s != nil {
			add(string(pattern), s.get(cfg)) // in the letters of the one who asks
			continue
		}
		lower := bytes.ToLower(pattern)
		for _, s := range settings {
			for _, name := range []string{s.name, s.alias} {
				if name != "" && !s.hidden && command.MatchGlob(lower, []byte(name)) {
					add(name, s.get(cfg))
				}
			}
		}
	}
	c.Out.Map(len(order))
	for _, name := range order {
		c.Out.BulkString(name)
		c.Out.BulkString(found[name])
	}
	return nil
}

func configSet(c *command.Ctx) error {
	pairs := c.Args[2:]
	if len(pairs)%2 != 0 {
		return command.ErrSyntax
	}
	counted, err := serverOf(c).configure(pairs)
	if err != nil {
		return err
	}
	callerOf(c).settled(counted)
	c.Out.OK()
	return nil
}

// checkChanges looks at the names in a CONFIG SET, before any value. What cannot be changed may be
// set to what it is.
func (c *Config) checkChanges(pairs [][]byte) error {
	seen := make(map[*setting]bool)
	for i := 0; i < len(pairs); i += 2 {
		name, s := strings.ToLower(string(pairs[i])), settingNamed(string(pairs[i]))
		switch {
		case s == nil:
			return errConfigUnknown(pairs[i])
		case s.atStart && s.get(c) != string(pairs[i+1]):
			return errConfigSet(name, errImmutableSetting)
		case seen[s]:
			return errConfigSet(name, errDuplicateSetting)
		}
		seen[s] = true
	}
	return nil
}

// configure changes settings, all or none.
func (s *Server) configure(pairs [][]byte) (counted <-chan struct{}, err error) {
	s.configMu.Lock()
	defer s.configMu.Unlock()
	old := s.cfg.Load()
	if err := old.checkChanges(pairs); err != nil {
		return nil, err
	}
	next := old.clone()
	for i := 0; i < len(pairs); i += 2 {
		set := settingNamed(string(pairs[i]))
		if err := set.set(next, string(pairs[i+1])); err != nil {
			return nil, errConfigSet(strings.ToLower(string(pairs[i])), err)
		}
		next.given[set.name] = true
	}
	if err := s.changeConnections(old, next, pairs); err != nil {
		return nil, err
	}
	return s.applyConfig(next), nil
}

func configResetStat(c *command.Ctx) error {
	srv := serverOf(c)
	srv.stats.reset(srv.routes)
	srv.room.evicted.Store(0)
	srv.room.exceeded.reset()
	srv.freedBefore.Store(srv.db.Measured().Spans)
	c.Out.OK()
	return nil
}

func configRewrite(c *command.Ctx) error {
	srv := serverOf(c)
	srv.configMu.Lock()
	defer srv.configMu.Unlock()
	cfg := srv.cfg.Load()
	if cfg.file == "" {
		return errConfigNoFile
	}
	cfg = cfg.clone()
	cfg.users = srv.userLines(cfg)
	if err := cfg.rewriteFile(); err != nil {
		return errConfigRewrite(err)
	}
	c.Out.OK()
	return nil
}

func configHelp(c *command.Ctx) error {
	return help(c, "CONFIG",
		"GET <pattern>", "    Return parameters matching the glob-like <pattern> and their values.",
		"SET <directive> <value>", "    Set the configuration <directive> to <value>.",
		"RESETSTAT", "    Reset statistics reported by the INFO command.",
		"REWRITE", "    Rewrite the configuration file.")
}
