//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/test/s3server"
)

// scheduledManifests writes a pair whose masters are saved in a bucket of an S3 server.
func (m *machine) scheduledManifests(name, endpoint, schedule string) (dataset, runtime string) {
	m.t.Helper()
	const pair = `apiVersion: data.fluid.io/v1alpha1
kind: Dataset
metadata: {name: NAME}
spec:
  accessModes: [ReadWriteMany]
  mounts:
  - {mountPoint: "local://DIR/", name: hadoop, readOnly: true}
  - mountPoint: s3://backup/of-masters/
    name: backup
    options: {fs.s3.endpoint: "ENDPOINT", fs.s3.region: us-east-1, fs.s3.accessKeyId: key, fs.s3.accessKeySecret: secret-key}
---
apiVersion: data.fluid.io/v1alpha1
kind: JindoRuntime
metadata: {name: NAME}
spec:
  replicas: 2
  tieredstore: {levels: [{mediumtype: HDD, path: /mnt/disk1, quota: 2G}]}
  master: {replicas: 3SCHEDULE}
`
	text := strings.NewReplacer("NAME", name, "DIR", m.store, "ENDPOINT", endpoint, "SCHEDULE", schedule).Replace(pair)
	first, second, _ := strings.Cut(text, "---\n")
	for kind, content := range map[string]string{"dataset": first, "runtime": second} {
		if err := os.WriteFile(filepath.Join(m.home, name+"-"+kind+".yaml"), []byte(content), 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
	return filepath.Join(m.home, name+"-dataset.yaml"), filepath.Join(m.home, name+"-runtime.yaml")
}

// scheduledState returns what the leader of a runtime reports about scheduled snapshots.
func (m *machine) scheduledState(name string) (*report.ScheduledSnapshots, error) {
	stdout, stderr, code := m.run("kubectl-jindo", "raft", "status", name, "--local", "-o", "json")
	r := &report.Runtime{}
	if err := json.Unmarshal([]byte(stdout), r); err != nil {
		return nil, fmt.Errorf("exit code %d: %w\n%s%s", code, err, stdout, stderr)
	}
	l := r.Leader()
	if l == nil || l.Scheduled == nil {
		return nil, fmt.Errorf("no leader reports a schedule:\n%s", stdout)
	}
	return l.Scheduled, nil
}

// awaitSnapshot waits until the leader reports an object, and returns its file in the
// directory of the bucket.
func (m *machine) awaitSnapshot(name, bucket string) string {
	m.t.Helper()
	var err error
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		var s *report.ScheduledSnapshots
		if s, err = m.scheduledState(name); err == nil && s.Time != nil {
			return filepath.Join(bucket, "of-masters", s.Key)
		}
		if err == nil {
			err = fmt.Errorf("the leader reports %+v", *s)
		}
	}
	m.t.Fatalf("no scheduled snapshot within %s: %v\n%s", timeout, err, m.logs())
	return ""
}

// TestLocalScheduledSnapshots: real masters have real workers save their state in a real S3
// store, a new leader does not repeat that, and the object is restored into a new runtime
// whose masters have empty disks.
func TestLocalScheduledSnapshots(t *testing.T) {
	m := newMachine(t)
	binary, err := s3server.Find(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	buckets := filepath.Join(m.home, "buckets")
	server, err := s3server.Start(t.Context(), s3server.Config{Binary: binary, Dir: buckets, Buckets: []string{"backup"}, AccessKeyID: "key", AccessKeySecret: "secret-key"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	bucket := filepath.Join(buckets, "backup")
	foreign := filepath.Join(bucket, "of-masters", "masters", "not-a-snapshot")
	if err := os.MkdirAll(filepath.Dir(foreign), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(foreign, []byte("data of a tenant"), 0o644); err != nil {
		t.Fatal(err)
	}
	up := func(name, schedule string) (stdout, stderr string, code int) {
		dataset, runtime := m.scheduledManifests(name, server.Endpoint, schedule)
		return m.run("kubectl-jindo", "local", "up", "-f", dataset, "-f", runtime, "--mountpoint", filepath.Join(m.home, "mnt-"+name))
	}
	const schedule = ", snapshots: {mount: backup, prefix: masters, interval: 10m, keep: 2}"
	if _, stderr, code := up("first", strings.Replace(schedule, "10m", "9m", 1)); code == 0 || !strings.Contains(stderr, "not a valid interval") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if stdout, stderr, code := up("first", schedule); code != 0 {
		t.Fatalf("exit code %d\n%s%s%s", code, stdout, stderr, m.logs())
	}
	saved := m.awaitSnapshot("first", bucket)
	t.Logf("\n%s", m.must("kubectl-jindo", "raft", "status", "first", "--local"))
	if got := m.must("kubectl-jindo", "raft", "snapshot", "inspect", saved); !strings.Contains(got, "2 mounts") {
		t.Errorf("%s holds\n%s", saved, got)
	}
	// A new leader finds the object, and stores no other within the interval.
	m.must("kubectl-jindo", "raft", "transfer-leader", "first", "--local")
	if again := m.awaitSnapshot("first", bucket); again != saved {
		t.Errorf("the newest is %s, was %s", again, saved)
	}
	if objects, err := filepath.Glob(filepath.Dir(saved) + "/*"); err != nil || len(objects) != 2 {
		t.Errorf("objects %q, %v", objects, err)
	}
	m.must("kubectl-jindo", "local", "down", "first")

	// The masters of another runtime have formed, and then lost their disks.
	if stdout, stderr, code := up("second", ""); code != 0 {
		t.Fatalf("exit code %d\n%s%s%s", code, stdout, stderr, m.logs())
	}
	m.must("kubectl-jindo", "local", "down", "second")
	disks, err := filepath.Glob(filepath.Join(m.home, "cache/jindo/local/default/second/data/second-jindofs-master-*"))
	if err != nil || len(disks) != 3 {
		t.Fatalf("disks %q, %v", disks, err)
	}
	for _, disk := range disks {
		if err := os.RemoveAll(disk); err != nil {
			t.Fatal(err)
		}
	}
	started := make(chan string, 1)
	go func() {
		stdout, stderr, code := up("second", "")
		started <- fmt.Sprintf("exit code %d\n%s%s", code, stdout, stderr)
	}()
	restored := ""
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		stdout, stderr, code := m.run("kubectl-jindo", "raft", "snapshot", "restore", "second", "--local", "-f", saved, "--master", "second-jindofs-master-0", "--into-new-cluster")
		if restored = stdout + stderr; code == 0 {
			break
		}
	}
	if got := <-started; !strings.HasPrefix(got, "exit code 0") || !strings.Contains(restored, "restarts with the mounts of cluster") {
		t.Fatalf("%s\n%s%s", got, restored, m.logs())
	}
	if raw, err := os.ReadFile(filepath.Join(m.home, "mnt-second/hadoop/a.txt")); err != nil || string(raw) != "alpha" {
		t.Errorf("read %q, %v", raw, err)
	}
	if raw, err := os.ReadFile(foreign); err != nil || string(raw) != "data of a tenant" {
		t.Errorf("a foreign object holds %q, %v", raw, err)
	}
}
