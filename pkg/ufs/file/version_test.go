package file_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// TestTagOnTwoHosts checks that a file has one tag wherever the directory is
// mounted. Two overlays of one directory have two device numbers, like two hosts
// that mount one NFS export.
func TestTagOnTwoHosts(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	lay(t, dir, "file", "x")
	lay(t, dir, "dir/file", "x")
	var tags []string
	for range 2 {
		at := t.TempDir()
		if err := unix.Mount("overlay", at, "overlay", 0, "lowerdir="+dir+":"+other); err != nil {
			t.Skipf("not run: cannot mount an overlay: %v", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
		s := open(t, at)
		stat, err := s.Stat(t.Context(), "file")
		if err != nil {
			t.Fatal(err)
		}
		page, err := s.List(t.Context(), ufs.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		tags = append(tags, fmt.Sprint(stat.ETag, page.Objects[0].ETag, page.Objects[1].ETag))
	}
	if tags[0] != tags[1] {
		t.Errorf("the files have the tags %v", tags)
	}
}

// TestTagFollowsTheBytes checks that a version changes with its bytes and with
// nothing else, and that an open body is not affected by the latter.
func TestTagFollowsTheBytes(t *testing.T) {
	dir := t.TempDir()
	path, spare := filepath.Join(dir, "file"), filepath.Join(dir, "spare")
	content := strings.Repeat("a", 1<<20)
	lay(t, dir, "file", content)
	s := open(t, dir)
	body, first, err := s.Get(t.Context(), "file", ufs.Whole, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	begin := make([]byte, 1000)
	if _, err := io.ReadFull(body, begin); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func() error{
		"hard link": func() error { return os.Link(path, spare) },
		"unlink":    func() error { return os.Remove(spare) },
		"chmod":     func() error { return os.Chmod(path, 0o600) },
		"chown":     func() error { return os.Chown(path, os.Getuid(), os.Getgid()) },
		"xattr":     func() error { _ = unix.Setxattr(path, "user.other", []byte("x"), 0); return nil },
		"rename":    func() error { return errors.Join(os.Rename(path, spare), os.Rename(spare, path)) },
	} {
		if err := change(); err != nil && name != "unlink" {
			t.Fatalf("%s: %v", name, err)
		}
		if now, err := s.Stat(t.Context(), "file"); err != nil || now.ETag != first.ETag {
			t.Errorf("after %s the tag is %s, was %s, %v", name, now.ETag, first.ETag, err)
		}
	}
	if rest, err := io.ReadAll(body); err != nil || len(rest) != len(content)-len(begin) {
		t.Errorf("the open body: %d bytes, %v", len(rest), err)
	}
	seen := map[string]bool{first.ETag: true}
	for name, change := range map[string]func(){
		"written in place": func() { time.Sleep(20 * time.Millisecond); lay(t, dir, "file", strings.Repeat("b", 1<<20)) },
		"appended":         func() { lay(t, dir, "file", strings.Repeat("b", 1<<20+1)) },
		"replaced, with the time of the old file": func() {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			lay(t, dir, "next", strings.Repeat("c", int(info.Size())))
			if err := errors.Join(os.Chtimes(filepath.Join(dir, "next"), info.ModTime(), info.ModTime()), os.Rename(filepath.Join(dir, "next"), path)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		change()
		now, err := s.Stat(t.Context(), "file")
		if err != nil || seen[now.ETag] {
			t.Errorf("%s: the tag %s was seen before, %v", name, now.ETag, err)
		}
		seen[now.ETag] = true
	}
}

// TestSecondWriteInATick checks that bytes of a file are not read while another
// write could give it other bytes of the same tag.
func TestSecondWriteInATick(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	path := filepath.Join(dir, "file")
	write := func(content string, when time.Time) {
		lay(t, dir, "file", content)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Error(err)
		}
	}
	for range 100 {
		when := time.Now()
		write("first", when)
		got := make(chan string, 1)
		go func() {
			content, _ := read(s, "file")
			got <- content
		}()
		time.Sleep(time.Millisecond)
		write("other", when) // the time of the same tick
		inTime := time.Since(when) < 10*time.Millisecond
		if content := <-got; inTime {
			if content != "other" {
				t.Errorf("read %q, and later %q with the same tag", content, "other")
			}
			return
		}
	}
	t.Skip("not run: this machine does not write twice within a tick")
}

// TestPutsHaveTheirOwnTag checks that versions of equal size put in quick
// succession have different tags, although inodes are used again.
func TestPutsHaveTheirOwnTag(t *testing.T) {
	s := open(t, t.TempDir())
	seen := map[string]bool{}
	for i := range 50 {
		tag := put(t, s, "key", fmt.Sprintf("%02d", i)).ETag
		if seen[tag] {
			t.Fatalf("put %d has the tag %s of another", i, tag)
		}
		seen[tag] = true
	}
}
