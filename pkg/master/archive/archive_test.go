package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/master/snapshot"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// bucket is a store in memory, whose users may do what they want.
type bucket struct {
	ufs.Store // nil: the methods not defined here are not called
	objects   map[string]int64
	// unconditional makes it a store that cannot check whether an object exists.
	unconditional bool
	// endless makes every listing continue.
	endless bool
	fail    error
	lists   int
}

func (b *bucket) List(_ context.Context, o ufs.ListOptions) (ufs.Page, error) {
	b.lists++
	var keys []string
	prefixes := map[string]bool{}
	for key := range b.objects {
		rest, ok := strings.CutPrefix(key, o.Prefix)
		if at := strings.Index(rest, o.Delimiter); ok && at >= 0 {
			prefixes[o.Prefix+rest[:at+1]] = true
		} else if ok && key > o.Continuation {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	page := ufs.Page{}
	if len(keys) > 1000 {
		keys, page.Next = keys[:1000], keys[999]
	}
	if b.endless {
		page.Next = "more"
	}
	for _, key := range keys {
		page.Objects = append(page.Objects, ufs.Object{Key: key, Size: b.objects[key]})
	}
	return page, b.fail
}

func (b *bucket) Stat(_ context.Context, key string) (ufs.Object, error) {
	size, ok := b.objects[key]
	if !ok {
		return ufs.Object{}, fmt.Errorf("HEAD %s: %w", key, ufs.ErrNotFound)
	}
	return ufs.Object{Key: key, Size: size}, nil
}

func (b *bucket) Put(_ context.Context, key string, body io.Reader, size int64, _ map[string]string, c ufs.Conditions) (ufs.Object, error) {
	if b.unconditional && c.IfNoneMatch {
		_, _ = io.CopyN(io.Discard, body, 1)
		return ufs.Object{}, ufs.ErrUnsupported
	}
	if _, exists := b.objects[key]; exists && c.IfNoneMatch {
		return ufs.Object{}, ufs.ErrPrecondition
	}
	if n, err := io.Copy(io.Discard, body); err != nil || n != size {
		return ufs.Object{}, fmt.Errorf("%d bytes, %w", n, err)
	}
	b.objects[key] = size
	return ufs.Object{Key: key, Size: size}, nil
}

func (b *bucket) Delete(_ context.Context, key string, _ ufs.Conditions) error {
	delete(b.objects, key)
	return b.fail
}

const cluster = "b7d331951e2aec118cf7472923dc6d83"

var start = time.Date(2026, 11, 30, 20, 0, 48, 0, time.UTC)

func name(index uint64, at time.Time) string {
	return Name{ClusterID: cluster, Index: index, Time: at}.String()
}

func archiveOf(b *bucket) *Archive {
	return &Archive{Store: b, Prefix: "backup/masters", ClusterID: cluster}
}

func (b *bucket) names() []string {
	var all []string
	for key := range b.objects {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}

// save saves a file of 9 bytes.
func save(t *testing.T, a *Archive, index uint64, at time.Time) Object {
	t.Helper()
	o, err := a.Save(t.Context(), snapshot.Header{ClusterID: cluster, Index: index, Time: at}, strings.NewReader("nine byte"), 9)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// Objects are stored once, the oldest beyond the number are deleted, and the newest is
// found.
func TestArchive(t *testing.T) {
	for _, unconditional := range []bool{false, true} {
		b := &bucket{objects: map[string]int64{}, unconditional: unconditional}
		a := archiveOf(b)
		if latest, err := a.Latest(t.Context(), start); err != nil || latest != nil {
			t.Fatalf("%v, %v", latest, err)
		}
		var last Object
		for i := range 5 {
			last = save(t, a, 1<<40+uint64(i), start.Add(time.Duration(i)*time.Hour))
			if deleted, err := a.Retain(t.Context(), last, 3); err != nil || deleted != max(0, min(1, i-2)) {
				t.Errorf("after %d: %d deleted, %v", i, deleted, err)
			}
		}
		if again := save(t, a, 1<<40+4, start.Add(4*time.Hour)); again != last {
			t.Errorf("%v, then %v", last, again)
		}
		if got := b.names(); len(got) != 3 || got[2] != last.Key || last.Key != "backup/masters/"+cluster+"-0000010000000004-20261201T000048Z.jindosnapshot" {
			t.Errorf("objects %q, last %q", got, last.Key)
		}
		if latest, err := a.Latest(t.Context(), start.Add(5*time.Hour)); err != nil || *latest != last {
			t.Errorf("%v, %v, want %v", latest, err, last)
		}
		b.objects[last.Key] = 10
		if _, err := a.Save(t.Context(), snapshot.Header{ClusterID: cluster, Index: last.Index, Time: last.Time}, strings.NewReader("nine byte"), 9); !errors.Is(err, ufs.ErrPrecondition) {
			t.Errorf("a foreign object of the same name: %v", err)
		}
	}
}

// What other users of the bucket write is neither counted nor deleted, nor found.
func TestForeignObjects(t *testing.T) {
	b := &bucket{objects: map[string]int64{}}
	a := archiveOf(b)
	saved := save(t, a, 100, start)
	foreign := []string{
		"data.parquet", "backup/masters", "backup/masters/", "backup/other/" + name(5, start), "backup/masters/deep/" + name(5, start),
		"backup/mastersX/" + name(5, start), "backup/masters/" + cluster + "-/" + name(5, start),
		"backup/masters/" + strings.ToUpper(name(0xabc, start)), "backup/masters/" + name(5, start) + "~", "backup/masters/ " + name(5, start),
		"backup/masters/" + strings.Replace(name(5, start), cluster, cluster+"-1", 1),
		"backup/masters/" + strings.Replace(name(5, start), cluster, cluster[:31], 1),
		"backup/masters/" + strings.Replace(name(5, start), "20261130", "20261131", 1),
		"backup/masters/" + strings.Replace(name(5, start), "0000000000000005", "+000000000000005", 1),
		"backup/masters/" + strings.Replace(name(0xabc, start), "abc", "ABC", 1),
		"backup/masters/" + strings.Replace(name(5, start), ".jindosnapshot", ".jindosnapshoT", 1),
		"backup/masters/" + cluster + "-", "backup/masters/" + cluster, "backup/masters/" + cluster + "-\x00\xff.jindosnapshot",
	}
	for _, key := range foreign {
		b.objects[key] = 7
	}
	empty, huge := "backup/masters/"+name(6, start), "backup/masters/"+name(7, start)
	b.objects[empty], b.objects[huge] = 0, snapshot.MaxSize+1
	// Newer than what was saved: not of this leader.
	newer := "backup/masters/" + name(1<<63, start.Add(time.Hour))
	b.objects[newer] = 7
	if latest, err := a.Latest(t.Context(), start); err != nil || latest.Key != saved.Key {
		t.Errorf("the newest is %v, %v", latest, err)
	}
	if deleted, err := a.Retain(t.Context(), saved, 1); err != nil || deleted != 0 || len(b.objects) != len(foreign)+4 {
		t.Errorf("%d deleted, %v: %q", deleted, err, b.names())
	}
	// An object that is dated in the future suppresses nothing.
	for key := range b.objects {
		if key != newer {
			delete(b.objects, key)
		}
	}
	if latest, err := a.Latest(t.Context(), start); err != nil || latest != nil {
		t.Errorf("the newest is %v, %v", latest, err)
	}
}

// A listing that does not end, or that has very many objects, is bounded, and only the
// oldest objects are deleted.
func TestHugeListings(t *testing.T) {
	b := &bucket{objects: map[string]int64{}, endless: true}
	a := archiveOf(b)
	if _, err := a.Latest(t.Context(), start); err != nil || b.lists != maxPages {
		t.Errorf("%d pages, %v", b.lists, err)
	}
	b.endless = false
	const many = maxPages*1000 + 500
	for i := range many {
		b.objects["backup/masters/"+name(uint64(i), start)] = 7
	}
	saved := save(t, a, many, start)
	deleted, err := a.Retain(t.Context(), saved, 3)
	if err != nil || deleted != maxDeletes || len(b.objects) != many+1-maxDeletes {
		t.Errorf("%d deleted, %v", deleted, err)
	}
	if _, exists := b.objects["backup/masters/"+name(maxDeletes, start)]; !exists {
		t.Error("a newer object was deleted")
	}
}

// Errors of the store are returned, and wrap their kind.
func TestStoreFails(t *testing.T) {
	b := &bucket{objects: map[string]int64{}, fail: ufs.ErrPermission}
	a := archiveOf(b)
	if _, err := a.Latest(t.Context(), start); !errors.Is(err, ufs.ErrPermission) {
		t.Error(err)
	}
	if _, err := a.Retain(t.Context(), Object{}, 1); !errors.Is(err, ufs.ErrPermission) {
		t.Error(err)
	}
	for _, header := range []snapshot.Header{
		{ClusterID: "other", Index: 1, Time: start}, {ClusterID: cluster, Index: 1, Time: start.AddDate(9000, 0, 0)}, {ClusterID: cluster, Index: 1, Time: start.Add(time.Millisecond)},
	} {
		if _, err := a.Save(t.Context(), header, bytes.NewReader(nil), 0); !errors.Is(err, ufs.ErrInvalid) {
			t.Errorf("%+v: %v", header, err)
		}
	}
	for _, id := range []string{"", "..", "a/b", "../x", "a\x00", strings.Repeat("a", 129)} {
		if _, err := (&Archive{Store: b, Prefix: "a", ClusterID: id}).Latest(t.Context(), start); !errors.Is(err, ufs.ErrInvalid) {
			t.Errorf("cluster id %q: %v", id, err)
		}
	}
}

// A string is a name only if it is the string of that name.
func FuzzParse(f *testing.F) {
	f.Add(cluster, name(1, start))
	f.Add("", "")
	f.Add("a", "a-00000000000000ff-20261130T200048Z.jindosnapshot")
	f.Add("a-b", "a-b-00000000000000ff-20261130T200048Z.jindosnapshot")
	f.Add("a", "a-b-00000000000000ff-20261130T200048Z.jindosnapshot")
	f.Fuzz(func(t *testing.T, id, text string) {
		n, ok := Parse(id, text)
		if !ok {
			return
		}
		if n.String() != text || n.ClusterID != id || n.check() != nil || strings.Contains(text, "/") {
			t.Errorf("%q of cluster %q is %+v", text, id, n)
		}
	})
}
