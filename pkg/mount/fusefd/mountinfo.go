//go:build linux

package fusefd

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// mountInfo is one line of /proc/self/mountinfo.
type mountInfo struct {
	// device is "major:minor" of the mounted file system.
	device string
	fstype string
	source string
	// readOnly reports that the file system itself is read-only, not only this
	// mount of it.
	readOnly bool
}

// ours reports whether this package made the mount, judged by type and source.
func (m mountInfo) ours() bool {
	return strings.HasPrefix(m.fstype, "fuse") && strings.HasPrefix(m.source, sourcePrefix) && strings.Contains(m.source, devicePath)
}

// topmost returns the mount that a path lookup of point reaches, and whether
// there is one. It reads mountinfo and never accesses the file system, which may
// hang.
func topmost(point string) (mountInfo, bool, error) {
	found, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) { return m.Mountpoint != point, false })
	if err != nil {
		return mountInfo{}, false, fmt.Errorf("list mounts: %w", err)
	}
	if len(found) == 0 {
		return mountInfo{}, false, nil
	}
	top := found[len(found)-1]
	readOnly := slices.Contains(strings.Split(top.VFSOptions, ","), "ro")
	return mountInfo{device: fmt.Sprintf("%d:%d", top.Major, top.Minor), fstype: top.FSType, source: top.Source, readOnly: readOnly}, true, nil
}

// canonical resolves symlinks above the mount point without accessing the mount
// itself.
func canonical(point string) (string, error) {
	absolute, err := filepath.Abs(point)
	if err != nil {
		return "", fmt.Errorf("resolve mount point %s: %w", point, err)
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(absolute))
	if err != nil {
		return "", fmt.Errorf("resolve mount point %s: %w", point, err)
	}
	return filepath.Join(parent, filepath.Base(absolute)), nil
}
