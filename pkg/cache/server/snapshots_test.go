package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/master/snapshot"
	"github.com/jindo-io/jindo/pkg/master/state"
	"github.com/jindo-io/jindo/pkg/master/state/statev1"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/pkg/topology"
	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/drivers"
)

// snapshotOf returns a file with the state of a cluster.
func snapshotOf(t *testing.T, cluster string, change func(*snapshot.Header)) []byte {
	t.Helper()
	machine, err := state.New(func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	entry, err := state.EncodeBatch(1, []*statev1.Command{{Operation: &statev1.Command_FormCluster{FormCluster: &statev1.FormCluster{ClusterId: cluster, FormatVersion: 1}}}})
	if err != nil {
		t.Fatal(err)
	}
	if result, is := machine.Apply(7, entry).(error); is {
		t.Fatal(result)
	}
	header := snapshot.Header{ClusterID: cluster, Index: 7, Confirmed: true, Time: time.Date(2026, 11, 30, 20, 0, 48, 0, time.UTC)}
	if change != nil {
		change(&header)
	}
	var file bytes.Buffer
	of := machine.Snapshot()
	defer of.Release()
	if err := snapshot.Write(&file, header, of); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// saving is a worker with a schedule, whose mount is a directory.
type saving struct {
	*harness
	dir      string
	schedule atomic.Pointer[topology.SnapshotSchedule]
}

func newSaving(t *testing.T) *saving {
	t.Helper()
	s := &saving{dir: t.TempDir()}
	uri := "file://" + s.dir + "/"
	s.schedule.Store(&topology.SnapshotSchedule{Mount: "backup", URI: uri, Prefix: "a/b", IntervalSeconds: 600, Keep: 2})
	s.harness = newHarness(t, func(h *harness) {
		h.masters.view.Mounts = append(h.masters.view.Mounts, &commonv1.Mount{Id: "m2", Name: "backup", Path: "/backup", Uri: uri, Epoch: 3})
		h.config.Snapshots = s.schedule.Load
		h.config.OpenStore = func(ctx context.Context, m *commonv1.Mount) (ufs.Store, error) {
			return drivers.Open(ctx, m.GetUri(), nil, nil)
		}
	}).ready()
	return s
}

// store calls StoreSnapshot as the holder of a certificate.
func (s *saving) store(role mtls.Role, target *workerv1.SnapshotTarget, file []byte) (*workerv1.StoreSnapshotResponse, error) {
	s.t.Helper()
	conn, err := s.identity(role, "caller").Dial(s.worker.Addr().String(), mtls.Worker, s.name)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	stream, err := workerv1.NewSnapshotsClient(conn).StoreSnapshot(ctx)
	if err != nil {
		return nil, err
	}
	_ = stream.Send(&workerv1.StoreSnapshotRequest{Target: target}) // CloseAndRecv returns the reason
	for from := bytes.NewReader(file); ; {
		part := make([]byte, 100)
		n, err := from.Read(part)
		if err == io.EOF || stream.Send(&workerv1.StoreSnapshotRequest{Data: part[:n]}) != nil {
			break
		}
	}
	return stream.CloseAndRecv()
}

func (s *saving) latest(role mtls.Role, target *workerv1.SnapshotTarget) (*workerv1.LatestSnapshotResponse, error) {
	s.t.Helper()
	conn, err := s.identity(role, "caller").Dial(s.worker.Addr().String(), mtls.Worker, s.name)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	return workerv1.NewSnapshotsClient(conn).LatestSnapshot(ctx, &workerv1.LatestSnapshotRequest{Target: target})
}

// files returns what is in the store, and fails for what was not expected beside it.
func (s *saving) files() []string {
	entries, err := os.ReadDir(s.dir + "/a/b")
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func rightTarget() *workerv1.SnapshotTarget {
	return &workerv1.SnapshotTarget{ClusterId: "c1", Mount: "backup", Prefix: "a/b"}
}

func TestSnapshotsAreStored(t *testing.T) {
	s := newSaving(t)
	if r, err := s.latest(mtls.Master, rightTarget()); err != nil || r.GetLatest() != nil {
		t.Fatalf("%v, %v", r, err)
	}
	if err := os.MkdirAll(s.dir+"/a/b", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.dir+"/a/b/c1-of-a-tenant", []byte("data"), 0o644); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		at := time.Date(2026, 11, 30, 20, i, 0, 0, time.UTC)
		file := snapshotOf(t, "c1", func(h *snapshot.Header) { h.Time = at })
		for range 2 { // a repeated call succeeds
			r, err := s.store(mtls.Master, rightTarget(), file)
			if err != nil || r.GetRetention() != "" || r.GetStored().GetSize() != int64(len(file)) || r.GetStored().GetIndex() != 7 {
				t.Fatalf("%v, %v", r, err)
			}
			raw, err := os.ReadFile(s.dir + "/" + r.GetStored().GetKey())
			if err != nil || !bytes.Equal(raw, file) {
				t.Errorf("%s holds %d bytes, %v", r.GetStored().GetKey(), len(raw), err)
			}
		}
		if r, err := s.latest(mtls.Master, rightTarget()); err != nil || !r.GetLatest().GetTime().AsTime().Equal(at) {
			t.Errorf("the newest is %v, %v", r, err)
		}
	}
	want := []string{"c1-0000000000000007-20261130T200200Z.jindosnapshot", "c1-0000000000000007-20261130T200300Z.jindosnapshot", "c1-of-a-tenant"}
	if got := s.files(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("files %q, want %q", got, want)
	}
	left, err := os.ReadDir(s.config.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if strings.HasPrefix(e.Name(), "snapshot") {
			t.Errorf("%s is left", e.Name())
		}
	}
}

// A worker refuses a master whose view differs from its own topology, other roles, and
// files that are not whole snapshots of its cluster. Nothing is written then.
func TestSnapshotsAreRefused(t *testing.T) {
	s := newSaving(t)
	good := snapshotOf(t, "c1", nil)
	target := func(change func(*workerv1.SnapshotTarget)) *workerv1.SnapshotTarget {
		to := rightTarget()
		change(to)
		return to
	}
	damaged := bytes.Clone(good)
	damaged[len(damaged)-40] ^= 1
	for name, test := range map[string]struct {
		role   mtls.Role
		target *workerv1.SnapshotTarget
		file   []byte
		code   codes.Code
	}{
		"a fuse server":      {mtls.Fuse, rightTarget(), good, codes.PermissionDenied},
		"a worker":           {mtls.Worker, rightTarget(), good, codes.PermissionDenied},
		"an administrator":   {mtls.Admin, rightTarget(), good, codes.PermissionDenied},
		"no target":          {mtls.Master, nil, good, codes.FailedPrecondition},
		"another cluster":    {mtls.Master, target(func(to *workerv1.SnapshotTarget) { to.ClusterId = "c2" }), good, codes.FailedPrecondition},
		"another mount":      {mtls.Master, target(func(to *workerv1.SnapshotTarget) { to.Mount = "hadoop" }), good, codes.FailedPrecondition},
		"another prefix":     {mtls.Master, target(func(to *workerv1.SnapshotTarget) { to.Prefix = "a" }), good, codes.FailedPrecondition},
		"parent prefix":      {mtls.Master, target(func(to *workerv1.SnapshotTarget) { to.Prefix = "a/../.." }), good, codes.FailedPrecondition},
		"no file":            {mtls.Master, rightTarget(), nil, codes.InvalidArgument},
		"a damaged file":     {mtls.Master, rightTarget(), damaged, codes.InvalidArgument},
		"half a file":        {mtls.Master, rightTarget(), good[:len(good)/2], codes.InvalidArgument},
		"more than a file":   {mtls.Master, rightTarget(), append(bytes.Clone(good), 1), codes.InvalidArgument},
		"no snapshot":        {mtls.Master, rightTarget(), bytes.Repeat([]byte("data"), 1<<10), codes.InvalidArgument},
		"of another cluster": {mtls.Master, rightTarget(), snapshotOf(t, "c2", nil), codes.InvalidArgument},
		"not of a leader":    {mtls.Master, rightTarget(), snapshotOf(t, "c1", func(h *snapshot.Header) { h.Confirmed = false }), codes.InvalidArgument},
		"redacted":           {mtls.Master, rightTarget(), snapshotOf(t, "c1", func(h *snapshot.Header) { h.Redacted = true }), codes.InvalidArgument},
	} {
		if r, err := s.store(test.role, test.target, test.file); status.Code(err) != test.code {
			t.Errorf("%s: %v, %v, want %s", name, r, err, test.code)
		}
		if test.code != codes.InvalidArgument {
			if r, err := s.latest(test.role, test.target); status.Code(err) != test.code {
				t.Errorf("%s: the newest is %v, %v, want %s", name, r, err, test.code)
			}
		}
	}
	refused := func(name string, code codes.Code) {
		t.Helper()
		if r, err := s.store(mtls.Master, rightTarget(), good); status.Code(err) != code {
			t.Errorf("%s: %v, %v, want %s", name, r, err, code)
		}
		if got := s.files(); len(got) != 0 {
			t.Errorf("%s: files %q", name, got)
		}
	}
	own := s.schedule.Load()
	other := *own
	other.URI = "file:///elsewhere/" // the masters' view is of another store
	s.schedule.Store(&other)
	refused("another store", codes.FailedPrecondition)
	s.schedule.Store(nil)
	refused("no schedule", codes.FailedPrecondition)
	s.schedule.Store(own)
	s.masters.change(func(v *commonv1.ClusterView) { v.Mounts[1].ReadOnly = true })
	eventually(t, "the view is newer", func() bool { return s.worker.views.load().mounts["m2"].GetReadOnly() })
	refused("a read-only mount", codes.FailedPrecondition)
}

// A store that fails is no failure of the worker, and the reason reaches the master.
func TestSnapshotsOfAFailingStore(t *testing.T) {
	s := newSaving(t)
	if err := os.WriteFile(s.dir+"/a", []byte("not a directory"), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := s.store(mtls.Master, rightTarget(), snapshotOf(t, "c1", nil))
	if status.Code(err) != codes.Aborted || !strings.Contains(err.Error(), "save a snapshot") {
		t.Errorf("%v, %v", r, err)
	}
}
