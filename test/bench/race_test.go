package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jindo-io/jindo/test/bench/shaper"
)

// emptyLab returns a lab without mounts.
func emptyLab(t *testing.T) *lab {
	t.Helper()
	proxy, err := shaper.Start("127.0.0.1:1", shaper.Shape{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	return &lab{proxy: proxy}
}

func TestTheOrderRotates(t *testing.T) {
	chosen := []contender{{name: "a", limit: true}, {name: ours}, {name: "b"}}
	var order []string
	result := &contest{}
	err := emptyLab(t).rotate(t.Context(), 3, result, chosen, nil, func(_ context.Context, c contender, _ int) (work, error) {
		order = append(order, c.name)
		return work{1, 1, 1}, nil
	}, gib)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", ours, "b", ours, "b", "a", "b", "a", ours}; !slices.Equal(order, want) {
		t.Errorf("the order was %v, want %v", order, want)
	}
}

// A peer that fails leaves the contest with its reason; our own failure ends it.
func TestFailures(t *testing.T) {
	fail := errors.New("input/output error")
	for failing, ends := range map[string]bool{"a": true, ours: true, "b": false} {
		result := &contest{}
		err := emptyLab(t).rotate(t.Context(), 2, result, []contender{{name: "a", limit: true}, {name: ours}, {name: "b"}}, nil,
			func(_ context.Context, c contender, n int) (work, error) {
				if c.name == failing && n == 1 {
					return work{}, fail
				}
				return work{1, 1, 1}, nil
			}, gib)
		if errors.Is(err, fail) != ends {
			t.Errorf("%s failed: %v", failing, err)
		}
		if !ends && (len(result.Missing) != 1 || len(result.entry(failing).Figures) != 0) {
			t.Errorf("%s failed: missing %v, figures %v", failing, result.Missing, result.entry(failing).Figures)
		}
	}
}

func TestLoadsReadEveryByte(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, 3*mib+5), 0o600); err != nil {
		t.Fatal(err)
	}
	if w, err := sequential(path, true); err != nil || w.bytes != 3*mib+5 {
		t.Errorf("sequential: %+v, %v", w, err)
	}
	if w, err := readFiles(t.Context(), []string{path, path, path}, true, 2); err != nil || w.bytes != 3*(3*mib+5) || w.amount != 3 {
		t.Errorf("files: %+v, %v", w, err)
	}
	if took, err := firstBytes([]string{path}); err != nil || len(took) != 1 {
		t.Errorf("first bytes: %v, %v", took, err)
	}
	if processorSeconds([]int{os.Getpid()}) < 0 || peakMemory([]int{os.Getpid()}) <= 0 {
		t.Error("this process has no processor time or memory")
	}
}
