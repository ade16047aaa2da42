//go:build linux

package fusefs

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// stale returns a stale node of the name /f.
func stale(id uint64) node { return node{id: id, path: "/f", stale: true} }

func TestOpensAreRefusedWhileTheNameIsLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRenewals(renewalWait)
		if !r.refuse(t.Context(), stale(1), false) {
			t.Fatal("the first open was not refused")
		}
		results := make(chan bool, 3)
		for range cap(results) {
			go func() {
				results <- r.refuse(t.Context(), stale(1), true)
				r.looked("/f")
			}()
		}
		synctest.Wait()
		if len(results) != 0 {
			t.Fatal("an open did not wait for the lookup of the name")
		}
		r.looked("/f")
		for range cap(results) {
			if !<-results {
				t.Error("an open beside others was not refused")
			}
		}
	})
}

// TestOpensWithoutAName opens a node whose name is not looked up after a refused open.
func TestOpensWithoutAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRenewals(renewalWait)
		if !r.refuse(t.Context(), stale(1), false) {
			t.Fatal("the first open was not refused")
		}
		for i := range 3 {
			began := time.Now()
			if r.refuse(t.Context(), stale(1), true) {
				t.Fatalf("open %d was refused", i)
			}
			if waited := time.Since(began); i > 0 && waited != 0 {
				t.Errorf("open %d waited %v", i, waited)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if !r.refuse(ctx, node{id: 9, path: "/g", stale: true}, false) || r.refuse(ctx, node{id: 9, path: "/g", stale: true}, true) {
			t.Error("an interrupted open must not wait for a lookup")
		}
	})
}

// TestOpensAfterATakeover opens nodes of which the predecessor has refused an open.
func TestOpensAfterATakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRenewals(renewalWait)
		r.began("/f", 1)
		if r.refuse(t.Context(), stale(1), true) {
			t.Error("an open without a name was refused twice")
		}
		r = newRenewals(renewalWait)
		r.began("/f", 1)
		refused := make(chan bool)
		go func() { refused <- r.refuse(t.Context(), stale(1), true) }()
		synctest.Wait()
		r.looked("/f")
		if !<-refused {
			t.Error("an open beside one that looked up the name was not refused")
		}
	})
}

func TestTheNextNodeIsNotRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRenewals(renewalWait)
		if !r.refuse(t.Context(), stale(1), false) || !r.recent("/f") {
			t.Fatal("the first open was not refused")
		}
		r.looked("/f")
		if r.refuse(t.Context(), stale(2), false) {
			t.Error("the open of the node that took the place of a stale one was refused")
		}
		time.Sleep(renewalTime)
		if r.recent("/f") || !r.refuse(t.Context(), stale(3), false) {
			t.Error("a later open was not refused")
		}
	})
}

func TestRenewalsAreBounded(t *testing.T) {
	r := newRenewals(0)
	for i := range uint64(3 * maxRenewals) {
		n := node{id: i + 1, path: string(rune('a'+i%26)) + time.Duration(i).String(), stale: true}
		r.began(n.path, n.id)
		r.refuse(t.Context(), n, false)
		r.refuse(t.Context(), n, true)
	}
	if len(r.names) > maxRenewals || len(r.unnamed) > maxRenewals {
		t.Errorf("%d names and %d nodes", len(r.names), len(r.unnamed))
	}
}

// TestRevokedWhileOpened revokes a file between the requests that the kernel sends for
// one open of another reader. That open must not fail.
func TestRevokedWhileOpened(t *testing.T) {
	h, source := newPassthroughMount(t, nil)
	v := source.put("m", "f", "one", passthroughSize)
	source.seal(t, v)
	s, _ := h.start(t, source, nil)
	needsPassthrough(t, s)
	// All of it happens within renewalTime, however busy the machine is.
	now := time.Now()
	s.files.renewals.mu.Lock()
	s.files.renewals.clock = func() time.Time { return now }
	s.files.renewals.mu.Unlock()
	openFD(t, h.point+"/data/f")
	old := nodeOf(t, s, "/data/f")
	revoke := func() { source.end(true) }
	revoke()
	eventually(t, "the node is stale", func() bool { n, _ := s.files.table.node(old); return n.stale })
	unique := uint64(1 << 40)
	open := func(node uint64) (fuse.OpenOut, fuse.Status) {
		unique++
		var out fuse.OpenOut
		code := s.files.Open(nil, &fuse.OpenIn{InHeader: fuse.InHeader{NodeId: node, Unique: unique}}, &out)
		s.files.table.replied(unique)
		return out, code
	}
	if _, code := open(old); code != estale {
		t.Fatalf("the open of a stale node returned %v", code)
	}
	unique++
	var entry fuse.EntryOut
	code := s.files.Lookup(nil, &fuse.InHeader{NodeId: nodeOf(t, s, "/data"), Unique: unique}, "f", &entry)
	s.files.table.replied(unique)
	if code != fuse.OK || entry.NodeId == old {
		t.Fatalf("a lookup returned node %d, %v", entry.NodeId, code)
	}
	if out, code := open(entry.NodeId); code != fuse.OK || out.OpenFlags&(fuse.FOPEN_PASSTHROUGH|fuse.FOPEN_DIRECT_IO) != 0 {
		t.Errorf("another reader's open returned %v with flags %#x", code, out.OpenFlags)
	}
	revoke()
	if _, code := open(entry.NodeId); code != fuse.OK {
		t.Errorf("the open returned %v", code)
	}
	s.files.table.markStale(entry.NodeId)
	if out, code := open(entry.NodeId); code != fuse.OK || out.OpenFlags&fuse.FOPEN_DIRECT_IO == 0 {
		t.Errorf("the open of a node replaced since returned %v with flags %#x", code, out.OpenFlags)
	}
}

// TestRevokedBetweenOpens revokes a file that no handle uses. Its node stays.
func TestRevokedBetweenOpens(t *testing.T) {
	h, source := newPassthroughMount(t, nil)
	v := source.put("m", "f", "one", passthroughSize)
	source.seal(t, v)
	s, _ := h.start(t, source, nil)
	needsPassthrough(t, s)
	fd, closeFD := openUntil(t, h.point+"/data/f")
	checkWhole(t, fd, v)
	old := nodeOf(t, s, "/data/f")
	closeFD()
	eventually(t, "the handle is released", func() bool { n, _ := s.files.table.node(old); return n.opens == 0 })
	source.end(true)
	eventually(t, "the registration has ended", func() bool { return s.files.passthrough.count() == 0 })
	checkWhole(t, openFD(t, h.point+"/data/f"), v)
	if n, _ := s.files.table.node(old); n.stale || n.id != nodeOf(t, s, "/data/f") {
		t.Errorf("the node became stale: %+v", n)
	}
}
