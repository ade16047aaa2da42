package fdpass

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

const (
	magic      = "JFD"
	version    = 2
	headerSize = 16
	// maxMessage bounds every packet.
	maxMessage = 16 << 10
)

type kind uint16

const (
	kindOpen     kind = 1
	kindOpened   kind = 2
	kindGiveBack kind = 3
	kindRevoked  kind = 4
	kindUsed     kind = 5
	kindUses     kind = 6
	kindRecalled kind = 7
)

const (
	// useSize is the size of one use in a message, in bytes, and maxUses the number of
	// those that one message has at most.
	useSize = 24
	maxUses = (maxMessage - headerSize) / useSize
	// maxRecalled is the number of further ids in one recalled message.
	maxRecalled = (maxMessage - headerSize) / 8
)

// use is what a client has done with a file since the last report, and whether it uses
// it now.
type use struct {
	id    uint64
	opens uint32
	idle  bool
	bytes uint64
}

type outcome uint16

const (
	granted   outcome = 0
	notSealed outcome = 1
	refused   outcome = 2
)

// Key names one version of the bytes of one object.
type Key struct {
	Mount, Key, ETag string
	Size             int64
}

// message is one packet.
type message struct {
	kind    kind
	outcome outcome
	id      uint64
	key     Key      // of open
	recalls bool     // of open: the client processes recalled
	text    string   // of opened
	opens   uint32   // of used
	bytes   uint64   // of used
	uses    []use    // of uses
	more    []uint64 // of recalled
}

// errProtocol means that the peer does not use this protocol.
var errProtocol = errors.New("not a message of this protocol")

func (m message) encode() ([]byte, error) {
	b := append([]byte(magic), version)
	b = binary.LittleEndian.AppendUint16(b, uint16(m.kind))
	status := uint16(m.outcome)
	if m.kind == kindOpen {
		status = uint16(bit(m.recalls))
	}
	b = binary.LittleEndian.AppendUint16(b, status)
	b = binary.LittleEndian.AppendUint64(b, m.id)
	switch m.kind {
	case kindOpen:
		b = binary.LittleEndian.AppendUint64(b, uint64(m.key.Size))
		for _, s := range []string{m.key.Mount, m.key.Key, m.key.ETag} {
			if len(s) >= maxMessage {
				return nil, fmt.Errorf("a field of %d bytes: %w", len(s), errProtocol)
			}
			b = binary.LittleEndian.AppendUint16(b, uint16(len(s)))
			b = append(b, s...)
		}
	case kindOpened:
		b = append(b, m.text[:min(len(m.text), 1024)]...)
	case kindUsed:
		b = binary.LittleEndian.AppendUint32(b, m.opens)
		b = binary.LittleEndian.AppendUint64(b, m.bytes)
	case kindUses:
		for _, u := range m.uses {
			b = binary.LittleEndian.AppendUint64(b, u.id)
			b = binary.LittleEndian.AppendUint32(b, u.opens)
			b = binary.LittleEndian.AppendUint32(b, bit(u.idle))
			b = binary.LittleEndian.AppendUint64(b, u.bytes)
		}
	case kindRecalled:
		for _, id := range m.more {
			b = binary.LittleEndian.AppendUint64(b, id)
		}
	}
	if len(b) > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes: %w", len(b), errProtocol)
	}
	return b, nil
}

func decode(b []byte) (message, error) {
	if len(b) < headerSize || len(b) > maxMessage || string(b[:3]) != magic {
		return message{}, fmt.Errorf("%d bytes: %w", len(b), errProtocol)
	}
	if b[3] != version {
		return message{}, fmt.Errorf("protocol version %d, want %d: %w", b[3], version, errProtocol)
	}
	m := message{
		kind:    kind(binary.LittleEndian.Uint16(b[4:])),
		outcome: outcome(binary.LittleEndian.Uint16(b[6:])),
		id:      binary.LittleEndian.Uint64(b[8:]),
	}
	rest := b[headerSize:]
	switch {
	case m.kind == kindOpen:
		key, err := decodeKey(rest)
		m.key, m.recalls, m.outcome = key, m.outcome == 1, 0
		return m, err
	case m.kind == kindOpened && m.outcome <= refused:
		m.text = string(rest)
		if !utf8.ValidString(m.text) {
			m.text = ""
		}
		return m, nil
	case (m.kind == kindGiveBack || m.kind == kindRevoked) && len(rest) == 0:
		return m, nil
	case m.kind == kindUsed && len(rest) == 12:
		m.opens, m.bytes = binary.LittleEndian.Uint32(rest), binary.LittleEndian.Uint64(rest[4:])
		return m, nil
	case m.kind == kindUses && len(rest)%useSize == 0:
		for ; len(rest) > 0; rest = rest[useSize:] {
			m.uses = append(m.uses, use{
				id: binary.LittleEndian.Uint64(rest), opens: binary.LittleEndian.Uint32(rest[8:]),
				idle: binary.LittleEndian.Uint32(rest[12:]) != 0, bytes: binary.LittleEndian.Uint64(rest[16:]),
			})
		}
		return m, nil
	case m.kind == kindRecalled && len(rest)%8 == 0:
		for ; len(rest) > 0; rest = rest[8:] {
			m.more = append(m.more, binary.LittleEndian.Uint64(rest))
		}
		return m, nil
	}
	return message{}, fmt.Errorf("kind %d: %w", m.kind, errProtocol)
}

func bit(set bool) uint32 {
	if set {
		return 1
	}
	return 0
}

func decodeKey(b []byte) (Key, error) {
	bad := func() (Key, error) { return Key{}, fmt.Errorf("invalid key: %w", errProtocol) }
	if len(b) < 8 {
		return bad()
	}
	key := Key{Size: int64(binary.LittleEndian.Uint64(b))}
	b = b[8:]
	for _, field := range []*string{&key.Mount, &key.Key, &key.ETag} {
		if len(b) < 2 {
			return bad()
		}
		n := int(binary.LittleEndian.Uint16(b))
		b = b[2:]
		if n > len(b) {
			return bad()
		}
		*field, b = string(b[:n]), b[n:]
	}
	if len(b) != 0 || key.Size < 0 {
		return bad()
	}
	return key, nil
}
