package blockstore

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
)

// fromDisk reads the next chunk of a block on disk. If the block is wrong or
// unreadable, again is true and the caller must plan the block again.
func (r *Reader) fromDisk(ctx context.Context) (again bool, _ error) {
	s, v := r.store, r.v
	block := r.block()
	start, length := blockRange(r.request.Key, s.config.BlockSize, block)
	n := min(start+length, r.end) - r.offset
	n = min(n, chunkSize)
	if r.fileOf != v {
		r.closeFile()
	}
	s.mu.Lock()
	if r.fileOf != v {
		v.refs++
		v.tier.evict.relist(v)
		r.fileOf = v
	}
	verified, crc := v.verified.has(block), v.crcs[block]
	s.mu.Unlock()
	buf := r.chunk
	if buf == nil {
		buf = s.chunks.Get().(*[]byte)
	}
	r.chunk = nil
	file, offset := r.file, r.offset
	r.file = nil // The operation owns it until it returns.
	resume := func(context.Context) error { return nil }
	var parking error
	err := v.tier.disk.doSlow(func() (err error) {
		if file == nil {
			if file, err = v.tier.files.Open(v.dataPath(), os.O_RDONLY); err != nil {
				return err
			}
		}
		if !verified {
			if err := verifyBlock(file, *buf, start, length, crc); err != nil {
				return err
			}
		}
		return readFull(file, (*buf)[:n], offset)
	}, func() {
		if file != nil {
			_ = file.Close()
		}
	}, func() {
		if again, err := r.park(); err == nil {
			resume = again
		} else {
			parking = err
		}
	})
	parking = errors.Join(parking, resume(ctx))
	if err != nil {
		if !errors.Is(err, errHung) {
			r.file, r.chunk = file, buf
		}
		r.diskFailed(v, err)
		return true, parking
	}
	r.file, r.chunk = file, buf
	r.ready = (*buf)[:n]
	s.mu.Lock()
	v.verified.set(block)
	s.counts.DiskBytes += n
	v.tier.counts.HitBytes += n
	s.mu.Unlock()
	return false, parking
}

// errCorrupt means that a block on disk differs from what was written.
var errCorrupt = errors.New("checksum mismatch of a block on disk")

// verifyBlock compares a block with its checksum, reading it into buf.
func verifyBlock(file File, buf []byte, start, length int64, want uint32) error {
	var crc uint32
	table := castagnoli
	for at := int64(0); at < length; {
		part := buf[:min(int64(len(buf)), length-at)]
		if err := readFull(file, part, start+at); err != nil {
			return err
		}
		crc = crc32.Update(crc, table, part)
		at += int64(len(part))
	}
	if crc != want {
		return errCorrupt
	}
	return nil
}

func readFull(file File, p []byte, offset int64) error {
	n, err := file.ReadAt(p, offset)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF { //nolint:errorlint // ReaderAt returns it unwrapped.
		return io.ErrUnexpectedEOF
	}
	return err
}

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
	r.closeFile()
}

// damaged reports whether the file is wrong, rather than the disk failing.
func damaged(err error) bool {
	return errors.Is(err, errCorrupt) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, fs.ErrNotExist)
}
