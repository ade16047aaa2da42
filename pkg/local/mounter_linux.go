package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

const (
	// remountPause is the wait before a mount that failed or was aborted is
	// mounted again.
	remountPause = time.Second
	unmountTime  = 10 * time.Second
)

// mounter holds the FUSE session and mounts again when it ends.
type mounter struct {
	s      *supervisor
	cancel context.CancelFunc
	ended  chan struct{}

	mu      sync.Mutex
	session *fusefd.Session
	err     error
}

func newMounter(s *supervisor) *mounter {
	return &mounter{s: s, ended: make(chan struct{})}
}

func (m *mounter) run(ctx context.Context) {
	ctx, m.cancel = context.WithCancel(ctx)
	go func() {
		defer close(m.ended)
		for ctx.Err() == nil {
			err := m.once(ctx)
			m.set(nil, err)
			if ctx.Err() != nil {
				return
			}
			m.s.logger.Warn("the mount ended, mounting again", "error", err, "pause", remountPause)
			select {
			case <-ctx.Done():
			case <-time.After(remountPause):
			}
		}
	}()
}

// stop unmounts and waits for the end of the session.
func (m *mounter) stop() {
	m.cancel()
	<-m.ended
}

// once mounts, serves until the session or the context ends, and unmounts.
func (m *mounter) once(ctx context.Context) error {
	point := m.s.spec.mountpoint()
	if err := m.claim(point); err != nil {
		return err
	}
	options := m.s.spec.Plan.FuseOptions
	session, err := fusefd.Open(ctx, fusefd.Options{
		Mountpoint: point, ReadOnly: options.ReadOnly,
		// Without root only the user who mounts may read, unless the
		// administrator of the machine permits allow_other.
		AllowOther: options.AllowOther && os.Geteuid() == 0,
		// Without root the kernel refuses every registration.
		AcceptBacking: fusefd.CacheFiles(m.s.layout.tierDirs),
		Logger:        m.s.logger,
	})
	if err != nil {
		return fmt.Errorf("mount %s: %w", point, err)
	}
	m.set(session, nil)
	err = session.Serve(ctx, m.s.layout.session())
	unmounting, cancel := context.WithTimeout(context.WithoutCancel(ctx), unmountTime)
	defer cancel()
	err = errors.Join(err, session.Unmount(unmounting))
	session.Close()
	if ctx.Err() != nil && m.s.madeMountpoint() {
		removeEmpty(point)
	}
	return err
}

// claim records the mount point in the state before it is used, and refuses a
// directory whose files the mount would hide.
func (m *mounter) claim(point string) error {
	if err := fusefd.CleanStale(point); err != nil {
		return err
	}
	entries, err := os.ReadDir(point)
	made := errors.Is(err, os.ErrNotExist)
	if err != nil && !made {
		return fmt.Errorf("read the mount point: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("mount point %s is not empty: choose another with --mountpoint", point)
	}
	return m.s.updateOrFail(func(state *State) {
		state.Mountpoint = point
		state.MadeMountpoint = state.MadeMountpoint || made
	})
}

func (s *supervisor) madeMountpoint() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.MadeMountpoint
}

func (m *mounter) set(session *fusefd.Session, err error) {
	m.mu.Lock()
	m.session, m.err = session, err
	m.mu.Unlock()
	select {
	case m.s.recheck <- struct{}{}:
	default:
	}
}

// serving returns nil if a server serves the mount, else the reason.
func (m *mounter) serving() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.err != nil:
		return m.err
	case m.session == nil:
		return errors.New("not mounted yet")
	case !m.session.Serving():
		return errors.New("mounted, but no server responds yet")
	}
	return nil
}
