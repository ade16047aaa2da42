package raftlog

import (
	"testing"
	"time"
)

// Every member of each log commits what the leader acknowledges; the log accepts
// commands of many clients at the same time.
func TestLogsCommit(t *testing.T) {
	for _, kind := range []string{Masters, Hashicorp} {
		t.Run(kind, func(t *testing.T) {
			l, err := Open(t.Context(), kind, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			committed, took, err := Load(t.Context(), l, 8, 200, 100*time.Millisecond)
			if err != nil || committed < 8 || took < 100*time.Millisecond {
				t.Errorf("%d commands in %v: %v", committed, took, err)
			}
		})
	}
}

func TestUnknownKind(t *testing.T) {
	if l, err := Open(t.Context(), "other", t.TempDir()); err == nil {
		l.Close()
		t.Error("an unknown kind of log was opened")
	}
}
