package topology

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func example() Topology {
	return Topology{
		Namespace: "default", Name: "hadoop", ClusterID: "c1",
		Masters: []Member{{Name: "hadoop-jindofs-master-0", Host: "127.1.2.11", Port: MasterPort, RaftPort: RaftPort, HealthPort: HealthPort}},
		Workers: []Member{{Name: "hadoop-jindofs-worker-0", Host: "worker-0.example", Port: WorkerPort, HealthPort: HealthPort}},
	}
}

func TestMarshalAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "topology.json")
	raw, err := example().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if err != nil || !reflect.DeepEqual(got, example()) {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestFind(t *testing.T) {
	r := example()
	if m, ok := r.Master("hadoop-jindofs-master-0"); !ok || m.Address() != "127.1.2.11:18004" || m.RaftAddress() != "127.1.2.11:18006" {
		t.Errorf("master: %+v, %v", m, ok)
	}
	if m, ok := r.Worker("hadoop-jindofs-worker-0"); !ok || m.Address() != "worker-0.example:18005" {
		t.Errorf("worker: %+v, %v", m, ok)
	}
	if _, ok := r.Worker("hadoop-jindofs-master-0"); ok {
		t.Error("Worker returned a master")
	}
}

func TestLoadRejectsInvalidFields(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Topology)
		want   string
	}{
		"without a name": {func(t *Topology) { t.Name = "" }, "set name"},
		"nameless":       {func(t *Topology) { t.Masters[0].Name = "" }, "without a name"},
		"no host":        {func(t *Topology) { t.Workers[0].Host = "" }, "host is empty"},
		"port too small": {func(t *Topology) { t.Workers[0].Port = 0 }, "invalid port 0"},
		"port too large": {func(t *Topology) { t.Workers[0].Port = 65536 }, "invalid port 65536"},
		"twice":          {func(t *Topology) { t.Workers[0].Name = t.Masters[0].Name }, "duplicate"},
	} {
		t.Run(name, func(t *testing.T) {
			r := example()
			test.change(&r)
			path := filepath.Join(t.TempDir(), "topology.json")
			raw, err := r.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(path); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Fatalf("got %v, want an error with %q and the file name", err, test.want)
			}
		})
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("Load succeeded for a missing file")
	}
}

func FuzzLoad(f *testing.F) {
	raw, err := example().Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"name":"x","masters":[{}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), "topology.json")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Load(path)
		if err != nil {
			return
		}
		if err := r.Validate(); err != nil {
			t.Fatalf("Load returned an invalid topology: %v", err)
		}
	})
}
