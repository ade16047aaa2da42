package blockstore

import (
	"errors"
	"io"
	"io/fs"
)

// diskFailed gives up a file: a disk that hangs is not read again until it
// answers a probe, and a version that cannot be read, or not as it was
// written, is discarded.
func (r *Reader) diskFailed(v *version, err error) {
	s := r.store
	if errors.Is(err, errHung) {
		// The operation that hangs still has the file and the buffer.
		s.fail(v.tier, err, true)
	} else {
		if !damaged(err) {
			s.fail(v.tier, err, false)
		}
		s.discard(v, err)
	}
	s.mu.Lock()
	r.closeFile()
	s.mu.Unlock()
}

// damaged tells a file that is not what it was from a disk that fails.
func damaged(err error) bool {
	return errors.Is(err, errCorrupt) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, fs.ErrNotExist)
}

// closeFile drops the reader's hold on its file. s.mu is held.
func (r *Reader) closeFile() {
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
	if r.fileOf != nil {
		r.store.release(r.fileOf)
		r.fileOf = nil
	}
}

// Close ends the reader's claims. It may be called once.
func (r *Reader) Close() error {
	r.letGo()
	s := r.store
	if r.chunk != nil {
		s.chunks.Put(r.chunk)
		r.chunk = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.closeFile()
	for _, c := range r.claims {
		s.unclaim(c.v, c.p)
	}
	r.claims = nil
	return nil
}
