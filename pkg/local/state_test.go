package local

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func exampleState() State {
	return State{
		Version: StateVersion, Namespace: "default", Runtime: "hadoop", Dataset: "hbase", Boot: "b",
		Supervisor: ProcessID{PID: 100, Start: 1}, Reaper: ProcessID{PID: 101, Start: 2}, Phase: Ready,
		Started: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC), Order: "0123", Network: "127.1.2.0/24", Mountpoint: "/mnt/x",
		Components: []ComponentState{
			{Name: "m", Role: "master", Process: ProcessID{PID: 102, Start: 3}, Starts: 1, Log: "/l"},
			{Name: "f", Role: "fuse", Starts: 4, LastExit: "killed by SIGKILL", Log: "/l"},
		},
		Conditions: []Condition{{Name: "leader", Met: true, Detail: "m leads"}, {Name: "fuse", Detail: "not yet", Suspects: []string{"f"}}},
	}
}

func TestStateIsReadAsItWasWritten(t *testing.T) {
	l := NewLayout(t.TempDir(), "default", "hadoop")
	if _, found, err := ReadState(l); found || err != nil {
		t.Fatalf("a missing state: found %v, error %v", found, err)
	}
	if err := os.MkdirAll(l.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	want := exampleState()
	if err := want.save(l); err != nil {
		t.Fatal(err)
	}
	got, found, err := ReadState(l)
	if err != nil || !found {
		t.Fatalf("found %v, error %v", found, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	info, err := os.Stat(l.stateFile())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v: other users must not be able to read the file", info.Mode(), err)
	}
	if missing := got.Missing(); len(missing) != 1 || missing[0].Name != "fuse" {
		t.Errorf("missing %v, want fuse", missing)
	}
}

func TestDecodeStateRejectsHarmfulValues(t *testing.T) {
	encode := func(change func(*State)) string {
		s := exampleState()
		change(&s)
		raw, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	for name, raw := range map[string]string{
		"no JSON":                   "{",
		"another version":           encode(func(s *State) { s.Version++ }),
		"a pid that means a group":  encode(func(s *State) { s.Components[0].Process.PID = -1 }),
		"a pid that means everyone": encode(func(s *State) { s.Supervisor = ProcessID{PID: 0, Start: 1} }),
		"init":                      encode(func(s *State) { s.Reaper.PID = 1 }),
		"no start time":             encode(func(s *State) { s.Reaper.Start = 0 }),
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := DecodeState([]byte(raw)); err == nil {
				t.Errorf("accepted %+v", s)
			}
		})
	}
}

func FuzzDecodeState(f *testing.F) {
	raw, err := json.Marshal(exampleState())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"version":1,"supervisor":{"pid":-5,"start":9}}`))
	f.Add([]byte(`{"version":1,"components":[{"process":{"pid":1,"start":1}}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := DecodeState(raw)
		if err != nil {
			return
		}
		for _, id := range s.processes() {
			if id.PID < 2 || id.Start == 0 {
				t.Errorf("accepted process %+v, which would be signalled", id)
			}
		}
	})
}

