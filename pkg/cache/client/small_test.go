package client

import (
	"fmt"
	"testing"
	"time"
)

// TestTakenObjectsAreNotKept checks that the memory of objects fetched ahead is
// bounded although an object that is never read stays in front of them.
func TestTakenObjectsAreNotKept(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newSmall(&Client{config: Config{Clock: func() time.Time { return now }}})
	object := func(i int) Object {
		return Object{Mount: "m", Key: fmt.Sprintf("d%d/f", i), ETag: "e", Size: 100}
	}
	fetch := func(i int) *ahead {
		s.mu.Lock()
		defer s.mu.Unlock()
		wanted := s.reserve([]Object{object(i)})
		if len(wanted) != 1 {
			t.Fatalf("object %d was not reserved", i)
		}
		return wanted[0]
	}
	s.deliver(fetch(0), make([]byte, 100)) // never read
	for i := 1; i <= 1000; i++ {
		a := fetch(i)
		if i%2 == 0 { // The read does not wait for it.
			if _, ok := s.take(t.Context(), object(i), 0); ok {
				t.Fatalf("object %d was taken before it was fetched", i)
			}
			s.deliver(a, make([]byte, 100))
			continue
		}
		s.deliver(a, make([]byte, 100))
		if data, ok := s.take(t.Context(), object(i), time.Minute); !ok || len(data) != 100 {
			t.Fatalf("object %d has %d bytes", i, len(data))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := 0
	for _, a := range s.order {
		kept += len(a.data)
	}
	if kept != 100 || s.bytes != 100 || len(s.order) > 2*window {
		t.Errorf("%d objects in order keep %d bytes, with %d bytes held", len(s.order), kept, s.bytes)
	}
	if s.held[object(0)] == nil {
		t.Error("the unread object was dropped")
	}
}
