package state

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestNodeNumber(t *testing.T) {
	for _, c := range []struct {
		name string
		want int
		fine bool
	}{
		{"node1", 1, true},
		{"node3", 3, true},
		{"node0", 0, false},
		{"node4", 0, false},
		{"", 0, false},
		{"apiserver", 0, false},
	} {
		got, err := NodeNumber(c.name)
		if got != c.want || (err == nil) != c.fine {
			t.Errorf("NodeNumber(%q) = %d, %v", c.name, got, err)
		}
	}
}

func TestRecord(t *testing.T) {
	l := Layout{Dir: t.TempDir()}
	if _, found, err := l.Read(); found || err != nil {
		t.Fatalf("without a record: found %v, %v", found, err)
	}
	want := Record{ID: "jindo-kube-7", PID: 7, Start: "99", Nodes: map[string]int{"node1": 8}}
	if err := l.Write(want); err != nil {
		t.Fatal(err)
	}
	got, found, err := l.Read()
	if err != nil || !found || !reflect.DeepEqual(got, want) {
		t.Fatalf("read %+v, %v, %v", got, found, err)
	}
	if err := os.WriteFile(l.record(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Read(); err == nil {
		t.Error("half a record was read as a whole one")
	}
}

func TestRemoveKeepsLogsAndImages(t *testing.T) {
	l := Layout{Dir: t.TempDir()}
	kept := []string{filepath.Join(l.Logs(), "x.log"), filepath.Join(l.Images(), "x.tar")}
	gone := []string{l.Kubeconfig(), l.Kubectl(), l.Env(), l.record(), filepath.Join(l.PKI(), "ca.crt"), filepath.Join(l.OSS(), Bucket, "a"), filepath.Join(l.Node("node1"), "x"), filepath.Join(l.Etcd(), "x")}
	for _, path := range append(kept, gone...) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Remove(); err != nil {
		t.Fatal(err)
	}
	for _, path := range kept {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s was removed", path)
		}
	}
	for _, path := range gone {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s still exists", path)
		}
	}
}
