package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jindo-io/jindo/pkg/daemon"
	"github.com/jindo-io/jindo/pkg/master/consensus"
	"github.com/jindo-io/jindo/pkg/master/server"
	"github.com/jindo-io/jindo/pkg/master/state"
	"github.com/jindo-io/jindo/pkg/topology"
)

// A start with a damaged disk is retried after firstRetry, then at growing
// intervals up to lastRetry: each attempt reads the disk.
const (
	firstRetry = time.Second
	lastRetry  = 10 * time.Second
)

// opener opens a member.
type opener struct {
	config  consensus.Config
	server  server.Config
	listen  string
	machine *state.Machine
	health  *daemon.Health
	// topology returns the newest topology.
	topology func() topology.Topology
}

// open returns the member and the listener for its calls. While the disk is
// damaged and the other masters cannot replace this member, or the topology does not
// list it, open stays here: a process that exits would only be started again. Health
// checks and calls meanwhile return the reason.
func (o *opener) open(ctx context.Context) (*consensus.Node, net.Listener, error) {
	stated := ""
	for retry := firstRetry; ; retry = min(2*retry, lastRetry) {
		// The port is opened before the disk: a second process of this member
		// fails here.
		var config net.ListenConfig
		listener, err := config.Listen(ctx, "tcp", o.listen)
		if err != nil {
			return nil, nil, fmt.Errorf("listen for gRPC: %w", err)
		}
		o.config.Topology = o.topology()
		node, err := consensus.Open(o.config, server.StateMachine(o.machine))
		if err == nil {
			return node, listener, nil
		}
		var damage *consensus.DamageError
		if !errors.As(err, &damage) && !errors.Is(err, consensus.ErrUnlisted) {
			return nil, nil, errors.Join(err, listener.Close())
		}
		if err.Error() != stated {
			stated = err.Error()
			o.config.Logger.Error("this master does not start", "reason", err)
		}
		if err := o.wait(ctx, listener, err, retry); err != nil {
			return nil, nil, err
		}
	}
}

// wait serves the reason for a time, and closes the listener.
func (o *opener) wait(ctx context.Context, listener net.Listener, reason error, retry time.Duration) error {
	current := func() error { return reason }
	o.health.AddCheck("master", current)
	serving, cancel := context.WithTimeout(ctx, retry)
	defer cancel()
	if err := server.ServeReason(serving, listener, o.server, current); err != nil {
		return err
	}
	<-serving.Done()
	return ctx.Err()
}
