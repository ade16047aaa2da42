// Package raftlog runs replicated logs of three members in one process, each on a
// disk of its own and connected over TCP, for benchmarks: that of the masters
// without gRPC and state, and hashicorp/raft with its bolt store, as its
// documentation sets it up. Both have a state machine that only counts.
package raftlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Log is a replicated log. Its methods are safe for concurrent use.
type Log interface {
	// Propose returns when a command is committed and applied by the leader.
	Propose(ctx context.Context, command []byte) error
	// Close stops all members.
	Close()
}

// Kinds of logs.
const (
	Masters   = "masters"
	Hashicorp = "hashicorp"
)

// members is the number of members of each log.
const members = 3

// formTimeout bounds the time until a new log has a leader.
const formTimeout = 30 * time.Second

// Open starts an empty log in a directory, and returns when its leader accepts
// commands.
func Open(ctx context.Context, kind, dir string) (Log, error) {
	ctx, cancel := context.WithTimeout(ctx, formTimeout)
	defer cancel()
	switch kind {
	case Masters:
		return openMasters(ctx, dir)
	case Hashicorp:
		return openHashicorp(ctx, dir)
	}
	return nil, fmt.Errorf("unknown kind of log %q: must be %s or %s", kind, Masters, Hashicorp)
}

// Load proposes commands of size bytes without pause from a number of clients for
// a time. It returns how many were committed, and the time that it took.
func Load(ctx context.Context, l Log, clients, size int, duration time.Duration) (int64, time.Duration, error) {
	var committed atomic.Int64
	begin := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for range clients {
		group.Go(func() error {
			command := make([]byte, size)
			for time.Since(begin) < duration {
				if err := l.Propose(ctx, command); err != nil {
					return err
				}
				committed.Add(1)
			}
			return nil
		})
	}
	err := group.Wait()
	return committed.Load(), time.Since(begin), err
}

// host returns an address of the loopback network that no other log uses.
func host() string {
	return fmt.Sprintf("127.%d.%d.%d", 64+rand.IntN(128), rand.IntN(256), 1+rand.IntN(254))
}

// until waits until a condition is true.
func until(ctx context.Context, condition func() bool) error {
	for !condition() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("wait for a leader: %w", ctx.Err())
		}
	}
	return nil
}

// counter is the state machine: the number of commands.
type counter struct{ n atomic.Uint64 }

func (c *counter) writeTo(w io.Writer) (int64, error) {
	n, err := w.Write(binary.BigEndian.AppendUint64(nil, c.n.Load()))
	return int64(n), err
}

func (c *counter) readFrom(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if len(raw) != 8 {
		return errors.New("the snapshot is no number")
	}
	c.n.Store(binary.BigEndian.Uint64(raw))
	return nil
}
