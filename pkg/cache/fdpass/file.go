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

	// reports is set if the worker accepts reports of use.
	reports bool
	// opens and bytes are not reported yet; reported is the time of the last report
	// of opens, in nanoseconds.
	opens    atomic.Uint32
	bytes    atomic.Uint64
	reported atomic.Int64
	// queued is set while a report is due.
	queued atomic.Bool

	revoked, lost chan struct{}
	revokeOnce    sync.Once
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

// requestReport makes the session report the use of the file. It never waits: where
// too many reports are due, a later use requests it again.
func (f *File) requestReport() {
	if !f.queued.CompareAndSwap(false, true) {
		return
	}
	select {
	case f.session.due <- f:
	default:
		f.queued.Store(false)
	}
}

// flush reports what is not reported yet.
func (f *File) flush() {
	f.session.mu.Lock()
	defer f.session.mu.Unlock()
	if f.session.err == nil {
		f.report()
	}
}

// report is like flush. The caller must hold the lock of the session.
func (f *File) report() {
	opens, bytes := f.opens.Swap(0), f.bytes.Swap(0)
	if f.reports && (opens > 0 || bytes > 0) {
		// If this fails, the connection ends.
		_ = f.session.write(message{kind: kindUsed, id: f.id, opens: opens, bytes: bytes})
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
