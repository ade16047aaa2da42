package ufstest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jindo-io/jindo/pkg/ufs"
)

func (f *fixture) putIf(key, content string, c ufs.Conditions) (ufs.Object, error) {
	return f.Put(f.ctx, key, strings.NewReader(content), int64(len(content)), nil, c)
}

func testConditionalCreate(t *testing.T, f *fixture) {
	_, err := f.putIf("key", "first", ufs.Conditions{IfNoneMatch: true})
	if !f.can().ConditionalCreate {
		f.want(err, ufs.ErrUnsupported, "creating")
		_, err = f.Stat(f.ctx, "key")
		f.want(err, ufs.ErrNotFound, "stat after a create that is not supported")
		return
	}
	if err != nil {
		t.Fatalf("creating: %v", err)
	}
	_, err = f.putIf("key", "second", ufs.Conditions{IfNoneMatch: true})
	f.want(err, ufs.ErrPrecondition, "creating again")
	if got := f.get("key"); got != "first" {
		t.Errorf("holds %q after a refused create", got)
	}
	if err := f.Delete(f.ctx, "key", ufs.Conditions{}); err != nil {
		t.Fatal(err)
	}
	if _, err = f.putIf("key", "third", ufs.Conditions{IfNoneMatch: true}); err != nil {
		t.Errorf("creating after a delete: %v", err)
	}
}

func testConditionalReplace(t *testing.T, f *fixture) {
	first := f.put("key", "first").ETag
	second, err := f.putIf("key", "second", ufs.Conditions{IfMatch: first})
	if !f.can().ConditionalReplace {
		f.want(err, ufs.ErrUnsupported, "replacing")
		if got := f.get("key"); got != "first" {
			t.Errorf("holds %q after a replace that is not supported", got)
		}
		return
	}
	if err != nil {
		t.Fatalf("replacing: %v", err)
	}
	_, err = f.putIf("key", "third", ufs.Conditions{IfMatch: first})
	f.want(err, ufs.ErrPrecondition, "replacing an old version")
	if got, _ := f.read("key", ufs.Whole, second.ETag); got != "second" {
		t.Errorf("holds %q after a refused replace", got)
	}
	_, err = f.putIf("nothing", "x", ufs.Conditions{IfMatch: first})
	if !errors.Is(err, ufs.ErrPrecondition) && !errors.Is(err, ufs.ErrNotFound) {
		t.Errorf("replacing a missing object: %v", err)
	}
	_, err = f.Stat(f.ctx, "nothing")
	f.want(err, ufs.ErrNotFound, "stat after replacing a missing object")
}

func testConditionalDelete(t *testing.T, f *fixture) {
	first := f.put("key", "first").ETag
	if !f.can().ConditionalDelete {
		f.want(f.Delete(f.ctx, "key", ufs.Conditions{IfMatch: first}), ufs.ErrUnsupported, "deleting")
		if got := f.get("key"); got != "first" {
			t.Errorf("holds %q after a delete that is not supported", got)
		}
		return
	}
	second := f.put("key", "second").ETag
	f.want(f.Delete(f.ctx, "key", ufs.Conditions{IfMatch: first}), ufs.ErrPrecondition, "deleting an old version")
	if got := f.get("key"); got != "second" {
		t.Errorf("holds %q after a refused delete", got)
	}
	if err := f.Delete(f.ctx, "key", ufs.Conditions{IfMatch: second}); err != nil {
		t.Errorf("deleting: %v", err)
	}
	_, err := f.Stat(f.ctx, "key")
	f.want(err, ufs.ErrNotFound, "stat of a deleted object")
}

// testCreateRace checks that exactly one of many creators succeeds.
func testCreateRace(t *testing.T, f *fixture) {
	if !f.can().ConditionalCreate {
		t.Skip("the store has no conditional create")
	}
	for round := range 5 {
		key := fmt.Sprintf("dir/key-%d", round)
		winners := race(t, 8, func(i int) error {
			_, err := f.putIf(key, fmt.Sprint(i), ufs.Conditions{IfNoneMatch: true})
			return err
		})
		if len(winners) != 1 {
			t.Fatalf("%d creators succeeded, want 1", len(winners))
		}
		if got := f.get(key); got != fmt.Sprint(winners[0]) {
			t.Errorf("holds %q, but creator %d succeeded", got, winners[0])
		}
	}
}

