package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// turns is a race without a store, of three repetitions.
func turns(result *contest, do load) race {
	return race{
		repetitions: 3, result: result, contenders: []contender{{name: "a", limit: true}, {name: ours}, {name: "b"}},
		do: do, divide: gib, limit: time.Minute,
	}
}

func TestTheOrderRotates(t *testing.T) {
	var order []string
	err := turns(&contest{}, func(_ context.Context, c contender, _ int) (work, error) {
		order = append(order, c.name)
		return work{1, 1, 1}, nil
	}).run(t.Context())
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
		err := turns(result, func(_ context.Context, c contender, n int) (work, error) {
			if c.name == failing && n == 1 {
				return work{}, fail
			}
			return work{1, 1, 1}, nil
		}).run(t.Context())
		if errors.Is(err, fail) != ends {
			t.Errorf("%s failed: %v", failing, err)
		}
		if !ends && (len(result.Missing) != 1 || len(result.entry(failing).Figures) != 0) {
			t.Errorf("%s failed: missing %v, figures %v", failing, result.Missing, result.entry(failing).Figures)
		}
	}
}

// A peer whose load hangs is stopped and leaves the contest; one that fails is not.
func TestAPeerThatHangsIsStopped(t *testing.T) {
	for _, hangs := range []bool{true, false} {
		result, stopped := &contest{}, 0
		release := make(chan struct{})
		r := turns(result, func(_ context.Context, c contender, _ int) (work, error) {
			if c.name != "b" {
				return work{1, 1, 1}, nil
			}
			if hangs {
				<-release // as a call into a kernel that has no response
			}
			return work{}, errors.New("failed")
		})
		r.contenders[2].stop = func(error) { stopped++ }
		if hangs {
			r.limit = 10 * time.Millisecond // of peers only
		}
		err := r.run(t.Context())
		close(release)
		if err != nil || len(result.Missing) != 1 || (stopped == 1) != hangs {
			t.Errorf("hangs %t: %v, missing %v, stopped %d times", hangs, err, result.Missing, stopped)
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
