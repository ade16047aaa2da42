//go:build linux

package fusefd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

// Requests of ioctl(2) on the FUSE device, from include/uapi/linux/fuse.h.
const (
	ioctlBackingOpen  = 0x4010e501
	ioctlBackingClose = 0x4004e502
)

// maxRegistering bounds the registrations that wait for the broker of a mount.
const maxRegistering = 64

// broker registers files with the kernel for the servers of a mount, which may lack
// the privilege for it. The kernel opens a registered file with the credentials of
// this process for every reader of its node. Therefore a server must not choose
// freely: the broker registers only files that it received open for reading, and
// that AcceptBacking accepts, on a mount that is read-only in the kernel.
//
// Registrations outlive the server: a successor continues them or ends them. They
// are kept in the memory file too, for a later holder. The memory file is writable
// by servers, which can damage only registrations of their own mount, because ids
// belong to one connection to the kernel.
//
// Its methods are safe for concurrent use.
type broker struct {
	session *Session
	waiting chan registration

	// mu guards the fields below, and the entries in the memory file.
	mu sync.Mutex
	// held holds the registrations with their entry in the memory file, by id.
	held map[uint32]int
	// free are the free entries.
	free   []int
	closed bool
}

// registration is a request of a server.
type registration struct {
	node, request uint64
	file          *os.File
	from          *net.UnixConn
}

func newBroker(s *Session) *broker {
	b := &broker{session: s, waiting: make(chan registration, maxRegistering), held: map[uint32]int{}}
	for i := s.slots.backings - 1; i >= 0; i-- {
		held, ok := s.slots.backing(i)
		if _, twice := b.held[held.ID]; ok && !twice {
			b.held[held.ID] = i
			continue
		}
		s.slots.clearBacking(i)
		b.free = append(b.free, i)
	}
	return b
}

// usable returns nil if this holder registers files.
func (b *broker) usable() error {
	s := b.session
	switch {
	case s.opts.AcceptBacking == nil:
		return errors.New("the holder of the mount registers no files")
	case !s.readOnly:
		return errors.New("the mount is not read-only in the kernel")
	case s.slots.backings == 0:
		return errors.New("the mount was made by an older version")
	}
	return nil
}

// features returns the features of the holder that a server is to be told.
func (b *broker) features() []string {
	if b.usable() != nil {
		return []string{featureDrops}
	}
	return []string{featureDrops, featureBackings}
}

// queue queues a registration, and refuses it when too many wait. It takes over the
// descriptors.
func (b *broker) queue(p packet, from *net.UnixConn) {
	files := fdsock.Files(p.fds, "backing")
	r := registration{node: p.message.Node, request: p.message.Request, from: from}
	if len(files) == 1 {
		r.file = files[0]
	} else {
		for _, f := range files {
			_ = f.Close()
		}
	}
	select {
	case b.waiting <- r:
	default:
		r.close()
		r.respond(0, &RegisterError{Code: RegisterBusy, Reason: "too many registrations wait"})
	}
}

func (r registration) close() {
	if r.file != nil {
		_ = r.file.Close()
	}
}

// run processes registrations until the context ends.
func (b *broker) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-b.waiting:
			id, err := b.register(r)
			r.close()
			if err != nil {
				b.session.log.Debug("a backing was not registered", "nodeid", r.node, "error", err)
			}
			r.respond(id, err)
		}
	}
}

// respond sends the result. The server may have detached meanwhile; the registration
// remains for its successor.
func (r registration) respond(id uint32, err error) {
	m := message{Kind: kindRegistered, Request: r.request, Node: r.node}
	if err == nil {
		m.Backings = []uint32{id}
	} else {
		m.Code, m.Reason = codeOf(err), err.Error()
	}
	_ = send(r.from, m)
}

