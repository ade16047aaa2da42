package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/fdpass"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// TestSealedFilesArePassed checks that a file is lent over the worker's socket.
func TestSealedFilesArePassed(t *testing.T) {
	dir := socketDir(t)
	h := newHarness(t, func(h *harness) { h.config.SocketDir = dir }).ready()
	key := h.bucket.put("a", 1, 300_000)
	client := fdpass.NewClient(fdpass.SocketPath(dir, workerName), h.identity(mtls.Fuse, "client"), workerName)
	defer client.Close()
	h.mustGet(h.client(mtls.Fuse, false), key, 0, 299_999)
	var file *fdpass.File
	eventually(t, "the file is sealed", func() bool {
		var err error
		file, err = client.Open(t.Context(), fdpass.Key{Mount: key.Mount, Key: key.Key, ETag: key.ETag, Size: key.Size})
		return err == nil
	})
	got := make([]byte, 300_000)
	if _, err := file.ReadAt(got, 0); err != nil || string(got) != string(h.bucket.get("a")) {
		t.Errorf("reading a passed file: %v", err)
	}
	if h.blocks.Stats().Lent != 1 {
		t.Errorf("%d files are lent", h.blocks.Stats().Lent)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "the file is returned", func() bool { return h.blocks.Stats().Lent == 0 })
}

// TestSealedFilesOfACertificate checks that a peer is lent the sealed files of those
// mounts only that its certificate names.
func TestSealedFilesOfACertificate(t *testing.T) {
	dir := socketDir(t)
	h := newHarness(t, func(h *harness) {
		h.config.SocketDir = dir
		h.masters.view.Mounts = append(h.masters.view.Mounts, &commonv1.Mount{Id: "m2", Name: "second", Path: "/second", Uri: "oss://other/"})
	}).ready()
	first := h.bucket.put("a", 1, 300_000)
	for _, mount := range []string{"m1", "m2"} {
		key := first
		key.Mount = mount
		h.mustGet(h.client(mtls.Fuse, false), key, 0, 299_999)
	}
	eventually(t, "both files are sealed", func() bool { return h.blocks.Stats().Tiers[0].Sealed == 2 })
	open := func(key fdpass.Key, grants ...mtls.Grant) error {
		t.Helper()
		pair, err := h.authority.Issue(mtls.Peer{Role: mtls.Fuse, Name: "f"}, nil, time.Hour, grants...)
		if err != nil {
			t.Fatal(err)
		}
		identity, err := mtls.NewIdentity(pair)
		if err != nil {
			t.Fatal(err)
		}
		client := fdpass.NewClient(fdpass.SocketPath(dir, workerName), identity, workerName)
		defer client.Close()
		file, err := client.Open(t.Context(), key)
		if err == nil {
			defer file.Close()
		}
		return err
	}
	loan := func(mount string) fdpass.Key {
		return fdpass.Key{Mount: mount, Key: first.Key, ETag: first.ETag, Size: first.Size}
	}
	absent := loan("m2")
	absent.Key = "not cached"
	for name, test := range map[string]struct {
		key    fdpass.Key
		grants []mtls.Grant
		want   string // part of the error; "" for none
	}{
		"its mount":                   {loan("m1"), []mtls.Grant{{Path: "/hadoop"}}, ""},
		"its other mount":             {loan("m2"), []mtls.Grant{{Path: "/hadoop"}, {Path: "/second"}}, ""},
		"all mounts":                  {loan("m2"), []mtls.Grant{{Path: "/"}}, ""},
		"an earlier certificate":      {loan("m2"), nil, ""},
		"another mount":               {loan("m2"), []mtls.Grant{{Path: "/hadoop"}}, `does not name mount "m2"`},
		"the other way round":         {loan("m1"), []mtls.Grant{{Path: "/second"}}, `does not name mount "m1"`},
		"what is not cached":          {absent, []mtls.Grant{{Path: "/hadoop"}}, `does not name mount "m2"`},
		"a mount that does not exist": {loan("m3"), []mtls.Grant{{Path: "/"}}, `mount "m3" is unknown`},
	} {
		t.Run(name, func(t *testing.T) {
			err := open(test.key, test.grants...)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want %q", err, test.want)
			}
		})
	}
	// The bytes of a mount that was removed are still cached.
	next := oneMount()
	next.Mounts, next.Index = nil, 100
	if err := h.worker.views.offer(next); err != nil {
		t.Fatal(err)
	}
	if err := open(loan("m1"), mtls.Grant{Path: "/"}); err == nil || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("a removed mount: %v", err)
	}
}

// TestIdleFilesMakeRoom checks that files that a peer has borrowed and does not use keep
// no room from others, and that the one it uses stays.
func TestIdleFilesMakeRoom(t *testing.T) {
	dir := socketDir(t)
	h := newHarness(t, func(h *harness) { h.config.SocketDir, h.quota = dir, 4<<20 }).ready()
	client := fdpass.NewClient(fdpass.SocketPath(dir, workerName), h.identity(mtls.Fuse, "client"), workerName)
	defer client.Close()
	reader := h.client(mtls.Fuse, false)
	borrow := func(name string) *fdpass.File {
		key := h.bucket.put(name, 1, 300_000)
		var file *fdpass.File
		eventually(t, "the file is sealed", func() bool {
			// A peer that a busy machine delays returns its files too late: until some time
			// after that, nothing new is cached.
			h.mustGet(reader, key, 0, 299_999)
			var err error
			file, err = client.Open(t.Context(), fdpass.Key{Mount: key.Mount, Key: key.Key, ETag: key.ETag, Size: key.Size})
			return err == nil
		})
		return file
	}
	used := borrow("used")
	used.OnWanted(func() { used.SetIdle(false) })
	used.SetIdle(true)
	// Three times as many as there is room for.
	for i := range 40 {
		file := borrow(fmt.Sprint("idle", i))
		file.OnWanted(func() {
			if err := file.Close(); err != nil {
				t.Error(err)
			}
		})
		file.SetIdle(true)
	}
	stats := h.blocks.Stats()
	if stats.Recalled == 0 || stats.Tiers[0].Used > 4<<20 {
		t.Errorf("%d files were recalled, %d bytes are charged", stats.Recalled, stats.Tiers[0].Used)
	}
	got := make([]byte, 300_000)
	if _, err := used.ReadAt(got, 0); err != nil || string(got) != string(h.bucket.get("used")) {
		t.Errorf("reading the file in use: %v", err)
	}
}
