package reader

// Lent are bytes that ReadNow returns. Release must be called when they are not used
// any more.
type Lent struct {
	Bytes   []byte
	file    *File
	segment *segment
}

// Release gives the bytes back.
func (l Lent) Release() {
	if l.segment != nil {
		l.file.release(l.segment)
	}
}

// ReadNow returns len(p) > 0 bytes from offset on, if this process or the page cache
// of this host has them, and reports whether it does. It neither waits for a disk,
// a worker or the store, nor fails: ReadTo does what it cannot do. The bytes are in
// p, or in memory of the file that must not be changed.
func (f *File) ReadNow(p []byte, offset int64) (Lent, bool) {
	if offset < 0 || len(p) == 0 || offset+int64(len(p)) > f.version.Size {
		return Lent{}, false
	}
	if (f.local.exists() || f.local.share()) && f.local.readNow(p, offset) {
		f.reader.metrics.localReads.Inc()
		f.reader.metrics.localBytes.Add(float64(len(p)))
		return Lent{Bytes: p}, true
	}
	return f.readAhead(p, offset)
}

// readNow fills p from the sealed file, if it is in the page cache, and reports
// whether it did.
func (b *sealedFile) readNow(p []byte, offset int64) bool {
	if !b.mu.TryRLock() {
		return false
	}
	defer b.mu.RUnlock()
	file, ok := b.file.(onDisk)
	if !ok || revoked(b.file) {
		return false
	}
	n, err := file.ReadCached(p, offset)
	return err == nil && n == len(p) && !revoked(b.file)
}

// readAhead returns bytes that were read ahead, and reads further ahead.
func (f *File) readAhead(p []byte, offset int64) (Lent, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, found := f.ahead.search(offset)
	if !found || f.closed {
		return Lent{}, false
	}
	s := f.ahead.segments[i]
	bytes, ok := s.now(offset, len(p))
	if !ok {
		return Lent{}, false
	}
	s.users++
	f.reader.metrics.prefetchHits.Inc()
	f.planLocked(offset, int64(len(p)))
	return Lent{bytes, f, s}, true
}

// now returns n bytes from offset on, if the segment has them.
func (s *segment) now(offset int64, n int) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := int(offset - s.start)
	if at+n > s.filled {
		return nil, false
	}
	s.used.Store(true)
	return s.buf[at : at+n : at+n], true
}
