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
func (s *testbed) readInBackground(path string) (result <-chan error) {
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
		{"every pod is being deleted", func(c *Config) { c.TerminatingTimeout = 100 * time.Millisecond }, []string{"first", "second"}},
		{"nobody comes for long", func(c *Config) { c.ServeTimeout = 300 * time.Millisecond }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newTestbed(t, c.change)
			session := s.inlineRequest("fuse", names.RoleFuse)
			s.mustPublish(session)
			kill := s.startServer(session)
			first, second := s.filesRequest("first", nil), s.filesRequest("second", nil)
			s.mustPublish(first)
			s.mustPublish(second)
			kill()
			hung := s.readInBackground(filepath.Join(first.GetTargetPath(), "data", "sub", "inner"))
			s.cluster.mu.Lock()
			for _, pod := range c.leaving {
				s.cluster.terminating[pod] = true
			}
			s.cluster.mu.Unlock()
			select {
			case err := <-hung:
				if !errors.Is(err, unix.ENOTCONN) && !errors.Is(err, unix.ECONNABORTED) {
					t.Errorf("the request answers %v", err)
				}
			case <-time.After(testTimeout):
				t.Fatal("the request hangs for good")
			}
			s.mustUnpublish(first)
			s.mustUnpublish(second)
			// The next pod reads.
			s.startServer(session)
			third := s.filesRequest("third", nil)
			s.mustPublish(third)
			s.read(filepath.Join(third.GetTargetPath(), "data", "hello"))
		})
	}
}

func TestOnePodLeavingEndsNothing(t *testing.T) {
	s := newTestbed(t, func(c *Config) { c.TerminatingTimeout = 50 * time.Millisecond })
	session := s.inlineRequest("fuse", names.RoleFuse)
	s.mustPublish(session)
	kill := s.startServer(session)
	first, second := s.filesRequest("first", nil), s.filesRequest("second", nil)
	s.mustPublish(first)
	s.mustPublish(second)
	r := s.startReading(filepath.Join(second.GetTargetPath(), "data", "hello"))
	defer s.stopReading(r)
	s.cluster.mu.Lock()
	s.cluster.terminating["first"] = true
	s.cluster.mu.Unlock()
	kill()
	time.Sleep(2 * tickInterval) // long enough for a wrong rule to act
	s.startServer(session)
	s.waitForReads(r)
}

func TestFiguresNeverTouchWhatNobodyServes(t *testing.T) {
	s := newTestbed(t, nil)
	session, volume := s.inlineRequest("fuse", names.RoleFuse), s.filesRequest("reader", nil)
	s.mustPublish(session)
	kill := s.startServer(session)
	s.mustPublish(volume)
	ask := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
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
