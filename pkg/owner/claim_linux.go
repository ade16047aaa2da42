package owner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// Claim marks directories with the uid in the environment, and creates them if
// they do not exist. It replaces the mark of an earlier runtime: a directory
// belongs to the runtime that uses it.
//
// It returns an error for a directory that has files and no mark, because it is not
// a directory of a runtime, and for one that is elsewhere on the node than
// [PlacesVariable] states, because the kubelet followed a symbolic link there.
func Claim(dirs ...string) error {
	uid := os.Getenv(Variable)
	if uid == "" {
		return nil
	}
	places, err := parsePlaces(os.Getenv(PlacesVariable))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := checkPlace(dir, places); err != nil {
			return fmt.Errorf("use directory %s: %w", dir, err)
		}
		if err := claim(uid, dir); err != nil {
			return fmt.Errorf("mark %s as this runtime's: %w", dir, err)
		}
	}
	return nil
}

func claim(uid, path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	dir, err := openDir(nil, path)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	mark, err := readMark(dir)
	switch {
	case err == nil && strings.TrimSpace(mark) == uid:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		if err := checkUnused(dir); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	return writeMark(dir, uid)
}

// checkUnused returns an error if a directory without a mark has files. Hidden files
// and lost+found are those of file systems and their snapshots.
func checkUnused(dir *os.File) error {
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if name := entry.Name(); name != "lost+found" && !strings.HasPrefix(name, ".") && !mutantUnmarked {
			return fmt.Errorf("it contains %q and no file %s, so it is not a directory of a runtime: use another directory, or empty this one", name, File)
		}
	}
	return nil
}

// writeMark replaces the mark atomically: a directory with files and without a mark
// would be refused.
func writeMark(dir *os.File, uid string) error {
	const fresh = File + ".new"
	at := int(dir.Fd())
	if err := unix.Unlinkat(at, fresh, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove %s: %w", fresh, err)
	}
	fd, err := unix.Openat(at, fresh, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return fmt.Errorf("create %s: %w", fresh, err)
	}
	file := os.NewFile(uintptr(fd), fresh)
	_, err = file.WriteString(uid + "\n")
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := unix.Renameat(at, fresh, at, File); err != nil {
		return fmt.Errorf("replace %s: %w", File, err)
	}
	return dir.Sync()
}

// parsePlaces parses the value of [PlacesVariable].
func parsePlaces(value string) (map[string]string, error) {
	places := map[string]string{}
	if value == "" {
		return places, nil
	}
	for entry := range strings.SplitSeq(value, ",") {
		dir, place, found := strings.Cut(entry, "=")
		if !found || dir == "" || strings.Trim(place, "/") == "" {
			return nil, fmt.Errorf("parse %s: %q is not DIRECTORY=PLACE", PlacesVariable, entry)
		}
		places[dir] = strings.Trim(place, "/")
	}
	return places, nil
}

// checkPlace returns an error unless the volume at dir is at its place on the node.
// The kubelet resolves the path of a volume, symbolic links included, and mounts the
// result, whose path in its file system is the root of the mount.
func checkPlace(dir string, places map[string]string) error {
	place, known := places[dir]
	if !known || mutantAnyPlace {
		return nil
	}
	found, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) { return m.Mountpoint != dir, false })
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	if len(found) == 0 {
		return errors.New("it is not a volume")
	}
	mount := found[len(found)-1]
	// Sandboxes share a directory of the node under a name of their own.
	if slices.Contains([]string{"9p", "virtiofs"}, mount.FSType) {
		return nil
	}
	if !strings.HasSuffix(mount.Root, "/"+place) {
		return fmt.Errorf("it is %s on the node, which does not end in %s: a part of its path is a symbolic link, so it is not used", mount.Root, place)
	}
	return nil
}
