package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/topology"
	"github.com/jindo-io/jindo/test/bench/peer"
	"github.com/jindo-io/jindo/test/bench/raftlog"
	"github.com/jindo-io/jindo/test/dataset"
	"github.com/jindo-io/jindo/test/testbed"
)

// commandClients are the numbers of clients that send commands at the same time,
// in ascending order.
var commandClients = []int{1, 16, 64, 128}

const (
	// commandTime is how long they send.
	commandTime = 3 * time.Second
	// commandSize is that of the commands to logs without a state of their own, in
	// bytes.
	commandSize = 200
)

// commander sends commands to a replicated log.
type commander interface {
	// send sends commands of a number of clients, each without pause, for a time,
	// and returns the number of commands that were acknowledged.
	send(ctx context.Context, clients int, duration time.Duration) (work, error)
	pids() []int
	close()
}

// commands measures the commands that masters commit for clients, compared with
// their replicated log without gRPC and state, and with other logs.
func commands(ctx context.Context, r *run) ([]report, error) {
	var contenders []contender
	all := map[string]commander{}
	var missing []string
	defer func() {
		for _, c := range all {
			c.close()
		}
	}()
	for _, kind := range []struct {
		name  string
		limit bool
		start func() (commander, error)
	}{
		{"log without gRPC", true, func() (commander, error) { return startLog(ctx, raftlog.Masters, filepath.Join(r.dir, "log")) }},
		{ours, false, func() (commander, error) { return startMasters(ctx, r) }},
		{"hashicorp/raft", false, func() (commander, error) { return startLog(ctx, raftlog.Hashicorp, filepath.Join(r.dir, "hashicorp")) }},
		{"etcd", false, func() (commander, error) { return startEtcd(ctx, filepath.Join(r.dir, "etcd")) }},
	} {
		c, err := kind.start()
		switch {
		case err == nil:
			all[kind.name] = c
			contenders = append(contenders, contender{name: kind.name, limit: kind.limit, pids: c.pids()})
		case kind.limit || kind.name == ours:
			return nil, fmt.Errorf("%s: %w", kind.name, err)
		default:
			fmt.Fprintln(os.Stderr, err)
			missing = append(missing, err.Error())
		}
	}
	calls, err := connectEmpty(ctx, all[ours].(*runtimeMasters))
	if err != nil {
		return nil, fmt.Errorf("call without the log: %w", err)
	}
	all[emptyCalls] = calls
	contenders = slices.Insert(contenders, 1, contender{name: emptyCalls, limit: true, pids: calls.pids()})
	var reports []report
	for _, clients := range commandClients {
		result := commandContest(clients, missing)
		err := race{
			repetitions: r.repetitions, result: result, contenders: contenders, divide: thousand, limit: loadLimit,
			do: func(ctx context.Context, c contender, _ int) (work, error) {
				return all[c.name].send(ctx, clients, commandTime)
			},
		}.run(ctx)
		if err != nil {
			return nil, fmt.Errorf("%d clients: %w", clients, err)
		}
		reports = append(reports, result)
	}
	return reports, nil
}

// commandContest returns the contest of a number of clients. The first one explains
// the contenders.
func commandContest(clients int, missing []string) *contest {
	c := &contest{
		Name: fmt.Sprintf("commands-%d", clients), Title: fmt.Sprintf("Commands, %d clients", clients), Unit: "commands/s", Per: "1,000 commands",
		Notes: "The contenders of the row with one client.", Missing: slices.Clone(missing),
	}
	if clients == 1 {
		c.Title = "Commands, one client"
		c.Notes = fmt.Sprintf("Three members on one machine and disk, each client sends one command after the other for %.0f s. Ours: a mount that exists, over gRPC and mutual TLS, with a connection for each client; the log without gRPC: the same replicated log, with commands of %d bytes from the process of its three members; gRPC without the log: a call that the leader responds to at once, over connections like those of ours. hashicorp/raft with raft-boltdb and its default settings, likewise in one process, without TLS. etcd: puts of %d bytes over gRPC without TLS to the leader, with a connection for each client, default settings. CPU and memory are those of the members; where they share a process with the clients, of both.",
			commandTime.Seconds(), commandSize, commandSize)
	}
	return c
}

