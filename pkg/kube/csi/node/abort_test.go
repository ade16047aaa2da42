//go:build linux

package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

func mountForeign(t *testing.T, point string) {
	t.Helper()
	if err := unix.Mount("other", point, "tmpfs", 0, "size=65536"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(point, unix.MNT_DETACH) })
}

// stuckRead reads from a mount that nobody serves.
func (s *stand) stuckRead(path string) (result <-chan error) {
	done := make(chan error, 1)
	go func() {
		_, err := os.ReadFile(path)
		done <- err
	}()
	return done
}

func TestRequestsOfLeavingPodsAreEnded(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(*Config)
		leaving []string
	}{
		{"every pod is being deleted", func(c *Config) { c.Terminating = 100 * time.Millisecond }, []string{"first", "second"}},
		{"nobody comes for long", func(c *Config) { c.Patience = 300 * time.Millisecond }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStand(t, c.change)
			session := s.inline("fuse", names.RoleFuse)
			s.mustPublish(session)
			kill := s.server(session)
			first, second := s.files("first", nil), s.files("second", nil)
			s.mustPublish(first)
			s.mustPublish(second)
			kill()
			hung := s.stuckRead(filepath.Join(first.GetTargetPath(), "data", "sub", "inner"))
			s.cluster.mu.Lock()
			for _, pod := range c.leaving {
				s.cluster.leaving[pod] = true
			}
			s.cluster.mu.Unlock()
			select {
			case err := <-hung:
				if !errors.Is(err, unix.ENOTCONN) && !errors.Is(err, unix.ECONNABORTED) {
					t.Errorf("the request answers %v", err)
				}
			case <-time.After(patience):
				t.Fatal("the request hangs for good")
			}
			s.mustUnpublish(first)
			s.mustUnpublish(second)
			// The next pod reads.
			s.server(session)
			third := s.files("third", nil)
			s.mustPublish(third)
			s.read(filepath.Join(third.GetTargetPath(), "data", "hello"))
		})
	}
}

func TestOnePodLeavingEndsNothing(t *testing.T) {
	s := newStand(t, func(c *Config) { c.Terminating = 50 * time.Millisecond })
	session := s.inline("fuse", names.RoleFuse)
	s.mustPublish(session)
	kill := s.server(session)
	first, second := s.files("first", nil), s.files("second", nil)
	s.mustPublish(first)
	s.mustPublish(second)
	r := s.readOn(filepath.Join(second.GetTargetPath(), "data", "hello"))
	defer s.endReaders(r)
	s.cluster.mu.Lock()
	s.cluster.leaving["first"] = true
	s.cluster.mu.Unlock()
	kill()
	time.Sleep(2 * tickEvery) // long enough for a wrong rule to act
	s.server(session)
	s.goOn(r)
}

func TestFiguresNeverTouchWhatNobodyServes(t *testing.T) {
	s := newStand(t, nil)
	session, volume := s.inline("fuse", names.RoleFuse), s.files("reader", nil)
	s.mustPublish(session)
	kill := s.server(session)
	s.mustPublish(volume)
	ask := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		answer, err := s.node.NodeGetVolumeStats(ctx, &csi.NodeGetVolumeStatsRequest{VolumeId: volume.GetVolumeId(), VolumePath: volume.GetTargetPath()})
		if err == nil && len(answer.GetUsage()) == 0 {
			t.Error("no figures came")
		}
		return err
	}
	if err := ask(); err != nil {
		t.Error(err)
	}
	kill()
	s.eventually("the plugin knows that the server is gone", func() bool {
		err := ask()
		return status.Code(err) == codes.Unavailable && strings.Contains(err.Error(), "has not answered")
	})
	if _, err := s.node.NodeGetVolumeStats(context.Background(), &csi.NodeGetVolumeStatsRequest{VolumeId: "other", VolumePath: volume.GetTargetPath()}); status.Code(err) != codes.NotFound {
		t.Errorf("another volume: %v", err)
	}
}
