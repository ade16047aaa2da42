package blockstore

import "io"

// A block is read while it arrives. The first reader of an object waits for its
// first bytes, not for a block, and bytes flow through a worker without gaps.
//
// What has arrived of a block is part of the requested version, whether the rest
// arrives or not: the store compares the version, and the length of the response
// is checked before the first byte. A block reaches the disk only when it is
// complete.
const (
	// firstPart is the number of bytes of the first block of a flight after which
	// its readers are woken for the first time.
	firstPart = 16 << 10
	// nextPart is the number of bytes after which they are woken again.
	nextPart = 256 << 10
)

// closed is a channel that never blocks.
var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// arrival returns a channel that is closed when a block is complete or failed, or
// may have the byte of the object at offset.
func (s *Store) arrival(p *pending, offset int64) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.state != loading || p.filled > offset-p.block*s.config.BlockSize {
		return closed
	}
	if p.more == nil {
		p.more = make(chan struct{})
	}
	return p.more
}

// wake wakes the readers that wait for a block. The caller must hold Store.mu.
func (p *pending) wake() {
	if p.more != nil {
		close(p.more)
		p.more = nil
	}
}

// receive reads the rest of a block into its buffer. If the body ends early, the
// block keeps what has arrived while a reader uses it, and none of it otherwise: a
// store that hangs next must not hold memory.
func (f *flight) receive(body io.Reader, p *pending) error {
	part := int64(nextPart)
	if p == f.pendings[0] && p.filled == 0 {
		part = firstPart
	}
	size := int64(len(p.buf))
	for at := p.filled; at < size; {
		n, err := io.ReadAtLeast(body, p.buf[at:], int(min(part, size-at)))
		p.crc = checksumOf(p.crc, p.buf[at:at+int64(n)])
		at += int64(n)
		f.arrived(p, at)
		if err != nil {
			f.interrupt(p)
			return err
		}
		part = nextPart
	}
	return nil
}

// arrived makes the first n bytes of a block available to its readers.
func (f *flight) arrived(p *pending, n int64) {
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	p.filled = n
	p.wake()
}

// interrupt gives back the buffer of a block that has not arrived as a whole, unless
// a reader uses it.
func (f *flight) interrupt(p *pending) {
	s := f.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.users > 0 {
		return
	}
	n := int64(len(p.buf))
	s.memory.complete(f.version.key.Mount, n)
	s.memory.free += n
	s.memory.recycle(p.buf)
	p.buf, p.filled, p.crc = nil, 0, 0
	s.grant()
}
