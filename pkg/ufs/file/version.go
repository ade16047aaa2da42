package file

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// identity identifies a file or directory on this host.
type identity struct{ device, inode uint64 }

func identityOf(info fs.FileInfo) identity {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{}
	}
	return identity{device: stat.Dev, inode: stat.Ino}
}

// versions makes the tags of the files of one file system.
type versions struct {
	// private is set for file systems that number their inodes anew in each
	// mount, so that two hosts see two numbers for one file.
	private bool
}

// privateInodes are the types of file systems that may number inodes anew in each
// mount or on each host: FUSE (s3fs, gcsfuse, rclone and virtiofs among
// them), both clients of SMB (without serverino), 9P, and the shared folders of
// virtual machines. NFS, CephFS, Lustre and local file systems do not.
var privateInodes = map[int64]bool{
	unix.FUSE_SUPER_MAGIC: true,
	unix.CIFS_SUPER_MAGIC: true,
	unix.SMB2_SUPER_MAGIC: true,
	unix.SMB_SUPER_MAGIC:  true,
	unix.V9FS_MAGIC:       true,
	0x786f4256:            true, // vboxsf
}

// versionsOf returns the versions of the file system that holds a directory. They
// apply to all files below it, also to those of another file system mounted there.
func versionsOf(dir opener) (versions, error) {
	var system unix.Statfs_t
	err := withDir(dir, ".", func(f *os.File) error {
		for {
			if err := unix.Fstatfs(int(f.Fd()), &system); !errors.Is(err, unix.EINTR) {
				return os.NewSyscallError("statfs", err)
			}
		}
	})
	return versions{private: privateInodes[int64(uint32(system.Type))]}, err
}

// tag returns a tag of what changes with the bytes, and of nothing else: it is
// equal on all hosts that share the directory, and a hard link, chmod or chown
// does not change it. The tag of a directory holds only its identity, because
// its times change with its entries.
func (v versions) tag(info fs.FileInfo) string {
	var fields []uint64
	if !v.private {
		fields = append(fields, identityOf(info).inode)
	}
	if !info.IsDir() {
		fields = append(fields, uint64(info.Size()), uint64(info.ModTime().UnixNano()))
	}
	raw := make([]byte, 0, 8*len(fields))
	for _, field := range fields {
		raw = binary.BigEndian.AppendUint64(raw, field)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:16])
}

func (v versions) describe(key string, info fs.FileInfo) ufs.Object {
	o := ufs.Object{Key: key, ETag: v.tag(info), LastModified: info.ModTime()}
	if !info.IsDir() {
		o.Size = info.Size()
	}
	return o
}

const (
	// tick is above the step of the clock that the kernel takes file times from
	// (4 ms at 250 Hz, 10 ms at 100 Hz).
	tick = 20 * time.Millisecond
	// coarseTick is the step of file systems that keep whole seconds.
	coarseTick = time.Second
)

// settle waits until a write that follows must show in the modification time of
// a file: one in the tick of its last write would not, and its bytes would
// have the same tag as those read before. So bytes are never read within the tick of
// their modification time. It returns the attributes after the wait.
func settle(ctx context.Context, f *os.File, info fs.FileInfo) (fs.FileInfo, error) {
	const tries = 3 // a file that is written all the time has a new tag each time
	for range tries {
		step := tick
		if info.ModTime().Nanosecond() == 0 {
			step = coarseTick
		}
		age := time.Since(info.ModTime())
		if info.IsDir() || age < 0 || age >= step {
			return info, nil
		}
		timer := time.NewTimer(step - age)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
		var err error
		if info, err = f.Stat(); err != nil {
			return nil, err
		}
	}
	return info, nil
}
