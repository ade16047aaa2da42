package client_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// A call after a change returns the change, even if the workers have older views.
func TestCurrentSeesEarlierChanges(t *testing.T) {
	f, m := newFixture(t, 1), &masters{}
	f.cluster.SetView(f.cluster.NewView(7))
	c := f.start(func(c *client.Config) { c.Masters = m })
	for index := uint64(8); index < 40; index++ {
		m.set(f.cluster.NewView(index))
		if err := c.Current(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := c.View().GetIndex(); got != index {
			t.Fatalf("the view has index %d, want %d", got, index)
		}
	}
}

// Only the first caller waits for unreachable masters. They are used again when
// they are reachable.
func TestCurrentWithoutMasters(t *testing.T) {
	f, m := newFixture(t, 1), &hanging{requested: make(chan struct{}, 1), release: make(chan struct{})}
	f.cluster.SetView(f.cluster.NewView(7))
	c := f.start(func(c *client.Config) {
		c.Masters, c.ViewTimeout, c.Poll = m, 50*time.Millisecond, 100*time.Millisecond
	})
	if err := c.Current(t.Context()); err == nil {
		t.Fatal("no error while the masters hang")
	}
	before := m.questions()
	for range 1000 {
		if err := c.Current(t.Context()); err == nil {
			t.Fatal("no error while the masters hang")
		}
	}
	if n := m.questions() - before; n >= 500 {
		t.Errorf("1000 calls caused %d requests to the masters", n)
	}
	m.set(f.cluster.NewView(9))
	close(m.release)
	f.eventually("the masters are reachable again", func() bool {
		return c.Current(t.Context()) == nil && c.View().GetIndex() == 9
	})
}

// hanging masters return the view of the time of the request, once they are
// released.
type hanging struct {
	masters
	requested, release chan struct{}
}

func (m *hanging) View(ctx context.Context) (*commonv1.ClusterView, error) {
	v, err := m.masters.View(ctx)
	select {
	case m.requested <- struct{}{}:
	default:
	}
	select {
	case <-m.release:
		return v, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *hanging) questions() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests
}

// A request in progress must not serve later callers: it may have been sent
// before a change that they rely on.
func TestCurrentSharesOnlyLaterRequests(t *testing.T) {
	f := newFixture(t, 1)
	f.cluster.SetView(f.cluster.NewView(7))
	m := &hanging{requested: make(chan struct{}, 1), release: make(chan struct{})}
	m.set(f.cluster.NewView(8))
	c := f.start(func(c *client.Config) { c.Masters, c.ViewTimeout = m, time.Minute })
	<-m.requested // the request at the start
	var callers sync.WaitGroup
	call := func(want uint64) {
		callers.Go(func() {
			if err := c.Current(t.Context()); err != nil {
				t.Error(err)
			} else if got := c.View().GetIndex(); got < want {
				t.Errorf("the view has index %d, want %d", got, want)
			}
		})
	}
	call(8)
	<-m.requested
	m.set(f.cluster.NewView(9))
	for range 8 {
		call(9)
	}
	hurried, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Current(hurried); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a caller with a deadline: %v", err)
	}
	close(m.release)
	callers.Wait()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Current(t.Context()); err == nil {
		t.Error("no error from a closed client")
	}
}
