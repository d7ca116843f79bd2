package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/elastickv/elastickv/encryption/keys"
	"github.com/elastickv/elastickv/internal/admin"
	"github.com/elastickv/elastickv/internal/replica/node"
	"github.com/elastickv/elastickv/internal/replica/transport"
	"github.com/elastickv/elastickv/internal/server"
)

const clusterUsage = `Usage: elastickv cluster COMMAND [flags]

Makes a cluster of servers that all have the same data, and looks after it, on this machine and
as the user of its server. Nodes have numbers from 1, which you choose.

Of a folder whose server does not run:
  init --node N --addr HOST:PORT      makes it the first node of a new cluster, with the data
                                      that it has
  init … --lost-majority              makes a new cluster of a folder of one that has lost more
                                      than half of its nodes for good; what only those had is lost
  init … --encryption SOURCE          of a folder whose values are sealed, or are to be; the others
                                      are sealed, or not, as their servers are told
  join --invitation WORD              makes an empty one that of a node that was invited

Of a server that runs:
  status [--json]                     tells of the nodes, as this one sees them
  invite --node N --addr HOST:PORT    makes another node a member, and prints the word by which
                                      its folder joins
  remove --node N                     removes a node, for good
  move --node N --addr HOST:PORT      says that a node is reached at another address
  transfer --node N                   hands the lead to another node
All but status are asked of the server that leads. HOST:PORT is where other nodes reach the
--cluster-listen of a node.

Flags:
  --dir DIR                           the data folder       (./data)
  --help                              print this text
`

// clusterFlags are the flags of the subcommands.
type clusterFlags struct {
	dir, addr, invitation string
	encryption            string
	node                  uint64
	json, lostMajority    bool
}

// clusterAction is a subcommand, with the flags that it wants and those that it takes besides.
type clusterAction struct {
	do           func(context.Context, clusterFlags, stdio) error
	wants, takes []string
}

var clusterActions = map[string]clusterAction{
	"init":     {clusterInit, []string{"node", "addr"}, []string{"lost-majority", "encryption"}},
	"join":     {clusterJoin, []string{"invitation"}, nil},
	"status":   {clusterStatus, nil, []string{"json"}},
	"invite":   {clusterInvite, []string{"node", "addr"}, nil},
	"remove":   {clusterRemove, []string{"node"}, nil},
	"move":     {clusterMove, []string{"node", "addr"}, nil},
	"transfer": {clusterTransfer, []string{"node"}, nil},
}

// clusterCommand is the subcommand that looks after a cluster.
func clusterCommand(args []string, io stdio) int {
	if len(args) == 0 {
		fmt.Fprint(io.err, clusterUsage)
		return exitUsage
	}
	name := args[0]
	if name == "--help" || name == "-h" || name == "help" {
		fmt.Fprint(io.out, clusterUsage)
		return exitOK
	}
	action, ok := clusterActions[name]
	if !ok {
		return complain(io, exitUsage, fmt.Errorf("unknown command %q; see elastickv cluster --help", name))
	}
	f, err := parseCluster(name, action, args[1:])
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(io.out, clusterUsage)
		return exitOK
	}
	if err != nil {
		return complain(io, exitUsage, err)
	}
	ctx, stop := onSignal()
	defer stop()
	if err := action.do(ctx, f, io); err != nil {
		return complain(io, exitFault, err)
	}
	return exitOK
}

