package main

import (
	"bytes"
	"strings"
	"syscall"
	"testing"

	"github.com/jindo-io/jindo/pkg/master/consensus/consensustest"
	"github.com/jindo-io/jindo/pkg/master/snapshot"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// save returns the snapshot of a master, or of the leader.
func (c *cluster) save(master string) ([]byte, *snapshot.Content) {
	c.t.Helper()
	var file bytes.Buffer
	if err := c.admin.SaveSnapshot(c.t.Context(), master, &file); err != nil {
		c.t.Fatal(err)
	}
	content, err := snapshot.Read(bytes.NewReader(file.Bytes()))
	if err != nil {
		c.t.Fatal(err)
	}
	return file.Bytes(), content
}

// TestRestoreIntoEmptyDisks: every disk is lost, and a snapshot that was saved before is
// all that is left.
func TestRestoreIntoEmptyDisks(t *testing.T) {
	c := formedWithMounts(t)
	leader := c.leader()
	file, content := c.save("")
	if content.State.View().Mounts() != 2 || len(content.Members) != 3 || !content.Confirmed || content.Master != c.Name(leader) || content.Index == 0 || content.Term == 0 {
		t.Fatalf("the snapshot is %+v", content.Header)
	}
	if _, other := c.save(c.Name((leader + 1) % 3)); other.Confirmed || other.Master == c.Name(leader) {
		t.Errorf("the snapshot of a follower is %+v", other.Header)
	}
	worker := c.client(mtls.Peer{Role: mtls.Worker, Name: "w-0"})
	if err := worker.SaveSnapshot(t.Context(), c.Name(leader), &bytes.Buffer{}); err == nil {
		t.Error("a worker saved a snapshot")
	}
	if _, err := worker.RestoreSnapshot(t.Context(), c.Name(leader), bytes.NewReader(file), false); err == nil {
		t.Error("a worker restored a snapshot")
	}
	restore := func(file []byte, want string) {
		t.Helper()
		if _, err := c.admin.RestoreSnapshot(t.Context(), c.Name(0), bytes.NewReader(file), false); err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("got %v, want an error with %q", err, want)
		}
	}
	restore(file, "holds a state")
	c.settled()
	c.mount("/lost")
	for i := range 3 {
		c.end(i, syscall.SIGKILL)
		c.Wipe(i)
		c.start(i, "--formed")
	}
	c.eventually("the masters have lost everything", func() error { return contains(c, 0, "no master has its state on disk") })
	damaged := bytes.Clone(file)
	damaged[len(damaged)/2] ^= 1
	restore(damaged, "truncated or damaged")
	restore(file[:len(file)/2], "truncated")
	restore(nil, "no snapshot of masters")
	var foreign bytes.Buffer
	header := content.Header
	header.ClusterID = "other"
	if err := snapshot.Write(&foreign, header, content.State.Snapshot()); err != nil {
		t.Fatal(err)
	}
	restore(foreign.Bytes(), `cluster "other"`)
	var redacted bytes.Buffer
	if err := snapshot.Redact(&redacted, content); err != nil {
		t.Fatal(err)
	}
	restore(redacted.Bytes(), "the snapshot is redacted")
	if err := contains(c, 0, "formed before"); err != nil {
		t.Error(err)
	}
	// A worker has a view of a later epoch than the snapshot, another one is broken.
	for name, view := range map[string]uint64{"w-0": 5<<40 + 7, "w-1": 1 << 63} {
		report := &commonv1.WorkerReport{Id: "disk-" + name, Name: name, ViewIndex: view}
		reported := c.client(mtls.Peer{Role: mtls.Worker, Name: name}).Heartbeat(t.Context(), report, c.Topology.ClusterID)
		if err := reported[0].Err; err != nil {
			t.Fatal(err)
		}
	}
	c.restores(file, content.Index, false)
	if view, err := c.admin.View(t.Context()); err != nil || view.GetIndex() != 6<<40 {
		t.Errorf("the view has index %d, %v", view.GetIndex(), err)
	}
	c.mount("/last")
	sameDigest(c)
}