// register checks a file and registers it.
func (b *broker) register(r registration) (uint32, error) {
	if err := b.usable(); err != nil {
		return 0, &RegisterError{Code: RegisterRefused, Reason: err.Error()}
	}
	if r.file == nil {
		return 0, &RegisterError{Code: RegisterRefused, Reason: "the message must carry one descriptor"}
	}
	var id uint32
	err := fdsock.Lend([]*os.File{r.file}, func(fds []int) error {
		f, err := checkBacking(fds[0])
		if err == nil {
			err = b.session.opts.AcceptBacking(f)
		}
		if err != nil {
			return &RegisterError{Code: RegisterRefused, Reason: err.Error()}
		}
		id, err = b.open(r.node, f)
		return err
	})
	return id, err
}

// checkBacking checks what must hold for every backing, on the descriptor itself,
// which does not change any more.
func checkBacking(fd int) (BackingFile, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return BackingFile{}, fmt.Errorf("get the status of the file: %w", err)
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	switch {
	case err != nil:
		return BackingFile{}, fmt.Errorf("get the flags of the file: %w", err)
	case stat.Mode&unix.S_IFMT != unix.S_IFREG:
		return BackingFile{}, errors.New("the file is not a regular file")
	case flags&unix.O_PATH != 0 || flags&unix.O_ACCMODE != unix.O_RDONLY:
		// The kernel opens the file again with the rights of this process. A server
		// that could not open it for reading must not get it that way.
		return BackingFile{}, errors.New("the file is not open for reading only")
	}
	links := uint64(stat.Nlink) //nolint:unconvert // 32 bits on arm64.
	return BackingFile{FD: fd, Device: stat.Dev, Inode: stat.Ino, Size: stat.Size, Links: links}, nil
}

// open registers a file that was checked.
func (b *broker) open(node uint64, f BackingFile) (uint32, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return 0, net.ErrClosed
	case len(b.held) >= b.session.opts.MaxBackings || len(b.free) == 0:
		return 0, &RegisterError{Code: RegisterLimit, Reason: fmt.Sprintf("%d files are registered already", len(b.held))}
	}
	argument := struct {
		fd      int32
		flags   uint32
		padding uint64
	}{fd: int32(f.FD)}
	id, err := b.ioctl(ioctlBackingOpen, unsafe.Pointer(&argument))
	if err != nil {
		return 0, kernelError(err)
	}
	if id == 0 {
		return 0, &RegisterError{Code: RegisterFailed, Reason: "the kernel returned no id"}
	}
	entry := b.free[len(b.free)-1]
	b.free = b.free[:len(b.free)-1]
	b.held[id] = entry
	b.session.slots.setBacking(entry, Backing{ID: id, Node: node, Device: f.Device, Inode: f.Inode})
	return id, nil
}

// unregister ends registrations. Ids that this mount has not registered are
// ignored.
func (b *broker) unregister(ids []uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	for _, id := range ids {
		entry, ok := b.held[id]
		if !ok {
			b.session.log.Debug("a server wants to end a registration that does not exist", "id", id)
			continue
		}
		argument := id
		if _, err := b.ioctl(ioctlBackingClose, unsafe.Pointer(&argument)); err != nil {
			b.session.log.Warn("cannot end the registration of a backing", "id", id, "error", err)
		}
		delete(b.held, id)
		b.session.slots.clearBacking(entry)
		b.free = append(b.free, entry)
	}
}

// close makes the broker refuse all requests. The registrations remain.
func (b *broker) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}

// count returns the number of registrations.
func (b *broker) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.held)
}

// ioctl makes a request to the device. The caller must hold mu.
func (b *broker) ioctl(request uintptr, argument unsafe.Pointer) (uint32, error) {
	var result uintptr
	err := fdsock.Lend([]*os.File{b.session.fuse}, func(fds []int) error {
		r, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fds[0]), request, uintptr(argument))
		if errno != 0 {
			return errno
		}
		result = r
		return nil
	})
	return uint32(result), err
}
