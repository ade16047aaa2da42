package topology

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "roster.json")
	write := func(raw []byte) {
		t.Helper()
		// As an executor replaces the file: as a whole.
		next := path + ".next"
		if err := os.WriteFile(next, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, path); err != nil {
			t.Fatal(err)
		}
	}
	marshal := func(of Topology) []byte {
		t.Helper()
		raw, err := of.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	first := Topology{Name: "test", ClusterID: "c", Masters: []Member{{Name: "m-0", Host: "h", Port: 1}}}
	write(marshal(first))
	loaded, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	changes, failures, done := make(chan Topology), make(chan error), make(chan struct{})
	go func() {
		defer close(done)
		Watch(ctx, path, loaded, time.Millisecond, func(next Topology) { changes <- next }, func(err error) { failures <- err })
	}()
	expectFailure := func(want string) {
		t.Helper()
		select {
		case err := <-failures:
			if !strings.Contains(err.Error(), want) {
				t.Fatalf("got %v, want an error with %q", err, want)
			}
		case got := <-changes:
			t.Fatalf("a change to %v", got)
		}
	}
	foreign := first
	foreign.ClusterID = "another"
	write(marshal(foreign))
	expectFailure("cluster id")
	write([]byte("{"))
	expectFailure("unexpected end")
	grown := first
	grown.Masters = append(grown.Masters[:1:1], Member{Name: "m-1", Host: "h", Port: 2})
	write(marshal(grown))
	select {
	case got := <-changes:
		if len(got.Masters) != 2 {
			t.Fatalf("got %v", got)
		}
	case err := <-failures:
		t.Fatal(err)
	}
	cancel()
	<-done
}
