//go:build linux

package fusefd

import (
	"encoding/json"
	"fmt"
)

// protocolVersion is the version of the messages on the socket. Each side
// accepts every older version, and ignores unknown fields and kinds.
const protocolVersion = 1

// Kinds of messages.
const (
	// kindAcquire requests the mount; the response follows when no other server
	// is attached.
	kindAcquire = "acquire"
	// kindResume is sent by a server that kept serving while its holder was
	// replaced. It names the server's generation and carries the descriptors,
	// for a holder that has none.
	kindResume = "resume"
	// kindLease carries the FUSE descriptor and the slots, in this order.
	kindLease = "lease"
	// kindServing reports to the holder that the server serves the kernel.
	kindServing = "serving"
	// kindNotify carries notifications for the kernel, which the holder writes:
	// the writer of a notification may block uninterruptibly on locks in the
	// kernel, and a server that blocked there could not be killed or replaced.
	kindNotify = "notify"
	// kindNotified reports that the kernel has accepted the last notifications, or has
	// the reason why the holder has not written them.
	kindNotified = "notified"
	// kindRegister carries a file that the holder is to register with the kernel
	// as the backing of a node, and kindRegistered the result.
	kindRegister   = "register"
	kindRegistered = "registered"
	// kindUnregister names registrations to end. It has no response.
	kindUnregister = "unregister"
	// kindDrop names an inode whose pages the holder is to make the kernel drop beside
	// the notifications, and kindDropped reports that it has, or has the reason why not.
	kindDrop    = "drop"
	kindDropped = "dropped"
	// kindRefused carries the reason why the server is not attached.
	kindRefused = "refused"
)

// Features of a holder: it registers backings, and it drops pages.
const (
	featureBackings = "backings"
	featureDrops    = "drops"
)

// message is one packet on the socket. Features lists optional abilities of the
// sender.
type message struct {
	Version    int      `json:"version"`
	Kind       string   `json:"kind"`
	Features   []string `json:"features,omitempty"`
	Generation uint64   `json:"generation,omitempty"`
	Mountpoint string   `json:"mountpoint,omitempty"`
	// Session is the session of the slots, in kindResume.
	Session []byte `json:"session,omitempty"`
	// Serving, in kindResume, reports that the server serves the kernel.
	Serving bool   `json:"serving,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// Notifications are written to the device as they are.
	Notifications [][]byte `json:"notifications,omitempty"`
	// Request is chosen by the server for kindRegister and kindDrop, and returned in
	// kindRegistered and kindDropped. Node is the nodeid of the registration, or that of
	// the inode.
	Request uint64 `json:"request,omitempty"`
	Node    uint64 `json:"node,omitempty"`
	// Backings are the ids of registrations: the new one, or those to end.
	Backings []uint32 `json:"backings,omitempty"`
	// Code is the class of a failed registration, and Reason its error.
	Code string `json:"code,omitempty"`
}

func (m message) encode() ([]byte, error) {
	m.Version = protocolVersion
	data, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", m.Kind, err)
	}
	if len(data) > messageSize {
		return nil, fmt.Errorf("encode %s: %d bytes exceed the message size", m.Kind, len(data))
	}
	return data, nil
}

func decodeMessage(data []byte) (message, error) {
	var m message
	if err := json.Unmarshal(data, &m); err != nil {
		return message{}, fmt.Errorf("decode message: %w", err)
	}
	if m.Version < 1 {
		return message{}, fmt.Errorf("decode message: version is missing")
	}
	if m.Kind == "" {
		return message{}, fmt.Errorf("decode message: kind is missing")
	}
	return m, nil
}
