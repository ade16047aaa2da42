//go:build linux

package fusefd

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// mountInfo is one line of /proc/self/mountinfo.
type mountInfo struct {
	// device is "major:minor" of the mounted file system.
	device string
	point  string
	fstype string
	source string
}

// ours says whether this package made the mount, by type and source alone.
func (m mountInfo) ours() bool {
	return strings.HasPrefix(m.fstype, "fuse") && strings.HasPrefix(m.source, sourcePrefix) && strings.Contains(m.source, devicePath)
}

// topmost finds the mount that a path lookup of point reaches. It reads
// mountinfo instead of asking the file system, which may not answer.
func topmost(point string) (mountInfo, bool, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return mountInfo{}, false, fmt.Errorf("listing mounts: %w", err)
	}
	defer func() { _ = file.Close() }()
	mounts, err := parseMountInfo(file)
	if err != nil {
		return mountInfo{}, false, fmt.Errorf("listing mounts: %w", err)
	}
	found, ok := mountInfo{}, false
	for _, m := range mounts {
		if m.point == point {
			found, ok = m, true
		}
	}
	return found, ok, nil
}

// parseMountInfo reads lines as proc(5) describes them and skips those that it
// does not understand.
func parseMountInfo(r io.Reader) ([]mountInfo, error) {
	var mounts []mountInfo
	scanner := bufio.NewScanner(r)
	scanner.Buffer(make([]byte, 0, 64<<10), 1<<20)
	for scanner.Scan() {
		if m, ok := parseMountLine(scanner.Text()); ok {
			mounts = append(mounts, m)
		}
	}
	return mounts, scanner.Err()
}

func parseMountLine(line string) (mountInfo, bool) {
	fields := strings.Fields(line)
	if len(fields) < 6 {
		return mountInfo{}, false
	}
	for i := 6; i+2 < len(fields); i++ {
		if fields[i] == "-" {
			return mountInfo{
				device: fields[2],
				point:  unescapeMount(fields[4]),
				fstype: fields[i+1],
				source: unescapeMount(fields[i+2]),
			}, true
		}
	}
	return mountInfo{}, false
}

// unescapeMount undoes the octal escapes of spaces, tabs, newlines and
// backslashes.
func unescapeMount(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// canonical resolves symlinks above the mount point without touching the mount
// itself.
func canonical(point string) (string, error) {
	absolute, err := filepath.Abs(point)
	if err != nil {
		return "", fmt.Errorf("resolving mount point %s: %w", point, err)
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(absolute))
	if err != nil {
		return "", fmt.Errorf("resolving mount point %s: %w", point, err)
	}
	return filepath.Join(parent, filepath.Base(absolute)), nil
}
