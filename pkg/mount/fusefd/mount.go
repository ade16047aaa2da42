//go:build linux

package fusefd

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

func (s *Session) mount(ctx context.Context) error {
	var err error
	if os.Geteuid() == 0 {
		s.direct = true
		s.fuse, err = s.mountDirect()
	} else {
		s.fuse, err = s.mountFusermount(ctx)
	}
	if err != nil {
		return fmt.Errorf("mount on %s: %w", s.point, err)
	}
	info, ok, err := topmost(s.point)
	if err != nil {
		s.dropMount()
		return err
	}
	if !ok || !info.ours() {
		s.dropMount()
		return fmt.Errorf("mount on %s: another mount covers it: %w", s.point, ErrBusy)
	}
	s.device, s.readOnly = info.device, info.readOnly
	return nil
}

// dropMount undoes mount: closing the only descriptor leaves a dead mount, which
// is unmounted by name.
func (s *Session) dropMount() {
	_ = s.fuse.Close()
	_ = CleanStale(s.point)
}

// mountDirect mounts with mount(2), which needs CAP_SYS_ADMIN.
func (s *Session) mountDirect() (*os.File, error) {
	fd, err := unix.Open(devicePath, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", devicePath, err)
	}
	options := []string{
		fmt.Sprintf("fd=%d", fd),
		"rootmode=40000",
		fmt.Sprintf("user_id=%d", os.Geteuid()),
		fmt.Sprintf("group_id=%d", os.Getegid()),
		fmt.Sprintf("max_read=%d", s.opts.MaxRead),
		"default_permissions",
	}
	if s.opts.AllowOther {
		options = append(options, "allow_other")
	}
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV)
	if s.opts.ReadOnly {
		flags |= unix.MS_RDONLY
	}
	if err := unix.Mount(s.opts.Source, s.point, fsType, flags, strings.Join(options, ",")); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("mount(2): %w", err)
	}
	return os.NewFile(uintptr(fd), devicePath), nil
}

// mountFusermount mounts through the setuid program fusermount3, which passes
// the descriptor back over a socket.
func (s *Session) mountFusermount(ctx context.Context) (*os.File, error) {
	helper, err := fusermount()
	if err != nil {
		return nil, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("create a socket pair: %w", err)
	}
	peer := os.NewFile(uintptr(pair[1]), "fusermount")
	defer func() { _ = unix.Close(pair[0]) }()
	options := []string{
		"fsname=" + strings.ReplaceAll(s.opts.Source, ",", "_"),
		"subtype=" + strings.TrimPrefix(fsType, "fuse."),
		fmt.Sprintf("max_read=%d", s.opts.MaxRead),
		"default_permissions", "nosuid", "nodev",
	}
	if s.opts.AllowOther {
		options = append(options, "allow_other")
	}
	if s.opts.ReadOnly {
		options = append(options, "ro")
	}
	command := exec.CommandContext(ctx, helper, "-o", strings.Join(options, ","), "--", s.point)
	command.Env = append(os.Environ(), "_FUSE_COMMFD=3")
	command.ExtraFiles = []*os.File{peer}
	var stderr bytes.Buffer
	command.Stderr = &stderr
	err = command.Run()
	_ = peer.Close()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", helper, err, strings.TrimSpace(stderr.String()))
	}
	fds, err := receiveDescriptors(pair[0])
	if err != nil {
		return nil, fmt.Errorf("receive the descriptor from %s: %w", helper, err)
	}
	fdsock.Close(fds[1:])
	if err := unix.SetNonblock(fds[0], true); err != nil {
		_ = unix.Close(fds[0])
		return nil, fmt.Errorf("prepare the descriptor: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), devicePath), nil
}

func fusermount() (string, error) {
	for _, name := range []string{"fusermount3", "fusermount"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("mounting without root needs fusermount3: install the package fuse3")
}
