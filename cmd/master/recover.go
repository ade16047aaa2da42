package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/jindo-io/jindo/pkg/daemon"
	"github.com/jindo-io/jindo/pkg/master/consensus"
	"github.com/jindo-io/jindo/pkg/master/recovery"
	"github.com/jindo-io/jindo/pkg/topology"
)

// recoverCommand is the first argument that selects recoverOffline. Masters that run
// recover on request instead: see consensus.Node.Recover.
const recoverCommand = "recover"

// recoverOffline recovers the cluster from the data directory of a master that does not
// run, or shows what that would do.
func recoverOffline(args []string, w io.Writer) error {
	var name, roster, dataDir string
	var yes bool
	flags := flag.NewFlagSet("master "+recoverCommand, flag.ContinueOnError)
	flags.StringVar(&name, "name", "", "name of the master in the topology")
	flags.StringVar(&roster, "roster", "/etc/jindo/roster.json", "file with the names and addresses of the runtime's members")
	flags.StringVar(&dataDir, "data-dir", "", "data directory of the master, which must not run")
	flags.BoolVar(&yes, "yes", false, "recover, instead of showing what would happen")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if name == "" || dataDir == "" || flags.NArg() > 0 {
		return errors.New("recover: --name and --data-dir are required, and no arguments")
	}
	members, err := topology.Load(roster)
	if err != nil {
		return err
	}
	machine, err := newState()
	if err != nil {
		return err
	}
	offline := &consensus.Offline{
		Name: name, DataDir: dataDir, ClusterID: members.ClusterID, Topology: members,
		State: machine, Logger: daemon.Logger(name, false),
	}
	act := offline.Describe
	if yes {
		act = offline.Recover
	}
	plan, err := act()
	if err != nil {
		return fmt.Errorf("recover from %s: %w", dataDir, err)
	}
	if err := recovery.Write(w, name, plan, yes); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	if !yes {
		fmt.Fprintln(w, "Nothing was changed. To recover, repeat the command with --yes.")
	}
	return nil
}
