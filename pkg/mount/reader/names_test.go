package reader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/cache/client/fakeworker"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

func (s *memoryStore) List(_ context.Context, o ufs.ListOptions) (ufs.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return ufs.Page{}, s.fail
	}
	var page ufs.Page
	for _, key := range s.bucket.Keys() {
		rest, ok := strings.CutPrefix(key, o.Prefix)
		if !ok || key <= o.StartAfter {
			continue
		}
		if head, _, deeper := strings.Cut(rest, "/"); deeper && o.Delimiter == "/" {
			page.Prefixes = append(page.Prefixes, o.Prefix+head+"/")
		} else {
			data, _ := s.bucket.Get(key)
			page.Objects = append(page.Objects, ufs.Object{Key: key, Size: int64(len(data.Data)), ETag: data.ETag})
		}
	}
	page.Prefixes = slices.Compact(page.Prefixes)
	return page, nil
}

func (f *fixture) list(dir string) []string {
	f.Helper()
	var names []string
	last := ""
	for {
		page, err := f.reader.List(f.Context(), fakeworker.MountID, dir, last)
		if err != nil {
			f.Fatal(err)
		}
		for _, e := range page.Entries {
			last = e.Name
			if e.Dir {
				names = append(names, e.Name+"/")
			} else {
				names = append(names, e.Name)
			}
		}
		if !page.More {
			return names
		}
	}
}

// TestNames checks names from the workers, and from the store when all workers
// are down.
func TestNames(t *testing.T) {
	for _, down := range []bool{false, true} {
		t.Run(fmt.Sprintf("workers down %v", down), func(t *testing.T) {
			store := &memoryStore{}
			f := newFixture(t, 2, func(c *Config) { c.OpenStore = store.opener })
			store.bucket = f.cluster.Bucket
			want := []string{"sub/"}
			for i := range 8 {
				f.put(fmt.Sprintf("dir/x%d", i), []byte("x"))
				want = append(want, fmt.Sprintf("x%d", i))
			}
			deep := f.put("dir/sub/deep", []byte("deep"))
			if down {
				f.cluster.Workers[0].Stop()
				f.cluster.Workers[1].Stop()
			}
			if got := f.list("dir"); !slices.Equal(got, want) {
				t.Errorf("got names %q, want %q", got, want)
			}
			e, err := f.reader.Lookup(t.Context(), fakeworker.MountID, "dir/sub", "deep")
			if err != nil || e.Dir || e.Name != "deep" || e.Version != deep {
				t.Errorf("lookup of a file: got %+v, error %v", e, err)
			}
			e, err = f.reader.Lookup(t.Context(), fakeworker.MountID, "dir", "sub")
			if err != nil || !e.Dir || e.Version != (Version{}) {
				t.Errorf("lookup of a directory: got %+v, error %v", e, err)
			}
			if _, err = f.reader.Lookup(t.Context(), fakeworker.MountID, "dir", "nothing"); !errors.Is(err, ErrNotExist) {
				t.Errorf("lookup of an absent name: got error %v, want ErrNotExist", err)
			}
		})
	}
}

func TestNamesFailWithoutWorkers(t *testing.T) {
	for _, test := range []struct {
		name    string
		fail    error
		timeout time.Duration
		want    error
	}{
		{"unavailable until the timeout", status.Error(codes.Unavailable, "the store is down"), time.Second, errTimeout},
		{"refused", status.Error(codes.PermissionDenied, "oss:ListObjects is missing"), time.Minute, ErrPermission},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, 2, func(c *Config) { c.ReadTimeout = test.timeout })
			for _, w := range f.cluster.Workers {
				w.FailNames(func(context.Context) error { return test.fail })
			}
			_, err := f.reader.Lookup(t.Context(), fakeworker.MountID, "dir", "x")
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), status.Convert(test.fail).Message()) {
				t.Errorf("lookup: got error %v, want %v", err, test.want)
			}
			if _, err := f.reader.List(t.Context(), fakeworker.MountID, "dir", ""); !errors.Is(err, test.want) {
				t.Errorf("list: got error %v, want %v", err, test.want)
			}
		})
	}
}

func TestNamesAreRetried(t *testing.T) {
	f := newFixture(t, 1)
	f.put("dir/x", []byte("x"))
	var requests atomic.Int64
	f.cluster.Workers[0].FailNames(func(context.Context) error {
		if requests.Add(1) < 4 {
			return status.Error(codes.Unavailable, "unavailable for three requests")
		}
		return nil
	})
	if _, err := f.reader.Lookup(t.Context(), fakeworker.MountID, "dir", "x"); err != nil {
		t.Error(err)
	}
}

func TestForgetReachesTheOwner(t *testing.T) {
	f := newFixture(t, 3)
	v := f.put("dir/x", []byte("x"))
	f.reader.Forget(t.Context(), v)
	f.reader.Forget(t.Context(), f.put("top", []byte("x")))
	notified := 0
	for _, w := range f.cluster.Workers {
		if w.Forgot("dir", "x") {
			notified++
		}
		if w.Forgot("", "top") {
			notified++
		}
	}
	if notified != 2 {
		t.Errorf("%d names were dropped by workers, want 2", notified)
	}
}

func TestMounts(t *testing.T) {
	f := newFixture(t, 1)
	want := []Mount{{ID: fakeworker.MountID, Path: "/hadoop", Epoch: 1, ReadOnly: true}}
	if got := f.reader.Mounts(); !slices.Equal(got, want) {
		t.Errorf("got mounts %+v, want %+v", got, want)
	}
	<-f.reader.Changes()
	v := f.cluster.NewView(2)
	v.Mounts = []*commonv1.Mount{{Id: "m2", Path: "/z"}, {Id: "m3", Path: "/a", Epoch: 4}}
	f.cluster.SetView(v)
	select {
	case <-f.reader.Changes():
	case <-time.After(30 * time.Second):
		t.Fatal("no token in Changes after the view changed")
	}
	want = []Mount{{ID: "m3", Path: "/a", Epoch: 4}, {ID: "m2", Path: "/z"}}
	if got := f.reader.Mounts(); !slices.Equal(got, want) {
		t.Errorf("got mounts %+v, want %+v", got, want)
	}
	if _, err := f.reader.Lookup(t.Context(), "removed", "", "x"); !errors.Is(err, ErrNotExist) {
		t.Errorf("lookup in a removed mount: got error %v, want ErrNotExist", err)
	}
	file := f.open(Version{Mount: "removed", Key: "k", ETag: "e", Size: 10})
	f.cluster.Workers[0].FailAlways(fakeworker.Fault{Status: 404, Code: "unknown_mount"})
	if _, err := file.ReadAt(t.Context(), make([]byte, 10), 0); err == nil || !strings.Contains(err.Error(), "the mount does not exist any more") {
		t.Errorf("read of a file of a removed mount: got error %v", err)
	}
}
