package fdpass

import (
	"testing"
)

// idle returns the number of files that are lent and idle.
func (s *shelf) idle() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.books {
		if b.idle && !b.returned {
			n++
		}
	}
	return n
}

// recallAll recalls all files.
func (s *shelf) recallAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.books {
		b.recalled()
	}
}

// TestRecall recalls all files of a client, and expects that those that are idle are returned, and that the others are reported as used.
func TestRecall(t *testing.T) {
	s, path, _ := start(t)
	client := connect(t, path)
	const count, used = 300, 3
	var files []*File
	for range count {
		f, err := client.Open(t.Context(), good)
		if err != nil {
			t.Fatal(err)
		}
		if !f.CanBeIdle() {
			t.Fatal("the file cannot be recalled")
		}
		f.CountOpen()
		files = append(files, f)
	}
	for i, f := range files {
		f.OnWanted(func() {
			if i < used {
				f.SetIdle(false)
			} else if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
		f.SetIdle(true)
	}
	eventually(t, "all are idle", func() bool { return s.idle() == count })
	s.recallAll()
	eventually(t, "all idle ones are returned", func() bool { return s.lent() == used && s.idle() == 0 })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opens != count {
		t.Errorf("%d opens are reported, want %d", s.opens, count)
	}
}

// TestWantedFiles checks that the owner of a file is notified when it is revoked and
// when the worker ends, also if that was before the owner asked for it.
func TestWantedFiles(t *testing.T) {
	s, path, stop := start(t)
	client := connect(t, path)
	wanted := make(chan int, 10)
	open := func(i int) *File {
		f, err := client.Open(t.Context(), good)
		if err != nil {
			t.Fatal(err)
		}
		f.OnWanted(func() { wanted <- i })
		return f
	}
	f := open(1)
	eventually(t, "the loan can be revoked", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.revoked) == 1 })
	s.revokeAll()
	if i := <-wanted; i != 1 {
		t.Errorf("file %d is required", i)
	}
	f.OnWanted(func() { wanted <- 2 })
	if i := <-wanted; i != 2 {
		t.Errorf("file %d is required", i)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	f = open(3)
	stop()
	if i := <-wanted; i != 3 {
		t.Errorf("file %d is required", i)
	}
	f.OnWanted(func() { wanted <- 4 })
	if i := <-wanted; i != 4 {
		t.Errorf("file %d is required", i)
	}
}

// TestEarlierPeers checks that a client that does not process recalls gets none of its
// features, and what a client sends to a server without them.
func TestEarlierPeers(t *testing.T) {
	s, path, _ := start(t)
	conn := dial(t, path)
	if err := send(conn, message{kind: kindOpen, id: 1, key: good}, -1); err != nil {
		t.Fatal(err)
	}
	m, file, err := receive(conn, make([]byte, maxMessage+1))
	if err != nil || m.text != featureUsed {
		t.Fatalf("%+v, error %v", m, err)
	}
	_ = file.Close()
	_ = conn.Close()
	eventually(t, "the file is returned", func() bool { return s.lent() == 0 })
	f := &File{reports: true, session: &session{wake: make(chan struct{}, 1)}}
	if f.CanBeIdle() {
		t.Error("the file of an earlier server can be idle")
	}
	if f.SetIdle(true); len(f.session.pending.reports) != 0 {
		t.Error("it is reported")
	}
}
