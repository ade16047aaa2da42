package fdpass

import (
	"testing"
	"time"
)

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// TestRevokedFile checks that the borrower of a revoked file is notified, once, and
// that other files are not affected.
func TestRevokedFile(t *testing.T) {
	s, path, _ := start(t)
	client := connect(t, path)
	key := Key{"m", "a", "e", 5}
	first, err := client.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the loan can be revoked", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.revoked) == 1 })
	s.revokeAll()
	select {
	case <-first.Revoked():
	case <-time.After(time.Minute):
		t.Fatal("the borrower was not notified")
	}
	second, err := client.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if isClosed(second.Revoked()) || isClosed(first.Lost()) {
		t.Error("another file is revoked, or the connection was lost")
	}
	for _, f := range []*File{first, second} {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "the files are returned", func() bool { return s.lent() == 0 })
	s.revokeAll() // of a file that was returned
	if _, err := client.Open(t.Context(), key); err != nil {
		t.Errorf("after a late revocation: %v", err)
	}
}

// TestLostFile checks that borrowers are notified when the worker ends.
func TestLostFile(t *testing.T) {
	_, path, stop := start(t)
	client := connect(t, path)
	f, err := client.Open(t.Context(), Key{"m", "a", "e", 5})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	select {
	case <-f.Lost():
	case <-time.After(time.Minute):
		t.Fatal("the borrower was not notified")
	}
	if isClosed(f.Revoked()) {
		t.Error("the file is revoked")
	}
	if _, err := f.ReadAt(make([]byte, 5), 0); err != nil {
		t.Errorf("read afterwards: %v", err)
	}
}

// TestUseIsReported checks that opens and bytes reach the worker, at the latest when
// the file is closed.
func TestUseIsReported(t *testing.T) {
	s, path, _ := start(t)
	client := connect(t, path)
	f, err := client.Open(t.Context(), Key{"m", "a", "e", 5})
	if err != nil {
		t.Fatal(err)
	}
	for range 7 {
		f.Used()
	}
	for range 3 {
		if _, err := f.ReadAt(make([]byte, 5), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the file is returned", func() bool { return s.lent() == 0 })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opens != 7 || s.bytes != 15 {
		t.Errorf("%d opens and %d bytes are reported, want 7 and 15", s.opens, s.bytes)
	}
}

// TestReadersDoNotWaitForReports checks that reads and opens continue while the
// worker does not read what is sent to it: a send then holds the lock of the session.
func TestReadersDoNotWaitForReports(t *testing.T) {
	_, path, _ := start(t)
	client := connect(t, path)
	f, err := client.Open(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.session.mu.Lock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 100 {
			f.countBytes(reportBytes)
			f.reported.Store(0)
			f.Used()
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("a reader waits for a report")
	}
	f.session.mu.Unlock()
	<-done
}