// TestRestoreIntoANewCluster: masters of a cluster with another id, whose disks are empty,
// get the mounts of a snapshot, and nothing else that belongs to the former cluster.
func TestRestoreIntoANewCluster(t *testing.T) {
	former := formedWithMounts(t)
	member, peer := worker(0)
	if _, err := former.client(peer).RegisterWorker(t.Context(), member, former.Topology.ClusterID); err != nil {
		t.Fatal(err)
	}
	file, content := former.save("")
	before := content.State.View()
	if len(before.Workers()) != 1 || len(before.Sessions()) == 0 {
		t.Fatalf("the snapshot has workers %v and sessions %v", before.Workers(), before.Sessions())
	}
	for i := range 3 {
		former.end(i, syscall.SIGKILL)
	}

	fixture := consensustest.New(t, 3)
	fixture.Topology.ClusterID = "new-cluster"
	c := newClusterOf(t, fixture)
	for i := range 3 {
		c.start(i, "--formed")
	}
	c.eventually("no master has state", func() error { return contains(c, 0, "no master has its state on disk") })
	restore := func(file []byte, newCluster bool, want string) {
		t.Helper()
		if _, err := c.admin.RestoreSnapshot(t.Context(), c.Name(0), bytes.NewReader(file), newCluster); err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("got %v, want an error with %q", err, want)
		}
	}
	restore(file, false, `the snapshot is of cluster "cluster-of-a-test", and this master of "new-cluster"`)
	var redacted bytes.Buffer
	if err := snapshot.Redact(&redacted, content); err != nil {
		t.Fatal(err)
	}
	restore(redacted.Bytes(), true, "the snapshot is redacted")
	c.restores(file, content.Index, true)
	saved, after := c.save("")
	view := after.State.View()
	for i, m := range view.Cluster().GetMounts() {
		old := before.Cluster().GetMounts()[i]
		if m.GetId() != old.GetId() || m.GetPath() != old.GetPath() || m.GetUri() != old.GetUri() || m.GetEpoch() != 1<<40 {
			t.Errorf("mount %v, was %v", m, old)
		}
	}
	for _, s := range before.Sessions() {
		if view.Session(s.GetId()) != nil {
			t.Errorf("session %s remains", s.GetId())
		}
	}
	if len(view.Workers()) != 0 || len(view.Cluster().GetRing().GetMembers()) != 0 || len(view.Cluster().GetPreviousRings()) != 0 || view.RingEpoch() != 1<<40 {
		t.Errorf("workers %v and rings %v remain", view.Workers(), view.Cluster())
	}
	if after.ClusterID != "new-cluster" || bytes.Contains(saved, []byte(former.Topology.ClusterID)) {
		t.Errorf("the header is %+v", after.Header)
	}
	restore(saved, true, "and so is this master")

	// The disk and the views of a worker of the former cluster are not accepted, and a new
	// worker is.
	w := c.client(peer)
	if _, err := w.RegisterWorker(t.Context(), member, former.Topology.ClusterID); err == nil {
		t.Error("a worker of the former cluster is registered")
	}
	report := &commonv1.WorkerReport{Id: member.GetId(), Name: member.GetName(), ViewIndex: 9 << 40}
	if err := w.Heartbeat(t.Context(), report, former.Topology.ClusterID)[0].Err; err == nil {
		t.Error("a report from the former cluster is accepted")
	}
	joined, err := w.RegisterWorker(t.Context(), member, "")
	if err != nil || joined.GetClusterId() != "new-cluster" || joined.GetRing().GetEpoch() != 1<<40+1 {
		t.Errorf("the view is %v, %v", joined, err)
	}
	// The next mount has a number of its own.
	for _, m := range before.Cluster().GetMounts() {
		if last := c.mount("/last"); strings.Split(last.GetId(), "-")[0] == strings.Split(m.GetId(), "-")[0] {
			t.Errorf("the number of mount %s is used again in %s", m.GetId(), last.GetId())
		}
	}
	sameDigest(c)
}

// restores restores a file at the first master, which ends and is started again, and waits
// until it serves alone.
func (c *cluster) restores(file []byte, want uint64, newCluster bool) {
	c.t.Helper()
	index, err := c.admin.RestoreSnapshot(c.t.Context(), c.Name(0), bytes.NewReader(file), newCluster)
	if err != nil || index != want {
		c.t.Fatalf("index %d, want %d: %v", index, want, err)
	}
	c.exited(0)
	c.start(0, "--formed")
	c.settled()
	c.servesAlone()
}
