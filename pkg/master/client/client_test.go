package client_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

func TestEveryCall(t *testing.T) {
	s := running(t, 3)
	admin := s.admin()
	mount, changed, err := admin.Mount(t.Context(), data())
	if err != nil || !changed || mount.GetId() == "" {
		t.Fatalf("mount: %v, %v, %v", mount, changed, err)
	}
	if _, changed, err := admin.Mount(t.Context(), data()); err != nil || changed {
		t.Errorf("mount again: %v, %v", changed, err)
	}
	if epoch, err := admin.Invalidate(t.Context(), "/data"); err != nil || epoch != 2 {
		t.Errorf("invalidate: %d, %v", epoch, err)
	}
	worker := s.client(mtls.Peer{Role: mtls.Worker, Name: "w-0"})
	member := &commonv1.RingMember{Id: "disk-0", Name: "w-0", Host: "127.0.0.1", Port: 18005, Weight: 1}
	view, err := worker.RegisterWorker(t.Context(), member, s.Topology.ClusterID)
	if err != nil || view.GetRing().GetEpoch() != 1 || view.GetMounts()[0].GetEpoch() != 2 {
		t.Errorf("register: %v, %v", view, err)
	}
	entries := len(s.log.Entries())
	if again, err := worker.RegisterWorker(t.Context(), member, ""); err != nil || again.GetRing().GetEpoch() != 1 {
		t.Errorf("register again: %v, %v", again, err)
	}
	if len(s.log.Entries()) != entries {
		t.Error("registering again was written to the log")
	}
	var refusal *client.RefusedError
	if _, err := worker.RegisterWorker(t.Context(), member, "another"); !errors.As(err, &refusal) || refusal.Reason != client.ReasonOtherCluster {
		t.Errorf("with a disk of another cluster: %v", err)
	}
	s.eventually("every master receives a heartbeat", func() error {
		var failed error
		for i, beat := range worker.Heartbeat(t.Context(), &commonv1.WorkerReport{Id: "disk-0", Name: "w-0"}, s.Topology.ClusterID) {
			if beat.Member.Name != s.Name(i) || beat.Err == nil && !beat.Response.GetRegistered() {
				t.Errorf("heartbeat %d: %v, %v", i, beat.Response, beat.Err)
			}
			failed = errors.Join(failed, beat.Err)
		}
		return failed
	})
	if workers, err := admin.ListWorkers(t.Context()); err != nil || len(workers) != 1 || !workers[0].GetLive() {
		t.Errorf("list workers: %v, %v", workers, err)
	}
	if leader, err := admin.Transfer(t.Context(), "m-2"); err != nil || leader != "m-2" {
		t.Errorf("transfer leadership: %q, %v", leader, err)
	}
	s.eventually("every master returns its status", func() error {
		var failed error
		for i, m := range admin.Members(t.Context()) {
			if m.Member.Name != s.Name(i) || m.Err == nil && m.Status.GetLeader() != "m-2" {
				t.Errorf("member %d: %v, %v", i, m.Status, m.Err)
			}
			failed = errors.Join(failed, m.Err)
		}
		return failed
	})
	if err := admin.RemoveWorker(t.Context(), "w-0"); err != nil {
		t.Errorf("remove: %v", err)
	}
	if err := admin.Unmount(t.Context(), "/data"); err != nil {
		t.Errorf("unmount: %v", err)
	}
	if err := admin.Unmount(t.Context(), "/data"); !errors.As(err, &refusal) || refusal.Reason != client.ReasonNotFound || status.Code(refusal) != codes.NotFound {
		t.Errorf("unmount again: %v", err)
	}
	if view, err := s.client(mtls.Peer{Role: mtls.Fuse, Name: "f"}).View(t.Context()); err != nil || len(view.GetMounts()) != 0 || view.GetRing().GetEpoch() != 2 {
		t.Errorf("the view is %v, %v", view, err)
	}
}

// TestLostResponse must fail when duplicates are executed: see mutant_test.go.
func TestLostResponse(t *testing.T) {
	s := running(t, 1)
	admin := s.admin()
	if _, _, err := admin.Mount(t.Context(), data()); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(5) {
		s.log.Member(0).LoseResponses(2)
		epoch, err := admin.Invalidate(t.Context(), "/data")
		if err != nil || epoch != i+2 || s.epoch() != epoch {
			t.Fatalf("invalidation %d, whose response was lost twice, returned epoch %d, %v; the mount has %d", i, epoch, err, s.epoch())
		}
	}
}