func FuzzDecodeFormation(f *testing.F) {
	f.Add([]byte(`{"version":1,"clusterID":"x","formed":true,"network":"127.1.2.0/24"}`))
	f.Add([]byte(`{"version":2,"clusterID":"x"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if got, err := DecodeFormation(raw); err == nil && (got.ClusterID == "" || got.Version != formationVersion) {
			t.Errorf("accepted %+v", got)
		}
	})
}

func TestFormation(t *testing.T) {
	l := NewLayout(t.TempDir(), "default", "hadoop")
	if err := os.MkdirAll(l.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	first, err := loadFormation(l)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := loadFormation(l); err != nil || second.ClusterID == first.ClusterID {
		t.Errorf("two unsaved records have the same id %q, error %v", second.ClusterID, err)
	}
	first.Formed = true
	if err := first.save(l); err != nil {
		t.Fatal(err)
	}
	if again, err := loadFormation(l); err != nil || !reflect.DeepEqual(again, first) {
		t.Errorf("got %+v, error %v, want %+v", again, err, first)
	}
	// A new record could form a second cluster over the data of the first.
	if err := os.WriteFile(l.formationFile(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := loadFormation(l); err == nil || !strings.Contains(err.Error(), "--purge") {
		t.Errorf("an unreadable record: got %+v, error %v, want one that names --purge", got, err)
	}
}

func TestResolve(t *testing.T) {
	values := map[string]string{"POD_NAME": "m-0", "JINDO_DATA": "/d", "EMPTY": ""}
	for argument, want := range map[string]string{
		"--name=$(POD_NAME)":          "--name=m-0",
		"$(JINDO_DATA)/$(POD_NAME)/x": "/d/m-0/x",
		"plain":                       "plain",
		"":                            "",
		"$(EMPTY)":                    "",
		"$5 (x)":                      "$5 (x)",
	} {
		if got, err := resolve(argument, values); err != nil || got != want {
			t.Errorf("%q: got %q, error %v, want %q", argument, got, err, want)
		}
	}
	for _, argument := range []string{"$(UNKNOWN)", "--x=$(POD_NAME", "$()"} {
		if got, err := resolve(argument, values); err == nil {
			t.Errorf("%q: got %q, want an error", argument, got)
		}
	}
	// A value is text, which is not resolved again.
	if got, err := resolve("$(A)", map[string]string{"A": "$(B)", "B": "x"}); err != nil || got != "$(B)" {
		t.Errorf("got %q, error %v, want $(B)", got, err)
	}
}

func TestLayout(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/c")
	root, err := Root()
	if err != nil || root != "/c/jindo/local" {
		t.Fatalf("root %q, error %v", root, err)
	}
	t.Setenv("XDG_CACHE_HOME", "relative") // to be ignored by the specification
	t.Setenv("HOME", "/h")
	if root, err := Root(); err != nil || root != "/h/.cache/jindo/local" {
		t.Errorf("root %q, error %v", root, err)
	}
	long := NewLayout("/"+strings.Repeat("x", 90), "default", "hadoop")
	if err := long.checkSockets([]string{"w"}); err == nil || !strings.Contains(err.Error(), "XDG_CACHE_HOME") {
		t.Errorf("a directory too long for sockets: error %v, want one with advice", err)
	}
	if err := NewLayout("/c", "default", "hadoop").checkSockets([]string{"hadoop-jindofs-worker-0"}); err != nil {
		t.Error(err)
	}
}

func TestList(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"b/one", "a/two", "a/one", "a/empty"} {
		dir := filepath.Join(root, name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if filepath.Base(name) != "empty" {
			if err := os.WriteFile(filepath.Join(dir, "lock"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for namespace, want := range map[string]string{"": "a/one a/two b/one", "a": "a/one a/two", "c": ""} {
		layouts, err := List(root, namespace)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range layouts {
			got = append(got, l.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("namespace %q: got %v, want %s", namespace, got, want)
		}
	}
}

func TestLogs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	if lines, err := Tail(path, 3); err != nil || lines != nil {
		t.Errorf("no log: got %q, error %v", lines, err)
	}
	writer, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = writer.Close() }()
	for range 20000 {
		if _, err := writer.WriteString("an ordinary line\n"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := writer.WriteString("one\ntwo\nthree\n"); err != nil {
		t.Fatal(err)
	}
	if lines, err := Tail(path, 2); err != nil || strings.Join(lines, ",") != "two,three" {
		t.Errorf("got %q, error %v", lines, err)
	}
	if lines, err := Tail(path, 1<<20); err != nil || len(lines) < 100 || lines[0] != "an ordinary line" {
		t.Errorf("a tail of a long log begins with %q, error %v", lines[:1], err)
	}
	if err := boundLog(path, 1<<30); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + ".1"); err == nil {
		t.Error("a small log was moved aside")
	}
	if err := boundLog(path, 100); err != nil {
		t.Fatal(err)
	}
	// The writer continues at the beginning, because it appends.
	if _, err := writer.WriteString("after\n"); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(path); err != nil || string(raw) != "after\n" {
		t.Errorf("the log holds %d bytes, error %v, want one line", len(raw), err)
	}
	if lines, err := Tail(path+".1", 1); err != nil || strings.Join(lines, "") != "three" {
		t.Errorf("the rotated log ends with %q, error %v", lines, err)
	}
}

func TestCredentialsAreTheOwnersOnly(t *testing.T) {
	l := NewLayout(t.TempDir(), "default", "hadoop")
	write := func(secrets map[string]map[string]string) {
		t.Helper()
		if err := writeCredentials(l, secrets); err != nil {
			t.Fatal(err)
		}
	}
	write(map[string]map[string]string{"old": {"k": "v"}})
	write(map[string]map[string]string{"hadoop": {"fs.oss.accessKeyId": "AK"}})
	path := filepath.Join(l.credentials(), "hadoop", "fs.oss.accessKeyId")
	raw, err := os.ReadFile(path)
	if err != nil || string(raw) != "AK" {
		t.Errorf("got %q, error %v", raw, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	if _, err := os.Stat(filepath.Join(l.credentials(), "old")); err == nil {
		t.Error("the earlier file still exists")
	}
}
