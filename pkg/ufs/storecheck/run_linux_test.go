package storecheck_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/retry"
	"github.com/jindo-io/jindo/pkg/ufs/storecheck"
)

// TestFailureKeepsTheKinds checks that an error that was sent has the text, the
// kinds and the finality of the original.
func TestFailureKeepsTheKinds(t *testing.T) {
	originals := []error{errors.New("of no kind"), retry.Final(fmt.Errorf("no TLS: %w", ufs.ErrUnavailable))}
	for _, kind := range ufs.Kinds() {
		originals = append(originals, fmt.Errorf("open bucket: %w", kind), fmt.Errorf("%w: more", kind))
	}
	for _, original := range originals {
		raw, err := json.Marshal(storecheck.NewFailure(original, false))
		if err != nil {
			t.Fatal(err)
		}
		var failure storecheck.Failure
		if err := json.Unmarshal(raw, &failure); err != nil {
			t.Fatal(err)
		}
		got := failure.Err()
		if got.Error() != original.Error() || ufs.Describe(got) != ufs.Describe(original) || retry.IsFinal(got) != retry.IsFinal(original) {
			t.Errorf("%v was received as %v", original, got)
		}
		for _, kind := range ufs.Kinds() {
			if errors.Is(got, kind) != errors.Is(original, kind) {
				t.Errorf("%v is %v: %t after it was sent", original, kind, errors.Is(got, kind))
			}
		}
	}
}

func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestProgramThatDoesNotRespond checks that no end of the program passes for a
// store that can be read.
func TestProgramThatDoesNotRespond(t *testing.T) {
	for body, want := range map[string]string{
		"echo 'flag provided but not defined: -check-store' >&2; exit 2": "exit status 2: flag provided but not defined",
		"kill -9 $$":             "signal: killed",
		"exit 0":                 "read its response",
		"echo 'a log line'":      "read its response",
		"exec echo '{\"empty\"'": "read its response",
	} {
		if empty, err := storecheck.Run(t.Context(), script(t, body), storecheck.Request{Limit: time.Minute}); err == nil || empty || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %t, %v, want %q", body, empty, err, want)
		}
	}
	if _, err := storecheck.Run(t.Context(), filepath.Join(t.TempDir(), "absent"), storecheck.Request{Limit: time.Minute}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a program: %v", err)
	}
}

// TestCheckEndsWithItsContext checks that a program that hangs, with a child that
// keeps its pipes open, is ended with the context.
func TestCheckEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	started := filepath.Join(t.TempDir(), "started")
	interrupted := errors.New("interrupted")
	go func() {
		for _, err := os.Stat(started); err != nil && ctx.Err() == nil; _, err = os.Stat(started) {
			time.Sleep(time.Millisecond)
		}
		cancel(interrupted)
	}()
	if _, err := storecheck.Run(ctx, script(t, "sleep 600 & echo >"+started+"; wait"), storecheck.Request{Limit: time.Hour}); !errors.Is(err, interrupted) {
		t.Errorf("got %v", err)
	}
}
