package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strconv"

	"github.com/elastickv/elastickv/internal/server"
)

// passwordVariable holds the password, so that it need not stand in the list of processes.
const passwordVariable = "ELASTICKV_REQUIREPASS"

const serveUsage = `Usage: elastickv serve [flags]

Serves Redis clients. Every write is on disk before it is answered.

Flags:
  --listen HOST:PORT       where clients connect            (127.0.0.1:6379)
  --tls-listen HOST:PORT   where clients connect by TLS     (nowhere); if neither --listen nor FILE
                           says where else, by TLS alone
  --tls-cert-file FILE     the certificate for it, and those that lead to its authority
  --tls-key-file FILE      its key
  --tls-ca-cert-file FILE  authorities of the clients' certificates
  --tls-auth-clients no|optional|yes
                           whether clients need a certificate (yes)
  --dir DIR                the data folder                  (./data)
  --config FILE            settings, lines of "name value"; flags take precedence
  --maxclients N           connections at the same time     (10000)
  --memory-limit SIZE      memory of the process            (half of the machine's, or its container's)
  --retention SECONDS      how long old versions are kept   (3600)
  --encryption SOURCE      seal values; SOURCE has the key encryption key: file:PATH, env:NAME,
                           command:LINE, or off             (off)
  --encryption-rate SIZE   bytes a second at which what is clear is sealed, or sealed again (32mb)
  --metrics-listen HOST:PORT
                           where /metrics, /healthz and /leader are served (nowhere)
  --profiling yes|no       /debug/pprof/ is served there, too (no)
  --cluster-listen HOST:PORT
                           where the other nodes of the cluster connect (nowhere: no cluster);
                           see elastickv cluster --help
  --cluster-cert-file FILE the certificate of this node, with the name node-N.elastickv
  --cluster-key-file FILE  its key
  --cluster-ca-file FILE   the authority of the cluster, and of nothing else
  --cluster-insecure yes   nodes trust whoever reaches that port, and talk in clear (no)
  --cluster-lease no       when it leads, this node asks the others for every read (yes: not for
                           half a second after a majority has answered)
  --cluster-announce-ip HOST, --cluster-announce-port PORT, --cluster-announce-tls-port PORT
                           where clients are sent for this node, if others reach it elsewhere
                           than it listens (the host of its address in the cluster, its own ports)
  --protected-mode yes|no  without a password, let in clients of this machine only (yes)
  --log-level LEVEL        debug, verbose, notice, warning  (notice)
  --log-format FORMAT      text, json                       (text)
  --help                   print this text

Environment:
  ELASTICKV_REQUIREPASS    the password that clients have to give (AUTH)

A first SIGINT or SIGTERM lets clients have their answers; a second ends at once.
SIGHUP reads the files of TLS again.
`

// settingFlags are the flags that give a setting a value, and the settings' names.
var settingFlags = map[string]string{
	"dir": "dir", "maxclients": "maxclients", "memory-limit": "memory-limit", "retention": "retention",
	"protected-mode": "protected-mode", "metrics-listen": "metrics-listen", "profiling": "profiling", "log-level": "loglevel", "log-format": "log-format",
	"cluster-listen": "cluster-listen", "cluster-cert-file": "cluster-cert-file", "cluster-key-file": "cluster-key-file",
	"cluster-ca-file": "cluster-ca-file", "cluster-insecure": "cluster-insecure", "cluster-lease": "cluster-lease",
	"cluster-announce-ip": "cluster-announce-ip", "cluster-announce-port": "cluster-announce-port", "cluster-announce-tls-port": "cluster-announce-tls-port",
	"tls-cert-file": "tls-cert-file", "tls-key-file": "tls-key-file", "tls-ca-cert-file": "tls-ca-cert-file",
	"tls-auth-clients": "tls-auth-clients",
	"encryption":       "encryption", "encryption-rate": "encryption-rate",
}

// parseServe turns flags, the file that they name and the environment into a
// configuration. The flags win, then the environment. flag.ErrHelp if help was asked for.
func parseServe(args []string, env lookupEnv) (*server.Config, error) {
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	file := fs.String("config", "", "")
	listen, tlsListen := fs.String("listen", "", ""), fs.String("tls-listen", "", "")
	for name := range settingFlags {
		fs.String(name, "", "")
	}
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	cfg := server.NewConfig()
	if *file != "" {
		if err := cfg.ReadFile(*file); err != nil {
			return nil, err
		}
	}
	if password, ok := env(passwordVariable); ok {
		if err := cfg.Set("requirepass", password); err != nil {
			return nil, fmt.Errorf("%s: %w", passwordVariable, err)
		}
	}
	bind := cfg.Get("bind")
	var faults []error
	fs.Visit(func(f *flag.Flag) {
		var err error
		switch {
		case f.Name == "listen":
			err = setListen(cfg, *listen, "port")
		case f.Name == "tls-listen":
			err = setListen(cfg, *tlsListen, "tls-port")
		case settingFlags[f.Name] != "":
			err = cfg.Set(settingFlags[f.Name], f.Value.String())
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("--%s %s: %w", f.Name, f.Value, err))
		}
	})
	if *listen != "" && *tlsListen != "" && len(faults) == 0 && hostOf(*listen) != hostOf(*tlsListen) {
		faults = append(faults, fmt.Errorf("--tls-listen %s: the host has to be that of --listen, %s", *tlsListen, *listen))
	}
	switch {
	case *tlsListen == "" || *listen != "":
	case !cfg.Given("port"):
		faults = append(faults, cfg.Set("port", "0"))
	case cfg.Get("port") != "0" && cfg.Get("bind") != bind:
		faults = append(faults, fmt.Errorf("--tls-listen %s: plain clients, to whom the file of --config gives port %s, would get in at that host, too: say --listen or, in the file, bind or port 0",
			*tlsListen, cfg.Get("port")))
	}
	if cfg.Profiling() && cfg.MetricsListen() == "" {
		faults = append(faults, errors.New("profiling yes: --metrics-listen has to say where"))
	}
	return cfg, errors.Join(faults...)
}

func hostOf(addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	return host
}

// setListen takes an address apart, for clients of the setting port or of tls-port. Without a host
// it is all of the machine's, with port 0 any that is free.
func setListen(cfg *server.Config, addr, setting string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New("the address has to be HOST:PORT")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("the port has to be a number from 0 to 65535")
	}
	if host == "" {
		host = "* -::*"
	}
	if err := cfg.Set("bind", host); err != nil {
		return err
	}
	if n, _ := strconv.Atoi(port); n == 0 {
		cfg.UseAnyPort(setting)
		return nil
	}
	return cfg.Set(setting, port)
}
