//go:build linux

package fdstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

const (
	protocolVersion = 1
	// messageSize bounds a message.
	messageSize = 64 << 10
	// MaxDescription bounds a description, in bytes.
	MaxDescription = 16 << 10
	// MaxDeposits bounds what one keeper holds.
	MaxEntries = 4096
)

// Kinds of messages.
const (
	// kindDeposit gives files to the keeper; kindWithdraw ends that. Either is
	// answered by kindDone, with a reason when it was refused.
	kindStore  = "deposit"
	kindRemove = "withdraw"
	kindDone   = "done"
	// kindHeld is sent for each deposit to who has connected, then kindAll.
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

// send one message with files.
func send(conn *net.UnixConn, m message, files []*os.File) error {
	m.Version = protocolVersion
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", m.Kind, err)
	}
	if len(data) > messageSize {
		return fmt.Errorf("encoding %s: %d bytes are more than a message holds", m.Kind, len(data))
	}
	if err := fdsock.Send(conn, data, files...); err != nil {
		return fmt.Errorf("sending %s: %w", m.Kind, err)
	}
	return nil
}

// receive one message. Files are the caller's to close.
func receive(conn *net.UnixConn) (message, []*os.File, error) {
	data := make([]byte, messageSize)
	n, fds, err := fdsock.Receive(conn, data)
	if err != nil {
		return message{}, nil, fmt.Errorf("receiving: %w", err)
	}
	m, err := decode(data[:n])
	if err != nil {
		fdsock.Close(fds)
		return message{}, nil, err
	}
	return m, fdsock.Files(fds, "kept"), nil
}

func decode(data []byte) (message, error) {
	var m message
	if err := json.Unmarshal(data, &m); err != nil {
		return message{}, fmt.Errorf("decoding a message: %w", err)
	}
	if m.Version < 1 || m.Kind == "" {
		return message{}, errors.New("decoding a message: it carries no version or no kind")
	}
	return m, nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
