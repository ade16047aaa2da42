//go:build !windows

package atomicfile

import (
	"errors"
	"fmt"
	"os"
)

// SyncDir flushes the entries of a directory to disk, so that files created,
// renamed or removed in it stay so after a loss of power.
func SyncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", path, err)
	}
	return nil
}
