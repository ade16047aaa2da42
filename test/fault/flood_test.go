package fault

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jindo-io/jindo/pkg/topology"
)

// silentConnections is how many connections without a certificate are held to
// each port.
const silentConnections = 300

// silentConnectionsAndLeaderKilled holds connections that send nothing to every
// port of every master and worker, and opens each again when it is closed. It
// kills the leader meanwhile.
func silentConnectionsAndLeaderKilled(b *breaking) error {
	members, err := topology.Load(b.Layout.Roster())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(b)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel()
	var opened atomic.Int64
	ports := 0
	for _, m := range slices.Concat(members.Masters, members.Workers) {
		addresses := []string{m.Address(), net.JoinHostPort(m.Host, strconv.Itoa(topology.HealthPort))}
		if m.RaftPort != 0 {
			addresses = append(addresses, m.RaftAddress())
		}
		for _, address := range addresses {
			ports++
			for range silentConnections {
				wait.Go(func() { silent(ctx, address, &opened) })
			}
		}
	}
	if err := b.eventually("holding connections to every port", func() error {
		if opened.Load() < int64(ports*silentConnections) {
			return errors.New("too few are open")
		}
		return nil
	}); err != nil {
		return err
	}
	if err := b.readOn(500); err != nil {
		return err
	}
	if err := leaderKilled(b); err != nil {
		return err
	}
	// A command succeeds while the flood continues.
	if err := b.invalidate(); err != nil {
		return err
	}
	return b.readOn(500)
}

// silent holds a connection to an address until ctx is done.
func silent(ctx context.Context, address string, opened *atomic.Int64) {
	for ctx.Err() == nil {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		opened.Add(1)
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		_, _ = io.Copy(io.Discard, conn)
		stop()
		_ = conn.Close()
	}
}
