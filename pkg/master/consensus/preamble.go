package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The preamble is what both ends of a connection send before the first byte of
// Raft, the dialling end first. It is
//
//	magic "JRFT" | version 1 byte | length of the rest 2 bytes |
//	cluster | to | from | refusal, each with its length in 2 bytes before it
//
// Raft's own messages carry no cluster id, and an address may have been
// reassigned: only the preamble keeps two clusters apart.
const (
	preambleMagic   = "JRFT"
	preambleVersion = 1
	preambleHead    = len(preambleMagic) + 3
	// maxName bounds cluster and member ids, maxRefusal the message; both in
	// bytes.
	maxName    = 253
	maxRefusal = 512
	maxBody    = 3*(2+maxName) + 2 + maxRefusal
)

var errPreamble = errors.New("not a preamble of this protocol")

type preamble struct {
	cluster string
	// to is the id of the receiving member, from that of the sending one.
	to, from string
	// refusal is why the listener rejects the connection; empty when it
	// accepts.
	refusal string
}

// encode returns an error only for an id that is too long. Refusals are
// truncated.
func (p preamble) encode() ([]byte, error) {
	if len(p.refusal) > maxRefusal {
		p.refusal = p.refusal[:maxRefusal]
	}
	body := make([]byte, 0, maxBody)
	for _, field := range []string{p.cluster, p.to, p.from, p.refusal} {
		if len(field) > maxRefusal {
			return nil, fmt.Errorf("encode preamble: %.32q… is too long", field)
		}
		body = binary.BigEndian.AppendUint16(body, uint16(len(field)))
		body = append(body, field...)
	}
	if len(body) > maxBody {
		return nil, errors.New("encode preamble: ids are too long")
	}
	out := append(make([]byte, 0, preambleHead+len(body)), preambleMagic...)
	out = append(out, preambleVersion)
	out = binary.BigEndian.AppendUint16(out, uint16(len(body)))
	return append(out, body...), nil
}

// readPreamble reads exactly one preamble, and leaves what follows in r.
func readPreamble(r io.Reader) (preamble, error) {
	head := make([]byte, preambleHead)
	if _, err := io.ReadFull(r, head); err != nil {
		return preamble{}, fmt.Errorf("read preamble: %w", err)
	}
	if string(head[:len(preambleMagic)]) != preambleMagic {
		return preamble{}, fmt.Errorf("read preamble: %w", errPreamble)
	}
	if version := head[len(preambleMagic)]; version != preambleVersion {
		return preamble{}, fmt.Errorf("read preamble: version %d, want %d: %w", version, preambleVersion, errPreamble)
	}
	length := int(binary.BigEndian.Uint16(head[len(preambleMagic)+1:]))
	if length > maxBody {
		return preamble{}, fmt.Errorf("read preamble: length %d: %w", length, errPreamble)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return preamble{}, fmt.Errorf("read preamble: %w", err)
	}
	return decodePreamble(body)
}

func decodePreamble(body []byte) (preamble, error) {
	var p preamble
	for _, field := range []*string{&p.cluster, &p.to, &p.from, &p.refusal} {
		if len(body) < 2 {
			return preamble{}, fmt.Errorf("decode preamble: truncated: %w", errPreamble)
		}
		length := int(binary.BigEndian.Uint16(body))
		if len(body)-2 < length {
			return preamble{}, fmt.Errorf("decode preamble: truncated: %w", errPreamble)
		}
		*field, body = string(body[2:2+length]), body[2+length:]
	}
	if len(body) != 0 {
		return preamble{}, fmt.Errorf("decode preamble: %d extra bytes: %w", len(body), errPreamble)
	}
	return p, nil
}
