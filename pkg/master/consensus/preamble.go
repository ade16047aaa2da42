package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The preamble is what both ends of a connection say before the first byte of
// Raft: the dialler first, then the listener. It is
//
//	magic "JRFT" | version 1 byte | length of the rest 2 bytes |
//	cluster | to | from | refusal, each with its length in 2 bytes before it
//
// Raft's own messages carry no cluster id, and an address may have gone to
// somebody else: nothing but this keeps two clusters apart.
const (
	preambleMagic   = "JRFT"
	preambleVersion = 1
	preambleHead    = len(preambleMagic) + 3
	// maxName bounds cluster and member ids, maxRefusal the sentence.
	maxName    = 253
	maxRefusal = 512
	maxBody    = 3*(2+maxName) + 2 + maxRefusal
)

var errPreamble = errors.New("not a preamble of this protocol")

type preamble struct {
	cluster string
	// to is the member that is meant, from the one that speaks.
	to, from string
	// refusal says why the listener will not talk; empty when it will.
	refusal string
}

// encode fails only for a field that is too long; refusals are cut.
func (p preamble) encode() ([]byte, error) {
	if len(p.refusal) > maxRefusal {
		p.refusal = p.refusal[:maxRefusal]
	}
	body := make([]byte, 0, maxBody)
	for _, field := range []string{p.cluster, p.to, p.from, p.refusal} {
		if len(field) > maxRefusal {
			return nil, fmt.Errorf("encoding preamble: %.32q… is too long", field)
		}
		body = binary.BigEndian.AppendUint16(body, uint16(len(field)))
		body = append(body, field...)
	}
	if len(body) > maxBody {
		return nil, errors.New("encoding preamble: ids are too long")
	}
	out := append(make([]byte, 0, preambleHead+len(body)), preambleMagic...)
	out = append(out, preambleVersion)
	out = binary.BigEndian.AppendUint16(out, uint16(len(body)))
	return append(out, body...), nil
}

// readPreamble reads exactly one preamble, so that what follows is left in r.
func readPreamble(r io.Reader) (preamble, error) {
	head := make([]byte, preambleHead)
	if _, err := io.ReadFull(r, head); err != nil {
		return preamble{}, fmt.Errorf("reading preamble: %w", err)
	}
	if string(head[:len(preambleMagic)]) != preambleMagic {
		return preamble{}, fmt.Errorf("reading preamble: %w", errPreamble)
	}
	if version := head[len(preambleMagic)]; version != preambleVersion {
		return preamble{}, fmt.Errorf("reading preamble: its version is %d, and this member speaks %d: %w", version, preambleVersion, errPreamble)
	}
	length := int(binary.BigEndian.Uint16(head[len(preambleMagic)+1:]))
	if length > maxBody {
		return preamble{}, fmt.Errorf("reading preamble: it is %d bytes long: %w", length, errPreamble)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return preamble{}, fmt.Errorf("reading preamble: %w", err)
	}
	return decodePreamble(body)
}

func decodePreamble(body []byte) (preamble, error) {
	var p preamble
	for _, field := range []*string{&p.cluster, &p.to, &p.from, &p.refusal} {
		if len(body) < 2 {
			return preamble{}, fmt.Errorf("decoding preamble: it ends early: %w", errPreamble)
		}
		length := int(binary.BigEndian.Uint16(body))
		if len(body)-2 < length {
			return preamble{}, fmt.Errorf("decoding preamble: it ends early: %w", errPreamble)
		}
		*field, body = string(body[2:2+length]), body[2+length:]
	}
	if len(body) != 0 {
		return preamble{}, fmt.Errorf("decoding preamble: %d bytes are left over: %w", len(body), errPreamble)
	}
	return p, nil
}
