//go:build linux

package keeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

const (
	protocolVersion = 1
	// network keeps messages apart and reports the end of the other side.
	network = "unixpacket"
	// messageSize bounds a message, MaxDescription what it describes, and
	// maxFiles what it carries.
	messageSize = 64 << 10
	maxFiles    = 8
	// MaxDescription bounds a description, in bytes.
	MaxDescription = 16 << 10
	// MaxDeposits bounds what one keeper holds.
	MaxDeposits = 4096
)

// Kinds of messages.
const (
	// kindDeposit gives files to the keeper; kindWithdraw ends that. Either is
	// answered by kindDone, with a reason when it was refused.
	kindDeposit  = "deposit"
	kindWithdraw = "withdraw"
	kindDone     = "done"
	// kindHeld is sent for each deposit to who has connected, then kindAll.
	kindHeld = "held"
	kindAll  = "all"
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
	return lend(files, nil, func(fds []int) error {
		var control []byte
		if len(fds) > 0 {
			control = unix.UnixRights(fds...)
		}
		if _, _, err := conn.WriteMsgUnix(data, control, nil); err != nil {
			return fmt.Errorf("sending %s: %w", m.Kind, err)
		}
		return nil
	})
}

// lend the numbers of open files without changing their mode, as File.Fd might.
func lend(files []*os.File, fds []int, use func([]int) error) error {
	if len(files) == 0 {
		return use(fds)
	}
	raw, err := files[0].SyscallConn()
	if err != nil {
		return fmt.Errorf("lending a descriptor: %w", err)
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = lend(files[1:], append(fds, int(fd)), use) }); err != nil {
		return fmt.Errorf("lending a descriptor: %w", err)
	}
	return inner
}

// receive one message. Files are the caller's to close.
func receive(conn *net.UnixConn) (message, []*os.File, error) {
	data, control := make([]byte, messageSize), make([]byte, unix.CmsgSpace(4*maxFiles))
	n, oobn, flags, _, err := conn.ReadMsgUnix(data, control)
	if err != nil {
		return message{}, nil, fmt.Errorf("receiving: %w", err)
	}
	files := filesOf(control[:oobn])
	m, err := decode(data[:n], flags)
	if err != nil {
		closeFiles(files)
		return message{}, nil, err
	}
	return m, files, nil
}

func decode(data []byte, flags int) (message, error) {
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		return message{}, errors.New("receiving: the message was cut short")
	}
	if len(data) == 0 {
		return message{}, fmt.Errorf("receiving: %w", net.ErrClosed)
	}
	var m message
	if err := json.Unmarshal(data, &m); err != nil {
		return message{}, fmt.Errorf("decoding a message: %w", err)
	}
	if m.Version < 1 || m.Kind == "" {
		return message{}, errors.New("decoding a message: it carries no version or no kind")
	}
	return m, nil
}

// filesOf a control message, which the kernel wrote.
func filesOf(control []byte) []*os.File {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	var files []*os.File
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue // another kind, which carries none
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "kept"))
		}
	}
	return files
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// peerUser asks the kernel who is at the other end.
func peerUser(conn *net.UnixConn) (uint32, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("asking for the peer: %w", err)
	}
	var cred *unix.Ucred
	var inner error
	if err := raw.Control(func(fd uintptr) {
		cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, fmt.Errorf("asking for the peer: %w", err)
	}
	if inner != nil {
		return 0, fmt.Errorf("asking for the peer: %w", inner)
	}
	return cred.Uid, nil
}
