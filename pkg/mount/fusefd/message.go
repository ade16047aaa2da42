//go:build linux

package fusefd

import (
	"encoding/json"
	"fmt"
)

// protocolVersion of the socket. A side that speaks a newer one accepts every
// older one; fields and kinds it does not know are ignored.
const protocolVersion = 1

// Kinds of messages.
const (
	// kindAcquire asks for the mount; the answer comes when it is the asker's
	// turn.
	kindAcquire = "acquire"
	// kindResume comes from a server whose holder went away and which serves on:
	// it names its lease and brings the descriptors, for a holder that has none.
	kindResume = "resume"
	// kindLease lends the fuse descriptor and the slots, in this order.
	kindLease = "lease"
	// kindServing tells the holder that the kernel is being answered.
	kindServing = "serving"
	// kindNotify carries notifications for the kernel, which the holder writes:
	// the kernel makes whoever writes one wait for locks, uninterruptibly, and
	// a server that waited so could not be killed, nor replaced.
	kindNotify = "notify"
	// kindNotified says that the kernel has the last ones.
	kindNotified = "notified"
	// kindRefused says why there will be no lease.
	kindRefused = "refused"
)

// message is one packet on the socket. Features is where either side will say
// what else it can do, such as opening passthrough backings.
type message struct {
	Version    int      `json:"version"`
	Kind       string   `json:"kind"`
	Features   []string `json:"features,omitempty"`
	Generation uint64   `json:"generation,omitempty"`
	Mountpoint string   `json:"mountpoint,omitempty"`
	// Session in kindResume is that of the slots.
	Session []byte `json:"session,omitempty"`
	// Serving in kindResume says that the kernel is being answered.
	Serving bool   `json:"serving,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// Notifications as they are written to the device.
	Notifications [][]byte `json:"notifications,omitempty"`
}

func (m message) encode() ([]byte, error) {
	m.Version = protocolVersion
	data, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", m.Kind, err)
	}
	if len(data) > messageSize {
		return nil, fmt.Errorf("encoding %s: %d bytes are more than a message holds", m.Kind, len(data))
	}
	return data, nil
}

func decodeMessage(data []byte) (message, error) {
	var m message
	if err := json.Unmarshal(data, &m); err != nil {
		return message{}, fmt.Errorf("decoding a message: %w", err)
	}
	if m.Version < 1 {
		return message{}, fmt.Errorf("decoding a message: it carries no version")
	}
	if m.Kind == "" {
		return message{}, fmt.Errorf("decoding a message: it has no kind")
	}
	return m, nil
}
