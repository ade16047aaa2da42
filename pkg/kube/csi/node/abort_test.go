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

// readInBackground reads a file in a goroutine, because the mount has no server.
func (s *testbed) readInBackground(path string) (result <-chan error) {
	done := make(chan error, 1)
	go func() {
		_, err := os.ReadFile(path)
		done <- err
	}()
	return done
}

func TestBlockedReadsAreAborted(t *testing.T) {
	for _, c := range []struct {
		name        string
		change      func(*Config)
		terminating []string
	}{
		{"every pod is being deleted", func(c *Config) { c.TerminatingTimeout = 100 * time.Millisecond }, []string{"first", "second"}},
		{"no server for too long", func(c *Config) { c.ServeTimeout = 300 * time.Millisecond }, nil},
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
			result := s.readInBackground(filepath.Join(first.GetTargetPath(), "data", "sub", "inner"))
			s.cluster.mu.Lock()
			for _, pod := range c.terminating {
				s.cluster.terminating[pod] = true
			}
			s.cluster.mu.Unlock()
			select {
			case err := <-result:
				if !errors.Is(err, unix.ENOTCONN) && !errors.Is(err, unix.ECONNABORTED) {
					t.Errorf("read returned %v, want ENOTCONN or ECONNABORTED", err)
				}
			case <-time.After(testTimeout):
				t.Fatal("read is still blocked")
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

func TestOneTerminatingPodAbortsNothing(t *testing.T) {
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
	time.Sleep(2 * tickInterval) // long enough for a wrong abort to happen
	s.startServer(session)
	s.waitForReads(r)
}

func TestStatsDoNotAccessAMountWithoutServer(t *testing.T) {
	s := newTestbed(t, nil)
	session, volume := s.inlineRequest("fuse", names.RoleFuse), s.filesRequest("reader", nil)
	s.mustPublish(session)
	kill := s.startServer(session)
	s.mustPublish(volume)
	stats := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		response, err := s.node.NodeGetVolumeStats(ctx, &csi.NodeGetVolumeStatsRequest{VolumeId: volume.GetVolumeId(), VolumePath: volume.GetTargetPath()})
		if err == nil && len(response.GetUsage()) == 0 {
			t.Error("response without usage")
		}
		return err
	}
	if err := stats(); err != nil {
		t.Error(err)
	}
	kill()
	s.eventually("the plugin detects the end of the server", func() bool {
		err := stats()
		return status.Code(err) == codes.Unavailable && strings.Contains(err.Error(), "has not initialized")
	})
	if _, err := s.node.NodeGetVolumeStats(context.Background(), &csi.NodeGetVolumeStatsRequest{VolumeId: "other", VolumePath: volume.GetTargetPath()}); status.Code(err) != codes.NotFound {
		t.Errorf("another volume: %v", err)
	}
}