func TestLeaderMoves(t *testing.T) {
	s := running(t, 3)
	admin := s.admin()
	if _, _, err := admin.Mount(t.Context(), data()); err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		s.log.Lead(i % 3)
		if epoch, err := admin.Invalidate(t.Context(), "/data"); err != nil || epoch != uint64(i)+2 {
			t.Fatalf("under leader %d: %d, %v", i%3, epoch, err)
		}
		if view, err := admin.View(t.Context()); err != nil || view.GetMounts()[0].GetEpoch() != uint64(i)+2 {
			t.Fatalf("under leader %d: %v, %v", i%3, view, err)
		}
	}
}

func TestNoLeaderForAWhile(t *testing.T) {
	s := running(t, 3)
	admin := s.admin()
	if _, _, err := admin.Mount(t.Context(), data()); err != nil {
		t.Fatal(err)
	}
	s.log.Lead(-1)
	timer := time.AfterFunc(500*time.Millisecond, func() { s.log.Lead(2) })
	defer timer.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	if epoch, err := admin.Invalidate(ctx, "/data"); err != nil || epoch != 2 {
		t.Errorf("invalidate: %d, %v", epoch, err)
	}
}

// TestHungLeader: a master that receives calls and never responds delays no
// call for longer than an attempt.
func TestHungLeader(t *testing.T) {
	s := running(t, 3)
	admin := s.admin()
	if _, _, err := admin.Mount(t.Context(), data()); err != nil {
		t.Fatal(err)
	}
	s.log.Member(0).Hang(true)
	defer s.log.Member(0).Hang(false)
	timer := time.AfterFunc(300*time.Millisecond, func() { s.log.Lead(1) })
	defer timer.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	if epoch, err := admin.Invalidate(ctx, "/data"); err != nil || epoch != 2 {
		t.Errorf("invalidate: %d, %v", epoch, err)
	}
	if view, err := admin.View(ctx); err != nil || view.GetMounts()[0].GetEpoch() != 2 {
		t.Errorf("read: %v, %v", view, err)
	}
}

func TestDeadlines(t *testing.T) {
	s := newTestbed(t, 3)
	admin := s.admin()
	short := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	// No master listens, so that nothing can have been executed.
	s.eventually("the error names a master", func() error {
		_, err := admin.Invalidate(short(), "/data")
		if err == nil || errors.Is(err, client.ErrUnknownOutcome) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("with every master down: %v", err)
		}
		if !strings.Contains(err.Error(), "m-1") {
			return err
		}
		return nil
	})
	if _, err := admin.View(short()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with every master down, read: %v", err)
	}
	for _, m := range admin.Members(short()) {
		if m.Err == nil || m.Status != nil {
			t.Errorf("%s, which is down, returned %v", m.Member.Name, m.Status)
		}
	}
	for i := range 3 {
		s.up(i)
	}
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	if _, _, err := admin.Mount(ctx, data()); err != nil {
		t.Fatalf("after the masters have started: %v", err)
	}

	// The leader receives the command and hangs: it may have been executed.
	s.log.Member(0).Hang(true)
	s.eventually("the leader receives a command", func() error {
		_, err := admin.Invalidate(short(), "/data")
		if err == nil {
			t.Fatal("a command succeeded at a leader that hangs")
		}
		if !errors.Is(err, client.ErrUnknownOutcome) {
			return err
		}
		return nil
	})
	if _, err := admin.View(short()); err == nil || errors.Is(err, client.ErrUnknownOutcome) {
		t.Errorf("with a leader that hangs, read: %v", err)
	}
	s.log.Member(0).Hang(false)
	before := s.epoch()
	if epoch, err := admin.Invalidate(ctx, "/data"); err != nil || epoch <= before-1 {
		t.Errorf("afterwards: %d, %v", epoch, err)
	}

	// All masters refuse, and none is the leader.
	s.log.Lead(-1)
	if _, err := admin.Invalidate(short(), "/data"); err == nil || errors.Is(err, client.ErrUnknownOutcome) {
		t.Errorf("without a leader: %v", err)
	}
}

// TestUnknownOutcomeIsFenced: a command whose outcome was reported as unknown
// is not executed after the next command.
func TestUnknownOutcomeIsFenced(t *testing.T) {
	s := running(t, 1)
	admin := s.admin()
	if _, _, err := admin.Mount(t.Context(), data()); err != nil {
		t.Fatal(err)
	}
	before := s.log.Entries()
	s.log.Member(0).LoseResponses(1 << 30)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := admin.Invalidate(ctx, "/data")
		ended <- err
	}()
	s.eventually("the command is executed", func() error {
		if len(s.log.Entries()) == len(before) {
			return errors.New("the log has no entry of it")
		}
		return nil
	})
	cancel()
	if err := <-ended; !errors.Is(err, client.ErrUnknownOutcome) {
		t.Fatalf("with every response lost: %v", err)
	}
	s.log.Member(0).LoseResponses(0)
	if epoch, err := admin.Invalidate(t.Context(), "/data"); err != nil || epoch != 3 {
		t.Fatalf("the next command: %d, %v", epoch, err)
	}
	// A late duplicate of the command arrives.
	late := s.log.Entries()[len(before)]
	if _, _, err := s.log.Member(0).Propose(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	if s.epoch() != 3 {
		t.Errorf("a late duplicate was executed: the epoch is %d", s.epoch())
	}
}

