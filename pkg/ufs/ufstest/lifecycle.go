package ufstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// testConcurrent runs all methods concurrently on a few keys. A reader must only
// see the whole bytes of one writer.
func testConcurrent(t *testing.T, f *fixture) {
	const writers, rounds, size = 4, 8, 40000
	var group sync.WaitGroup
	f.put("key", content("0-0", size))
	for w := range writers {
		group.Go(func() {
			for round := range rounds {
				if _, err := f.putIf("key", content(fmt.Sprintf("%d-%d", w, round), size), ufs.Conditions{}); err != nil {
					t.Errorf("putting: %v", err)
				}
				own := fmt.Sprintf("own-%d/%d", w, round)
				if _, err := f.putIf(own, own, ufs.Conditions{}); err != nil {
					t.Errorf("putting %s: %v", own, err)
				}
				if _, err := f.List(f.ctx, ufs.ListOptions{}); err != nil {
					t.Errorf("listing: %v", err)
				}
				if err := f.Delete(f.ctx, own, ufs.Conditions{}); err != nil {
					t.Errorf("deleting %s: %v", own, err)
				}
			}
		})
	}
	valid := map[string]bool{}
	for w := range writers {
		for round := range rounds {
			valid[content(fmt.Sprintf("%d-%d", w, round), size)] = true
		}
	}
	for range 3 {
		group.Go(func() {
			for range rounds {
				got, err := f.tryRead("key")
				if err != nil && !errors.Is(err, ufs.ErrPrecondition) {
					t.Errorf("reading: %v", err)
				}
				if err == nil && !valid[got] {
					t.Errorf("read %d bytes that no writer wrote", len(got))
				}
			}
		})
	}
	group.Wait()
}

func (f *fixture) tryRead(key string) (string, error) {
	body, _, err := f.Get(f.ctx, key, ufs.Whole, "")
	if err != nil {
		return "", err
	}
	defer func() { _ = body.Close() }()
	raw, err := io.ReadAll(body)
	return string(raw), err
}

// calls returns the errors of every method that sends a request, by name.
func (f *fixture) calls(ctx context.Context) map[string]error {
	errs := map[string]error{}
	_, errs["List"] = f.List(ctx, ufs.ListOptions{})
	_, errs["Stat"] = f.Stat(ctx, "key")
	body, _, err := f.Get(ctx, "key", ufs.Whole, "")
	if err == nil {
		_ = body.Close()
	}
	errs["Get"] = err
	_, errs["Put"] = f.Put(ctx, "new", strings.NewReader("x"), 1, nil, ufs.Conditions{})
	errs["Delete"] = f.Delete(ctx, "key", ufs.Conditions{})
	_, errs["Copy"] = f.Copy(ctx, "key", "", "new", nil, ufs.Conditions{})
	_, errs["CreateMultipart"] = f.CreateMultipart(ctx, "new", nil)
	return errs
}

func testCancelled(t *testing.T, f *fixture) {
	f.put("key", content("key", 4<<20))
	ctx, cancel := context.WithCancel(f.ctx)
	body, _, err := f.Get(ctx, "key", ufs.Whole, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	if _, err := io.ReadFull(body, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if n, err := io.Copy(io.Discard, body); !errors.Is(err, context.Canceled) {
		t.Errorf("read after cancel, %d bytes later: %v", n, err)
	}
	for name, err := range f.calls(ctx) {
		f.want(err, context.Canceled, name)
	}
	expired, stop := context.WithTimeout(f.ctx, 0)
	defer stop()
	for name, err := range f.calls(expired) {
		f.want(err, context.DeadlineExceeded, name)
	}
	if got := f.keys(ufs.ListOptions{}); len(got) != 1 {
		t.Errorf("the remaining keys are %q", got)
	}
}

func testClosed(t *testing.T, f *fixture) {
	f.put("key", "x")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for name, err := range f.calls(f.ctx) {
		f.want(err, ufs.ErrUnavailable, name)
	}
}

func testMissing(t *testing.T, f *fixture) {
	for name, err := range f.calls(f.ctx) {
		if name == "Delete" && err == nil {
			continue // the object does not exist
		}
		f.want(err, ufs.ErrNotFound, name)
		if err != nil && !strings.Contains(err.Error(), "does not exist") && !strings.Contains(err.Error(), "not found") {
			t.Errorf("%s does not name what is missing: %v", name, err)
		}
	}
	_, err := f.List(f.ctx, ufs.ListOptions{})
	f.want(err, ufs.ErrNoBucket, "listing")
	_, err = f.Stat(f.ctx, "key")
	f.want(err, ufs.ErrNotFound, "stat")
}

func testDenied(t *testing.T, f *fixture) {
	for name, err := range f.calls(f.ctx) {
		f.want(err, ufs.ErrPermission, name)
		if errors.Is(err, ufs.ErrNotFound) {
			t.Errorf("%s reports missing rights as a missing object: %v", name, err)
		}
	}
}
