// Package snapshot reads and writes files with the state of the masters of a runtime, for
// administrators.
//
// A file is
//
//	magic "JINDOMST" | version 1 byte | length of the header 4 bytes, big-endian |
//	header, JSON | state, as package state writes it | SHA-256 of everything before
//
// and nothing after. Every later version must read files of earlier ones. Files come from
// users: a reader takes memory in proportion to what it has read, at most that of
// MaxSize, and returns an error that names the damaged part.
package snapshot

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/jindo-io/jindo/pkg/master/state"
)

const (
	magic   = "JINDOMST"
	version = 1
	// maxHeader bounds the header, in bytes.
	maxHeader = 64 << 10
	// MaxSize bounds a file, in bytes.
	MaxSize = 256 << 20
)

// Header describes where a state is from.
type Header struct {
	ClusterID string `json:"clusterID"`
	// Index is that of the last entry in the state, Term the term in which it was saved.
	Index uint64 `json:"index"`
	Term  uint64 `json:"term"`
	// Members are those of Raft when it was saved.
	Members []Member `json:"members"`
	// Master is the name of the master that saved it. Confirmed reports whether it had
	// every change that was acknowledged before.
	Master    string    `json:"master"`
	Confirmed bool      `json:"confirmed"`
	Time      time.Time `json:"time"`
	// Program is the version of the master.
	Program string `json:"program"`
	// Redacted reports that Redact has written the file, which is not restored.
	Redacted bool `json:"redacted,omitempty"`
}

// Member is a member of Raft.
type Member struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Voter   bool   `json:"voter"`
}

// Write writes a file.
func Write(w io.Writer, h Header, of *state.Snapshot) error {
	raw, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if len(raw) > maxHeader {
		return fmt.Errorf("write snapshot: a header of %d bytes", len(raw))
	}
	sum := sha256.New()
	to := io.MultiWriter(w, sum)
	start := binary.BigEndian.AppendUint32(append([]byte(magic), version), uint32(len(raw)))
	if _, err := to.Write(append(start, raw...)); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if _, err := of.WriteTo(to); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if _, err := w.Write(sum.Sum(nil)); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

// Content is what a verified file holds.
type Content struct {
	Header
	// Sum is the SHA-256 of the file without its last 32 bytes, in hexadecimal.
	Sum string
	// State is the state. No other code uses it.
	State *state.Machine
}

// Read reads a file to its end and verifies it. An error wraps state.ErrUnknown for a file
// that only a newer version can read.
func Read(r io.Reader) (*Content, error) {
	content, err := read(&limited{from: r, left: MaxSize})
	if err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	return content, nil
}

func read(r io.Reader) (*Content, error) {
	sum := sha256.New()
	from := bufio.NewReaderSize(r, 64<<10)
	c := &Content{}
	if err := readHeader(io.TeeReader(from, sum), &c.Header); err != nil {
		return nil, err
	}
	machine, err := state.New(func(error) {})
	if err != nil {
		return nil, err
	}
	body := &body{from: from, sum: sum}
	restored := machine.Restore(body)
	// The checksum shows whether the file is damaged, also if the state was accepted.
	if _, err := io.Copy(io.Discard, body); err != nil {
		return nil, err
	}
	trailer, err := io.ReadAll(from)
	if err != nil {
		return nil, err
	}
	computed := sum.Sum(nil)
	switch {
	case len(trailer) < sha256.Size:
		return nil, errors.New("the file is truncated")
	case !bytes.Equal(trailer, computed):
		return nil, fmt.Errorf("the file is truncated or damaged: its SHA-256 is %x, but its last bytes say %x", computed, trailer)
	case restored != nil:
		return nil, fmt.Errorf("the checksum is correct, but the state is not: %w", restored)
	}
	view := machine.View()
	if view.Index() != c.Index || view.ClusterID() != c.ClusterID {
		return nil, fmt.Errorf("the header is for index %d of cluster %q, but the state for index %d of cluster %q",
			c.Index, c.ClusterID, view.Index(), view.ClusterID())
	}
	c.State, c.Sum = machine, hex.EncodeToString(computed)
	return c, nil
}

// readHeader reads everything before the state.
func readHeader(from io.Reader, h *Header) error {
	start := make([]byte, len(magic)+1+4)
	if _, err := io.ReadFull(from, start); err != nil {
		return unexpected(err, "it is no snapshot of masters: it has fewer than %d bytes", len(start))
	}
	if string(start[:len(magic)]) != magic {
		return errors.New("it is no snapshot of masters")
	}
	if v := start[len(magic)]; v != version {
		return fmt.Errorf("version %d of the file is not supported: this program reads version %d: %w", v, version, state.ErrUnknown)
	}
	length := binary.BigEndian.Uint32(start[len(magic)+1:])
	if length > maxHeader {
		return fmt.Errorf("the header is damaged: its length is %d bytes", length)
	}
	raw := make([]byte, length)
	if _, err := io.ReadFull(from, raw); err != nil {
		return unexpected(err, "the file ends within the header")
	}
	if err := json.Unmarshal(raw, h); err != nil {
		return fmt.Errorf("the header is damaged: %w", err)
	}
	return nil
}

// unexpected returns an error of the file for its end, and other errors as they are.
func unexpected(err error, format string, args ...any) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf(format, args...)
	}
	return err
}

// body reads everything but the checksum at the end of a file, and adds it to sum.
type body struct {
	from *bufio.Reader
	sum  hash.Hash
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	ahead, err := b.from.Peek(min(len(p), b.from.Size()-sha256.Size) + sha256.Size)
	if len(ahead) <= sha256.Size {
		return 0, err // never nil
	}
	n := copy(p, ahead[:len(ahead)-sha256.Size])
	_, _ = b.sum.Write(p[:n])
	_, err = b.from.Discard(n)
	return n, err
}

// limited returns an error after a number of bytes.
type limited struct {
	from io.Reader
	left int64
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("it is larger than %d bytes", MaxSize)
	}
	n, err := l.from.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}
