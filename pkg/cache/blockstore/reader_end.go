package blockstore

import (
	"errors"
	"io"
	"io/fs"
)

// diskFailed handles an error of a read from disk. A disk that hangs is not read
// again until a probe succeeds; a version that cannot be read, or differs from
// what was written, is discarded.
func (r *Reader) diskFailed(v *version, err error) {
	s := r.store
	if errors.Is(err, errHung) {
		// The hanging operation still owns the file and the buffer.
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

// damaged reports whether the file is wrong, rather than the disk failing.
func damaged(err error) bool {
	return errors.Is(err, errCorrupt) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, fs.ErrNotExist)
}

// closeFile drops the reader's reference to its file. The caller must hold s.mu.
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

// Close ends the reader's claims. It must be called once.
func (r *Reader) Close() error {
	r.releaseBlock()
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