// testReplaceRace checks that exactly one of many replacements of a version
// succeeds.
func testReplaceRace(t *testing.T, f *fixture) {
	if !f.can().ConditionalReplace {
		t.Skip("the store has no conditional replace")
	}
	tag := f.put("key", "begin").ETag
	for range 5 {
		winners := race(t, 8, func(i int) error {
			_, err := f.putIf("key", fmt.Sprintf("%s by %d", tag, i), ufs.Conditions{IfMatch: tag})
			return err
		})
		if len(winners) != 1 {
			t.Fatalf("%d replacements of one version succeeded, want 1", len(winners))
		}
		if got, want := f.get("key"), fmt.Sprintf("%s by %d", tag, winners[0]); got != want {
			t.Errorf("holds %q, want %q", got, want)
		}
		tag = f.stat("key").ETag
	}
}

// race runs n functions concurrently and returns those that did not fail with a
// condition.
func race(t testing.TB, n int, run func(i int) error) []int {
	var mu sync.Mutex
	var winners []int
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			err := run(i)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				winners = append(winners, i)
			} else if !errors.Is(err, ufs.ErrPrecondition) {
				t.Errorf("runner %d: %v", i, err)
			}
		})
	}
	group.Wait()
	return winners
}

func testCopy(t *testing.T, f *fixture) {
	var metadata map[string]string
	if f.can().Metadata {
		metadata = map[string]string{"mode": "420", "note": "of the source"}
	}
	want := content("copy", 100000)
	if _, err := f.Put(f.ctx, "from", strings.NewReader(want), int64(len(want)), metadata, ufs.Conditions{}); err != nil {
		t.Fatal(err)
	}
	made, err := f.Copy(f.ctx, "from", "", "to/here", nil, ufs.Conditions{})
	if err != nil {
		t.Fatal(err)
	}
	got, object := f.read("to/here", ufs.Whole, made.ETag)
	if got != want || object.Key != "to/here" || made.Key != "to/here" || made.Size != int64(len(want)) {
		t.Errorf("the copy has %d bytes, %+v, %+v", len(got), made, object)
	}
	sameMetadata(t, f.stat("to/here").Metadata, metadata)
	if !f.can().Metadata {
		return
	}
	other := map[string]string{"mode": "493"}
	if _, err := f.Copy(f.ctx, "from", "", "other", other, ufs.Conditions{}); err != nil {
		t.Fatal(err)
	}
	sameMetadata(t, f.stat("other").Metadata, other)
	if _, err := f.Copy(f.ctx, "from", "", "bare", map[string]string{}, ufs.Conditions{}); err != nil {
		t.Fatal(err)
	}
	sameMetadata(t, f.stat("bare").Metadata, nil)
	// Copying an object onto itself changes its metadata.
	if _, err := f.Copy(f.ctx, "from", f.stat("from").ETag, "from", other, ufs.Conditions{}); err != nil {
		t.Fatal(err)
	}
	sameMetadata(t, f.stat("from").Metadata, other)
	if f.get("from") != want {
		t.Error("a copy onto itself changed the bytes")
	}
}

func testCopyConditions(t *testing.T, f *fixture) {
	old := f.put("from", "old").ETag
	f.put("from", "new")
	_, err := f.Copy(f.ctx, "from", old, "to", nil, ufs.Conditions{})
	f.want(err, ufs.ErrPrecondition, "copying an old version")
	_, err = f.Stat(f.ctx, "to")
	f.want(err, ufs.ErrNotFound, "stat of the target of a failed copy")

	f.put("taken", "mine")
	_, err = f.Copy(f.ctx, "from", "", "taken", nil, ufs.Conditions{IfNoneMatch: true})
	if !errors.Is(err, ufs.ErrUnsupported) {
		f.want(err, ufs.ErrPrecondition, "copying onto an existing key")
		if _, err = f.Copy(f.ctx, "from", "", "free", nil, ufs.Conditions{IfNoneMatch: true}); err != nil {
			t.Errorf("copying onto a free key: %v", err)
		}
	}
	if got := f.get("taken"); got != "mine" {
		t.Errorf("holds %q after a refused copy", got)
	}
}
