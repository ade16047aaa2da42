package topology

import (
	"path"
	"strings"
	"testing"
)

func TestSnapshotSchedulesAreValidated(t *testing.T) {
	valid := SnapshotSchedule{Mount: "data", URI: "s3://bucket/", Prefix: "a/b", IntervalSeconds: 600, Keep: 1}
	if err := valid.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*SnapshotSchedule){
		"no mount":       func(s *SnapshotSchedule) { s.Mount = "" },
		"no store":       func(s *SnapshotSchedule) { s.URI = "" },
		"no prefix":      func(s *SnapshotSchedule) { s.Prefix = "" },
		"parent":         func(s *SnapshotSchedule) { s.Prefix = "a/../b" },
		"long prefix":    func(s *SnapshotSchedule) { s.Prefix = strings.Repeat("a", 257) },
		"short interval": func(s *SnapshotSchedule) { s.IntervalSeconds = 599 },
		"long interval":  func(s *SnapshotSchedule) { s.IntervalSeconds = 1 << 62 },
		"none kept":      func(s *SnapshotSchedule) { s.Keep = 0 },
		"many kept":      func(s *SnapshotSchedule) { s.Keep = 1001 },
	} {
		changed := valid
		change(&changed)
		of := Topology{Name: "hadoop", Snapshots: &changed}
		if err := of.Validate(); err == nil || !strings.Contains(err.Error(), "snapshots: ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func FuzzSnapshotPrefix(f *testing.F) {
	for _, seed := range []string{"a/b", "../a", "a/", "/a", "a//b", "..", ".a", "a\x00", "a\\..\\b", "%2e%2e/a", "а"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, prefix string) {
		if CheckSnapshotPrefix(prefix) != "" {
			return
		}
		if prefix == "" || path.Clean(prefix) != prefix || path.IsAbs(prefix) || strings.HasPrefix(prefix, "..") && (prefix == ".." || prefix[2] == '/') {
			t.Errorf("%q is accepted", prefix)
		}
		for _, r := range prefix {
			if r <= ' ' || r >= 0x7f || strings.ContainsRune(`\:*?"<>|%#&`, r) {
				t.Errorf("%q is accepted", prefix)
			}
		}
	})
}
