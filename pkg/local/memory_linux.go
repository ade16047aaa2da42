package local

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/tmpfs"
)

// A tier of the medium MEM is in a directory of the file system in memory that contains
// its path: PATH/jindo-UID/ID/WORKER/NUMBER, where ID stands for the state directory.
// In the state directory, a symbolic link to it takes the place of the tier's directory.
// Memory is not kept when a runtime stops: the links name what is removed then.

// inMemory reports whether a volume is a tier in memory.
func inMemory(v plan.Volume) bool { return v.Tier != nil && v.Tier.Medium == v1alpha1.MediumMEM }

// checkMemoryTiers returns an error if a tier of the medium MEM is not in memory.
func (s *Spec) checkMemoryTiers() error {
	if s.Plan.Workers == nil {
		return nil
	}
	for _, v := range s.Plan.Workers.Volumes {
		if !inMemory(v) {
			continue
		}
		is, err := tmpfs.Contains(v.Tier.Path)
		if err != nil {
			return fmt.Errorf("spec.tieredstore: %w", err)
		}
		if !is {
			return fmt.Errorf("spec.tieredstore: %s has the mediumtype MEM and is not in memory: write path: /dev/shm, or mediumtype: SSD", v.Tier.Path)
		}
	}
	return nil
}

// memoryTier creates the directory of a tier in memory and the link to it, and returns
// the directory.
func (l Layout) memoryTier(path, worker string, i int) (string, error) {
	mine := filepath.Join(path, fmt.Sprintf("jindo-%d", os.Getuid()))
	if err := ownDirectory(mine); err != nil {
		return "", err
	}
	dir := filepath.Join(mine, l.memoryID(), worker, fmt.Sprint(i))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("create a tier in memory: %w", err)
	}
	link := l.tier(worker, i)
	if to, err := os.Readlink(link); err == nil && to == dir {
		return dir, nil
	}
	// What is there is a cache: on a disk, or in memory elsewhere.
	err := errors.Join(l.freeMemory(link), os.RemoveAll(link), os.MkdirAll(filepath.Dir(link), 0o700))
	if err == nil {
		err = os.Symlink(dir, link)
	}
	if err != nil {
		return "", fmt.Errorf("create a tier in memory: %w", err)
	}
	return dir, nil
}

// ownDirectory creates a directory of this user in one that others may write to.
func ownDirectory(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create a tier in memory: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("create a tier in memory: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(owner.Uid) != os.Getuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("create a tier in memory: %s is not a directory that only this user may write to: remove it, or write another path in spec.tieredstore", dir)
	}
	return nil
}

// memoryID identifies the state directory in the directories in memory.
func (l Layout) memoryID() string {
	sum := sha256.Sum256([]byte(l.Dir))
	return hex.EncodeToString(sum[:8])
}

// freeMemory removes the directory in memory that the link of a tier names. It leaves
// alone what is no such directory.
func (l Layout) freeMemory(link string) error {
	to, err := os.Readlink(link)
	if err != nil {
		return nil //nolint:nilerr // It is no link.
	}
	worker := filepath.Dir(to)
	all := filepath.Dir(worker)
	if filepath.Base(all) != l.memoryID() || filepath.Base(filepath.Dir(all)) != fmt.Sprintf("jindo-%d", os.Getuid()) {
		return nil
	}
	err = errors.Join(os.RemoveAll(to), os.Remove(link))
	for _, dir := range []string{worker, all, filepath.Dir(all)} {
		removeEmpty(dir)
	}
	return err
}

// freeAllMemory removes the directories in memory of all tiers.
func (l Layout) freeAllMemory() error {
	var failed error
	for _, link := range l.tierDirs() {
		failed = errors.Join(failed, l.freeMemory(link))
	}
	return failed
}
