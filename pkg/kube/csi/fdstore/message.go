//go:build linux

package fdstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

const (
	protocolVersion = 1
	// sendTimeout bounds the sending of one message, so that a peer that does not
	// receive cannot keep the other end.
	sendTimeout = 10 * time.Second
	// messageSize is the maximum size of a message, in bytes.
	messageSize = 64 << 10
	// MaxDescription is the maximum size of a description, in bytes.
	MaxDescription = 16 << 10
	// MaxEntries is the maximum number of entries in a server.
	MaxEntries = 4096
)

// Kinds of messages. The values are part of the protocol.
const (
	// kindStore stores an entry, kindRemove removes one. The response to either
	// is kindDone, with a reason if the request was rejected.
	kindStore  = "deposit"
	kindRemove = "withdraw"
	kindDone   = "done"
	// kindEntry is sent to a new client for each stored entry, followed by
	// kindEnd.
	kindEntry = "held"
	kindEnd   = "all"
)

// message is one packet.
type message struct {
	Version     int             `json:"version"`
	Kind        string          `json:"kind"`
	Key         string          `json:"key,omitempty"`
	Description json.RawMessage `json:"description,omitempty"`
	Reason      string          `json:"reason,omitempty"`
}

// send sends one message with files.
func send(conn *net.UnixConn, m message, files []*os.File) error {
	m.Version = protocolVersion
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode %s: %w", m.Kind, err)
	}
	if len(data) > messageSize {
		return fmt.Errorf("encode %s: message of %d bytes exceeds the limit of %d", m.Kind, len(data), messageSize)
	}
	if err := conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return fmt.Errorf("send %s: %w", m.Kind, err)
	}
	if err := fdsock.Send(conn, data, files...); err != nil {
		return fmt.Errorf("send %s: %w", m.Kind, err)
	}
	return nil
}

// receive receives one message. The caller must close the files.
func receive(conn *net.UnixConn) (message, []*os.File, error) {
	data := make([]byte, messageSize)
	n, fds, err := fdsock.Receive(conn, data)
	if err != nil {
		return message{}, nil, fmt.Errorf("receive message: %w", err)
	}
	m, err := decode(data[:n])
	if err != nil {
		fdsock.Close(fds)
		return message{}, nil, err
	}
	return m, fdsock.Files(fds, "fdstore"), nil
}

func decode(data []byte) (message, error) {
	var m message
	if err := json.Unmarshal(data, &m); err != nil {
		return message{}, fmt.Errorf("decode message: %w", err)
	}
	if m.Version < 1 || m.Kind == "" {
		return message{}, errors.New("decode message: version or kind is missing")
	}
	return m, nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
