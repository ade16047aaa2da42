package records

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func open(t *testing.T, dir string) (*Store, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	s, err := Open(dir, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return s, &log
}

func volume(target string, since int64) Volume {
	return Volume{ID: "v", Target: target, Runtime: Runtime{"ns", "hadoop"}, Pod: Pod{"ns", "p", "u"}, Since: time.Unix(since, 0).UTC()}
}

func TestRecordsSurviveTheProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "by", "it")
	s, _ := open(t, dir)
	first, second, other := volume("/a", 2), volume("/b", 1), volume("/c", 0)
	other.Runtime.Name = "spark"
	for _, v := range []Volume{first, second, other} {
		if err := s.Put(v); err != nil {
			t.Fatal(err)
		}
	}
	first.SubPath = "changed"
	if err := s.Put(first); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete("/c"); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete("/never"); err != nil {
		t.Error(err)
	}
	again, _ := open(t, dir)
	all := again.All()
	if len(all) != 2 || all[0] != second || all[1] != first {
		t.Errorf("records: %+v", all)
	}
	if got := again.Of(Runtime{"ns", "spark"}); len(got) != 0 {
		t.Errorf("records of ns/spark: %+v", got)
	}
	if got, ok := again.Get("/a"); !ok || !got.Same(first) {
		t.Errorf("/a: %+v, %v", got, ok)
	}
}

func TestDamagedRecordIsRenamed(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir)
	if err := s.Put(volume("/a", 1)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"x.json": "{", "y.json": "{}", "z.json": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again, log := open(t, dir)
	if len(again.All()) != 1 {
		t.Errorf("records: %+v", again.All())
	}
	if n := strings.Count(log.String(), "damaged record renamed"); n != 3 {
		t.Errorf("%d damaged records logged, want 3: %s", n, log)
	}
	third, log := open(t, dir)
	if len(third.All()) != 1 || log.Len() > 0 {
		t.Errorf("second open: records %+v, log %s", third.All(), log)
	}
}

func TestRuntimeDir(t *testing.T) {
	for _, r := range []Runtime{{"ns", "hadoop"}, {"a-b", "c.d"}} {
		if got, ok := RuntimeOfDir(r.Dir()); !ok || got != r {
			t.Errorf("%s parsed as %v", r.Dir(), got)
		}
	}
	for _, name := range []string{"volumes", "_x", "x_", "_"} {
		if got, ok := RuntimeOfDir(name); ok {
			t.Errorf("%s parsed as %v", name, got)
		}
	}
}