func parseCluster(name string, action clusterAction, args []string) (f clusterFlags, err error) {
	flags := newFlags("cluster")
	flags.StringVar(&f.dir, "dir", "./data", "")
	flags.Uint64Var(&f.node, "node", 0, "")
	flags.StringVar(&f.addr, "addr", "", "")
	flags.StringVar(&f.invitation, "invitation", "", "")
	flags.StringVar(&f.encryption, "encryption", encryptionOff, "")
	flags.BoolVar(&f.json, "json", false, "")
	flags.BoolVar(&f.lostMajority, "lost-majority", false, "")
	if err := parseAll(flags, args); err != nil {
		return f, err
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	delete(given, "dir")
	var faults []error
	for _, want := range action.wants {
		if !given[want] {
			faults = append(faults, fmt.Errorf("cluster %s needs --%s", name, want))
		}
		delete(given, want)
	}
	for _, take := range action.takes {
		delete(given, take)
	}
	for extra := range given {
		faults = append(faults, fmt.Errorf("--%s is not for cluster %s", extra, name))
	}
	return f, errors.Join(faults...)
}

// clusterInit makes a folder the first of a cluster. Nobody else has its store open.
func clusterInit(ctx context.Context, f clusterFlags, io stdio) (err error) {
	founder := node.Founder{Node: transport.NodeID(f.node), Addr: f.addr, Again: f.lostMajority}
	if err := founder.Check(); err != nil {
		return err
	}
	cfg := server.NewConfig()
	if err := cfg.Set("dir", f.dir); err != nil {
		return err
	}
	if err := cfg.Set("encryption", f.encryption); err != nil {
		return err
	}
	kek, err := newProvider(cfg, os.LookupEnv)
	if err != nil {
		return err
	}
	ring, err := loadKeys(ctx, cfg, kek)
	if err != nil {
		return err
	}
	engine, err := openStore(cfg, ring, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	if _, err := rand.Read(founder.Cluster[:]); err != nil {
		return err
	}
	if err := node.Init(f.dir, engine, founder); err != nil {
		return fmt.Errorf("data folder %s: %w", f.dir, err)
	}
	fmt.Fprintf(io.out, "node %d is the first of cluster %s; start it with elastickv serve --dir %s --cluster-listen HOST:PORT …\n", f.node, founder.Cluster, f.dir)
	return nil
}

// clusterJoin makes an empty folder that of an invited node.
func clusterJoin(_ context.Context, f clusterFlags, io stdio) error {
	i, err := node.ParseInvitation(f.invitation)
	if err != nil {
		return err
	}
	if err := checkFolder(f.dir); err != nil {
		return err
	}
	for _, name := range []string{storeFolder, keys.FileName} {
		if _, err := os.Stat(filepath.Join(f.dir, name)); err == nil {
			return fmt.Errorf("data folder %s: it has data (%s), and a node that joins gets that of the cluster: take an empty folder", f.dir, name)
		}
	}
	if err := node.Join(f.dir, i); err != nil {
		return fmt.Errorf("data folder %s: %w", f.dir, err)
	}
	fmt.Fprintf(io.out, "node %d of cluster %s; start it with elastickv serve --dir %s --cluster-listen HOST:PORT …\n", i.Node, i.Cluster, f.dir)
	return nil
}

// askMost is how long the server of a cluster may take to answer: a majority has to agree.
const askMost = 30 * time.Second

// askCluster asks the server of a folder something.
func askCluster(ctx context.Context, f clusterFlags, ask func(context.Context, *admin.Client) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, askMost, errors.New("no majority of the nodes has agreed in time; it may come to happen yet: look at elastickv cluster status"))
	defer cancel()
	err := ask(ctx, admin.NewClient(f.dir))
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func clusterInvite(ctx context.Context, f clusterFlags, io stdio) error {
	return askCluster(ctx, f, func(ctx context.Context, c *admin.Client) error {
		out, err := c.Invite(ctx, f.node, f.addr)
		if err == nil {
			fmt.Fprintln(io.out, out.Invitation)
		}
		return err
	})
}

func clusterRemove(ctx context.Context, f clusterFlags, io stdio) error {
	return askCluster(ctx, f, func(ctx context.Context, c *admin.Client) error {
		err := c.Remove(ctx, f.node)
		if err == nil {
			fmt.Fprintf(io.out, "node %d is no member any more; its folder is of no use\n", f.node)
		}
		return err
	})
}

func clusterMove(ctx context.Context, f clusterFlags, io stdio) error {
	return askCluster(ctx, f, func(ctx context.Context, c *admin.Client) error {
		err := c.Move(ctx, f.node, f.addr)
		if err == nil {
			fmt.Fprintf(io.out, "node %d is reached at %s\n", f.node, f.addr)
		}
		return err
	})
}

func clusterTransfer(ctx context.Context, f clusterFlags, io stdio) error {
	return askCluster(ctx, f, func(ctx context.Context, c *admin.Client) error {
		err := c.Transfer(ctx, f.node)
		if err == nil {
			fmt.Fprintf(io.out, "node %d leads\n", f.node)
		}
		return err
	})
}

func clusterStatus(ctx context.Context, f clusterFlags, io stdio) error {
	return askCluster(ctx, f, func(ctx context.Context, c *admin.Client) error {
		st, err := c.ClusterStatus(ctx)
		if err != nil {
			return err
		}
		if f.json {
			e := json.NewEncoder(io.out)
			e.SetIndent("", "  ")
			return e.Encode(st)
		}
		return printCluster(io, st)
	})
}

func printCluster(io stdio, st admin.ClusterStatus) error {
	leader := "nobody"
	if st.Leader != 0 {
		leader = fmt.Sprint("node ", st.Leader)
	}
	fmt.Fprintf(io.out, "cluster %s, as node %d sees it\n%s leads in term %d; committed up to entry %d, applied here up to %d\n",
		st.Cluster, st.Node, leader, st.Term, st.Commit, st.Applied)
	if st.Removed {
		fmt.Fprintln(io.out, "THIS NODE HAS BEEN REMOVED; its data is no longer kept up to date")
	}
	if st.StalenessMillis > 0 {
		fmt.Fprintf(io.out, "what is read here is at most %d ms old\n", st.StalenessMillis)
	} else if st.StalenessMillis < 0 {
		fmt.Fprintln(io.out, "how old what is read here is, nobody knows")
	}
	w := tabwriter.NewWriter(io.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tADDRESS\tCLIENTS\tVOTE\tHAS ENTRIES UP TO\tAPPLIED\tHEARD OF")
	for _, n := range st.Members {
		vote, match, alive := "yes", "?", "?"
		if !n.Voter {
			vote = "not yet"
		}
		if n.Known {
			match, alive = fmt.Sprint(n.Match), "yes"
			if !n.Alive {
				alive = "NO"
			}
		}
		clients, applied := "?", "?"
		if n.Clients != "" {
			clients, applied = n.Clients, fmt.Sprint(n.Applied)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", n.Node, n.Addr, clients, vote, match, applied, alive)
	}
	return w.Flush()
}
