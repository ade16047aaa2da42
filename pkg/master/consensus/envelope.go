package consensus

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// The envelope of a snapshot is
//
//	magic "JDSNAP" | version 2 bytes | index 8 | configuration index 8 |
//	chunks: length 4 bytes (never 0), bytes | a length of 0 |
//	crc32c 4 bytes, of everything before it
//
// The library has a checksum of the file, too, but it covers neither the index
// in the metadata nor data that arrives over the network before it is on disk.
const (
	envelopeMagic   = "JDSNAP"
	envelopeVersion = 1
	envelopeHead    = len(envelopeMagic) + 2 + 8 + 8
	// chunkBytes is the size of the chunks that are written, maxChunk the
	// largest that is read.
	chunkBytes = 64 << 10
	maxChunk   = 1 << 20
)

type envelopeHeader struct {
	// index is that of the last entry in the snapshot.
	index uint64
	// configuration is the index of the configuration at that time.
	configuration uint64
}

func writeEnvelope(to io.Writer, header envelopeHeader, state Snapshot) error {
	sum := &checksumWriter{w: to}
	head := append(make([]byte, 0, envelopeHead), envelopeMagic...)
	head = binary.BigEndian.AppendUint16(head, envelopeVersion)
	head = binary.BigEndian.AppendUint64(head, header.index)
	head = binary.BigEndian.AppendUint64(head, header.configuration)
	if _, err := sum.Write(head); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	chunks := bufio.NewWriterSize(chunkWriter{sum}, chunkBytes)
	if _, err := state.WriteTo(chunks); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if err := chunks.Flush(); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if _, err := sum.Write(make([]byte, 4)); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if _, err := to.Write(binary.BigEndian.AppendUint32(nil, sum.crc)); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

type checksumWriter struct {
	w   io.Writer
	crc uint32
}

func (s *checksumWriter) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.crc = crc32.Update(s.crc, castagnoli, p[:n])
	return n, err
}

// chunkWriter writes the data of each call as chunks.
type chunkWriter struct{ w io.Writer }

func (c chunkWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		piece := p[:min(len(p), chunkBytes)]
		if _, err := c.w.Write(binary.BigEndian.AppendUint32(nil, uint32(len(piece)))); err != nil {
			return written, err
		}
		n, err := c.w.Write(piece)
		written += n
		if err != nil {
			return written, err
		}
		p = p[len(piece):]
	}
	return written, nil
}

// envelope reads what writeEnvelope wrote. Read returns io.EOF only after it
// has verified the checksum, so a state machine that swaps its state in at
// io.EOF never swaps in damaged data.
type envelope struct {
	header envelopeHeader
	r      *bufio.Reader
	crc    uint32
	left   int
	err    error
}

func openEnvelope(r io.Reader) (*envelope, error) {
	e := &envelope{r: bufio.NewReaderSize(r, chunkBytes)}
	head := make([]byte, envelopeHead)
	if err := e.full(head); err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	if string(head[:len(envelopeMagic)]) != envelopeMagic {
		return nil, errors.New("read snapshot: not a snapshot of this program")
	}
	rest := head[len(envelopeMagic):]
	if version := binary.BigEndian.Uint16(rest); version != envelopeVersion {
		return nil, fmt.Errorf("read snapshot: version %d is not supported: this program reads version %d", version, envelopeVersion)
	}
	e.header.index = binary.BigEndian.Uint64(rest[2:])
	e.header.configuration = binary.BigEndian.Uint64(rest[10:])
	return e, nil
}

// full reads len(p) bytes and adds them to the checksum. It returns an error if
// the file ends before that.
func (e *envelope) full(p []byte) error {
	if _, err := io.ReadFull(e.r, p); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	e.crc = crc32.Update(e.crc, castagnoli, p)
	return nil
}

// Read implements io.Reader.
func (e *envelope) Read(p []byte) (int, error) {
	if e.err == nil && e.left == 0 {
		e.err = e.nextChunk()
	}
	if e.err != nil || len(p) == 0 {
		return 0, e.err
	}
	n, err := e.r.Read(p[:min(len(p), e.left)])
	e.crc = crc32.Update(e.crc, castagnoli, p[:n])
	e.left -= n
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		e.err = fmt.Errorf("read snapshot: %w", err)
		return n, e.err
	}
	return n, nil
}

// nextChunk returns io.EOF at the end, after it has verified the checksum.
func (e *envelope) nextChunk() error {
	var raw [4]byte
	if err := e.full(raw[:]); err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	length := binary.BigEndian.Uint32(raw[:])
	if length > maxChunk {
		return fmt.Errorf("read snapshot: chunk of %d bytes: %w", length, errDamaged)
	}
	if length > 0 {
		e.left = int(length)
		return nil
	}
	want := e.crc
	if err := e.full(raw[:]); err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	if binary.BigEndian.Uint32(raw[:]) != want {
		return fmt.Errorf("read snapshot: %w", errDamaged)
	}
	if _, err := e.r.ReadByte(); err == nil {
		return fmt.Errorf("read snapshot: data after its end: %w", errDamaged)
	}
	return io.EOF
}

// finish reads to the end and verifies the checksum.
func (e *envelope) finish() error {
	_, err := io.Copy(io.Discard, e)
	return err
}
