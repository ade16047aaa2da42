//go:build linux

package fusefs

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// instantSource is a source whose files have bytes in memory: those of versions
// "own" in their own memory, those of versions "copied" in the caller's. Versions
// "broken" panic, and others have none.
type instantSource struct {
	*fakeSource
	served atomic.Int64
}

func (s *instantSource) Open(ctx context.Context, v reader.Version) (File, error) {
	file, err := s.fakeSource.Open(ctx, v)
	if err != nil {
		return nil, err
	}
	return &instantFile{fakeFile: file.(*fakeFile), source: s}, nil
}

type instantFile struct {
	*fakeFile
	source *instantSource
}

func (f *instantFile) ReadNow(p []byte, off int64) (reader.Lent, bool) {
	switch f.version.ETag {
	case "own":
		own := make([]byte, len(p))
		_, _ = f.ReadAt(context.Background(), own, off)
		p = own
	case "copied":
		_, _ = f.ReadAt(context.Background(), p, off)
	case "broken":
		panic("broken")
	default:
		return reader.Lent{}, false
	}
	f.source.served.Add(1)
	return reader.Lent{Bytes: p}, true
}

// TestInstantReads checks the bytes of reads that are served without waiting, and
// that one that panics fails and stops no others.
func TestInstantReads(t *testing.T) {
	source := &instantSource{fakeSource: newFakeSource(reader.Mount{ID: "m", Path: "/"})}
	const size = 1<<20 + 5
	for _, etag := range []string{"own", "copied", "broken", "absent"} {
		source.put("m", etag, etag, size)
	}
	point, _ := mounted(t, source, nil)
	for _, flags := range []int{0, unix.O_DIRECT} {
		for _, etag := range []string{"own", "copied", "absent"} {
			for _, length := range []int{4096, 64 << 10, 1 << 20} {
				before := source.served.Load()
				got, err := readAt(point, etag, 4096, length, flags)
				if want := min(length, size-4096); err != nil || len(got) != want || wrong(got, etag, 4096) >= 0 {
					t.Errorf("%d bytes of %q: got %d bytes, error %v", length, etag, len(got), err)
				}
				if instant := source.served.Load() > before; instant != (etag != "absent") {
					t.Errorf("%d bytes of %q: served without waiting: %t", length, etag, instant)
				}
			}
		}
		if _, err := readAt(point, "broken", 0, 4096, flags); !errors.Is(err, syscall.EIO) {
			t.Errorf("a read that panics: error %v, want EIO", err)
		}
	}
}