// TestSessionEnded: a command that no master received is sent again in a new
// session when its own has ended meanwhile.
func TestSessionEnded(t *testing.T) {
	s := running(t, 1)
	admin := s.admin()
	if _, _, err := admin.Mount(t.Context(), data()); err != nil {
		t.Fatal(err)
	}
	endSessions(t, s)
	if epoch, err := admin.Invalidate(t.Context(), "/data"); err != nil || epoch != 2 {
		t.Errorf("after the session has ended: %d, %v", epoch, err)
	}
}

func TestConcurrentCommands(t *testing.T) {
	s := running(t, 3)
	admin := s.admin()
	if _, _, err := admin.Mount(t.Context(), data()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	var mu sync.Mutex
	returned := map[uint64]bool{}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 10 {
				epoch, err := admin.Invalidate(ctx, "/data")
				mu.Lock()
				if err != nil || returned[epoch] {
					t.Errorf("epoch %d was returned twice, or %v", epoch, err)
				}
				returned[epoch] = true
				mu.Unlock()
			}
		})
	}
	for i := range 5 {
		s.log.Member(0).LoseResponses(1)
		s.log.Lead(i % 3)
	}
	wait.Wait()
	if len(returned) != 80 || s.epoch() != 81 {
		t.Errorf("%d epochs were returned, and the mount has %d", len(returned), s.epoch())
	}
}

func TestRefusedCallIsNotRetried(t *testing.T) {
	s := running(t, 1)
	admin := s.admin()
	var refusal *client.RefusedError
	if _, _, err := admin.Mount(t.Context(), &commonv1.Mount{Path: "nowhere"}); !errors.As(err, &refusal) || refusal.Code != codes.InvalidArgument {
		t.Errorf("a bad mount: %v", err)
	}
	fuse := s.client(mtls.Peer{Role: mtls.Fuse, Name: "f"})
	if _, err := fuse.Invalidate(t.Context(), "/data"); !errors.As(err, &refusal) || refusal.Code != codes.PermissionDenied {
		t.Errorf("a call that is not allowed: %v", err)
	}
	// The session continues.
	if _, _, err := admin.Mount(t.Context(), data()); err != nil {
		t.Error(err)
	}
	if _, err := admin.Invalidate(t.Context(), "/other"); !errors.As(err, &refusal) || refusal.Reason != client.ReasonNotFound {
		t.Errorf("a mount that does not exist: %v", err)
	}
	if epoch, err := admin.Invalidate(t.Context(), "/data"); err != nil || epoch != 2 {
		t.Errorf("afterwards: %d, %v", epoch, err)
	}
	if _, err := client.New(client.Config{Topology: s.Topology}); err == nil {
		t.Error("New succeeded without an identity")
	}
}

func TestRuntimeWithoutMasters(t *testing.T) {
	s := newTestbed(t, 1)
	c, err := client.New(client.Config{Identity: s.Identity(0)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.View(context.Background()); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	if _, err := c.Invalidate(context.Background(), "/data"); err == nil || errors.Is(err, client.ErrUnknownOutcome) {
		t.Errorf("a command: %v", err)
	}
	if got := len(c.Members(context.Background())) + len(c.Heartbeat(context.Background(), nil, "")); got != 0 {
		t.Errorf("%d masters responded", got)
	}
}

// TestNoRaft: clients import none of the packages that masters are built from.
func TestNoRaft(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "github.com/jindo-io/jindo/pkg/master/client").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range strings.Fields(string(out)) {
		for _, heavy := range []string{"hashicorp/", "bbolt", "pkg/master/consensus", "pkg/master/state", "pkg/master/server"} {
			if strings.Contains(dep, heavy) {
				t.Errorf("the package imports %s", dep)
			}
		}
	}
	if !strings.Contains(string(out), "google.golang.org/grpc") {
		t.Error(fmt.Errorf("not a list of packages: %.80s", out))
	}
}

// TestACommandConnectsToAllMasters checks that a client that executes commands is
// connected to the masters that may have to execute the next one.
func TestACommandConnectsToAllMasters(t *testing.T) {
	s := running(t, 3)
	admin := s.admin()
	if _, _, err := admin.Mount(t.Context(), data()); err != nil {
		t.Fatal(err)
	}
	s.eventually("the client connects to all masters", func() error {
		if !client.Connected(admin) {
			return errors.New("it is not connected to all")
		}
		return nil
	})
}
