package fdpass

import (
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// reportInterval is the time between two reports of opens, and reportBytes the
	// number of bytes after which they are reported. The rest is reported when the
	// file is closed.
	reportInterval = time.Second
	reportBytes    = 64 << 20
)

// File is a borrowed sealed file. It is safe for concurrent use, except Close.
type File struct {
	session *session
	id      uint64
	file    *os.File
	size    int64
	device  uint64
	once    sync.Once

	// reports is set if the worker accepts reports of use, and recalls if it accepts
	// those of several files and recalls files that are not used.
	reports, recalls bool
	// opens and bytes are not reported yet; reported is the time of the last report
	// of opens, in nanoseconds.
	opens    atomic.Uint32
	bytes    atomic.Uint64
	reported atomic.Int64
	// queued is set while a report is due, and idle is what it says.
	queued, idle atomic.Bool

	revoked, lost chan struct{}
	revokeOnce    sync.Once
	// onWanted is set by OnWanted.
	onWanted atomic.Pointer[func()]
}

var _ io.ReaderAt = (*File)(nil)

// ReadAt reads bytes of the version.
func (f *File) ReadAt(p []byte, offset int64) (int, error) {
	n, err := f.file.ReadAt(p, offset)
	f.countBytes(n)
	return n, err
}

// Size returns the size of the version in bytes.
func (f *File) Size() int64 { return f.size }

// Fd returns the descriptor, open for reading only. It is valid until Close.
func (f *File) Fd() uintptr { return f.file.Fd() }

// Descriptor returns the open file, which the File owns.
func (f *File) Descriptor() *os.File { return f.file }

// Revoked returns a channel that is closed when the worker has found that the bytes
// are wrong or cannot be read any more. They must not be used any more.
func (f *File) Revoked() <-chan struct{} { return f.revoked }

// Lost returns a channel that is closed when the connection to the worker has ended.
// The bytes can still be read, but the worker does not charge them any more, and
// cannot revoke them.
func (f *File) Lost() <-chan struct{} { return f.lost }

// Used reports to the worker that the file was opened once more, without a request
// to the worker.
func (f *File) Used() {
	f.opens.Add(1)
	now := time.Now().UnixNano()
	if last := f.reported.Load(); now-last >= int64(reportInterval) && f.reported.CompareAndSwap(last, now) {
		f.requestReport()
	}
}

// CountOpen is like Used, but the worker learns it with the next report, which is at
// the latest that of Close.
func (f *File) CountOpen() { f.opens.Add(1) }

func (f *File) countBytes(n int) {
	if n > 0 && f.bytes.Add(uint64(n)) >= reportBytes {
		f.requestReport()
	}
}

// CanBeIdle reports whether SetIdle(true) lets the worker use the space of the file.
func (f *File) CanBeIdle() bool { return f.recalls }

// SetIdle reports to the worker whether the file is used, together with what is not
// reported yet. It does not wait. The worker may require a file that is not used: see
// OnWanted.
func (f *File) SetIdle(idle bool) {
	if f.recalls {
		f.idle.Store(idle)
		f.requestReport()
	}
}

// OnWanted has wanted called, each time from a goroutine that may wait, when the worker
// requires the file, has revoked it or is away. In the first case the owner of the file
// must close it, or call SetIdle(false) if it is in use. OnWanted may be called once.
func (f *File) OnWanted(wanted func()) {
	f.onWanted.Store(&wanted)
	select {
	case <-f.revoked:
	case <-f.lost:
	default:
		return
	}
	go wanted()
}

// wanted calls what OnWanted was given.
func (f *File) wanted() {
	if wanted := f.onWanted.Load(); wanted != nil {
		(*wanted)()
	}
}

// requestReport makes the session report the use of the file. It never waits.
func (f *File) requestReport() {
	if f.queued.CompareAndSwap(false, true) {
		f.session.pending.addReport(f)
		f.session.wakeUp()
	}
}

// use returns what is not reported yet.
func (f *File) use() use {
	return use{id: f.id, opens: f.opens.Swap(0), bytes: f.bytes.Swap(0), idle: f.idle.Load()}
}

// report reports what is not reported yet. The caller must hold the lock of the session.
func (f *File) report() {
	u := f.use()
	if (f.reports || f.recalls) && (u.opens > 0 || u.bytes > 0) {
		// If this fails, the connection ends.
		_ = f.session.write(message{kind: kindUsed, id: f.id, opens: u.opens, bytes: u.bytes})
	}
}

// Close closes the file and returns it to the worker.
func (f *File) Close() error {
	var err error
	f.once.Do(func() {
		err = f.file.Close()
		f.session.giveBack(f)
	})
	return err
}
