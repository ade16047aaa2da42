//go:build linux

package fusefd

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// raiseReadAhead raises the kernel's read-ahead limit of 128 KiB, which FUSE_INIT
// cannot do. It affects speed only, so a failure is logged and ignored.
func (s *Session) raiseReadAhead() {
	if os.Geteuid() != 0 {
		return
	}
	path := filepath.Join("/sys/class/bdi", s.device, "read_ahead_kb")
	if err := os.WriteFile(path, []byte(strconv.Itoa(s.opts.ReadAhead>>10)), 0o644); err != nil {
		s.log.Debug("read-ahead stays at the kernel's default", "error", fmt.Errorf("raise read-ahead: %w", err))
	}
}