// sendAll calls a function for each client without pause for a time.
func sendAll(ctx context.Context, clients int, duration time.Duration, send func(ctx context.Context, client int) error) (work, error) {
	var acknowledged atomic.Int64
	begin := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for i := range clients {
		group.Go(func() error {
			for time.Since(begin) < duration {
				if err := send(ctx, i); err != nil {
					return err
				}
				acknowledged.Add(1)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return work{}, err
	}
	return work{float64(acknowledged.Load()), time.Since(begin).Seconds(), acknowledged.Load()}, nil
}

// runtimeMasters are the masters of a runtime, with clients of their own
// connections and sessions.
type runtimeMasters struct {
	testbed *testbed.Testbed
	clients []*client.Client
	mount   *commonv1.Mount
	members []int
}

func startMasters(ctx context.Context, r *run) (commander, error) {
	files := []dataset.File{{Path: "file", Size: 1}}
	s, err := testbed.Open(ctx, testbed.Options{Bin: r.bin, Dir: r.dir, Store: "oss", Files: files})
	if err != nil {
		return nil, err
	}
	m := &runtimeMasters{testbed: s}
	if err := m.connect(ctx); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

// connect opens the clients, and lets each send one command, which opens its
// session.
func (m *runtimeMasters) connect(ctx context.Context) error {
	names, err := m.testbed.Components("master")
	if err != nil {
		return err
	}
	for _, name := range names {
		pid, err := m.testbed.PID(name)
		if err != nil {
			return err
		}
		m.members = append(m.members, pid)
	}
	members, err := topology.Load(m.testbed.Layout.Roster())
	if err != nil {
		return err
	}
	for i := range slices.Max(commandClients) {
		// Masters limit the connections of one certificate from one address.
		identity, err := m.testbed.Issue(mtls.Peer{Role: mtls.Admin, Name: fmt.Sprintf("bench-%d", i)})
		if err != nil {
			return err
		}
		c, err := client.New(client.Config{Topology: members, Identity: identity, Holder: fmt.Sprintf("bench-%d", i)})
		if err != nil {
			return err
		}
		m.clients = append(m.clients, c)
	}
	view, err := m.clients[0].View(ctx)
	if err != nil {
		return err
	}
	if len(view.GetMounts()) == 0 {
		return errors.New("nothing is mounted")
	}
	m.mount = view.GetMounts()[0]
	m.mount.Id, m.mount.Epoch = "", 0 // set by the state machine
	var group errgroup.Group
	for i := range m.clients {
		group.Go(func() error { return m.sendOne(ctx, i) })
	}
	return group.Wait()
}

func (m *runtimeMasters) sendOne(ctx context.Context, i int) error {
	_, _, err := m.clients[i].Mount(ctx, m.mount)
	return err
}

func (m *runtimeMasters) send(ctx context.Context, clients int, duration time.Duration) (work, error) {
	return sendAll(ctx, clients, duration, m.sendOne)
}

func (m *runtimeMasters) pids() []int { return m.members }

func (m *runtimeMasters) close() {
	for _, c := range m.clients {
		c.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := m.testbed.Down(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	m.testbed.Close()
}

// etcd is a cluster of etcd, with connections to its leader.
type etcd struct {
	cluster *peer.Etcd
	conns   []*grpc.ClientConn
	value   []byte
}

func startEtcd(ctx context.Context, dir string) (commander, error) {
	cluster, err := peer.StartEtcd(ctx, dir)
	if err != nil {
		return nil, err
	}
	e := &etcd{cluster: cluster, value: make([]byte, commandSize)}
	leader, err := cluster.Leader(ctx)
	if err == nil {
		err = e.connect(ctx, leader)
	}
	if err != nil {
		e.close()
		return nil, fmt.Errorf("start etcd: %w", err)
	}
	return e, nil
}

func (e *etcd) connect(ctx context.Context, leader string) error {
	for range slices.Max(commandClients) {
		conn, err := grpc.NewClient("passthrough:///"+leader, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return err
		}
		e.conns = append(e.conns, conn)
	}
	var group errgroup.Group
	for i := range e.conns {
		group.Go(func() error { return e.put(ctx, i) })
	}
	return group.Wait()
}

func (e *etcd) put(ctx context.Context, i int) error {
	return peer.EtcdPut(ctx, e.conns[i], fmt.Sprintf("key-%d", i), e.value)
}

func (e *etcd) send(ctx context.Context, clients int, duration time.Duration) (work, error) {
	return sendAll(ctx, clients, duration, e.put)
}

func (e *etcd) pids() []int { return e.cluster.PIDs() }

func (e *etcd) close() {
	for _, conn := range e.conns {
		_ = conn.Close()
	}
	e.cluster.Stop()
}
