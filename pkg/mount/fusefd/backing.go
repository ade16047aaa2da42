//go:build linux

package fusefd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Codes of RegisterError.
const (
	// RegisterRefused means that the holder does not accept the file.
	RegisterRefused = "refused"
	// RegisterLimit means that too many files are registered.
	RegisterLimit = "limit"
	// RegisterBusy means that too many registrations wait.
	RegisterBusy = "busy"
	// RegisterPermission means that the holder lacks the privilege, or that the
	// kernel has not enabled passthrough for the mount.
	RegisterPermission = "permission"
	// RegisterDepth means that the file is on a stacked file system, such as
	// overlayfs.
	RegisterDepth = "stack_depth"
	// RegisterKernel means that the kernel does not support passthrough.
	RegisterKernel = "kernel"
	// RegisterFailed means any other error of the kernel.
	RegisterFailed = "failed"
	// RegisterAway means that the holder does not respond, or that the connection
	// to it is lost.
	RegisterAway = "away"
)

// RegisterError is the reason why a file was not registered.
type RegisterError struct {
	Code, Reason string
}

func (e *RegisterError) Error() string { return "register a backing: " + e.Reason }

func codeOf(err error) string {
	var refused *RegisterError
	if errors.As(err, &refused) {
		return refused.Code
	}
	return RegisterFailed
}

func kernelError(err error) error {
	code := RegisterFailed
	switch {
	case errors.Is(err, unix.EPERM):
		code = RegisterPermission
	case errors.Is(err, unix.ELOOP):
		code = RegisterDepth
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOTTY), errors.Is(err, unix.ENOSYS):
		code = RegisterKernel
	}
	return &RegisterError{Code: code, Reason: "ioctl(FUSE_DEV_IOC_BACKING_OPEN): " + err.Error()}
}

// registrar is the part of an Attachment that registers backings. Its methods are
// safe for concurrent use.
type registrar struct {
	mu sync.Mutex
	// offered reports that the holder registers backings.
	offered bool
	last    uint64
	waiting map[uint64]chan message
	// used are the registrations of the mount that this server has not ended.
	used map[uint32]bool
	// ending are registrations to end that were not sent to the holder yet. wake is
	// signalled when there are some.
	ending []uint32
	wake   chan struct{}
}

// newRegistrar returns the registrar of a server that takes over registrations.
func newRegistrar(inherited []Backing) *registrar {
	r := &registrar{waiting: map[uint64]chan message{}, used: map[uint32]bool{}, wake: make(chan struct{}, 1)}
	for _, b := range inherited {
		r.used[b.ID] = true
	}
	return r
}

func (r *registrar) offer(features []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.offered = slices.Contains(features, featureBackings)
}

// settle ends the registrations of the mount that this server does not use: the
// previous holder may have ended before it read the message that ends one, or after
// it made one and before it sent the result. No registration may be in progress.
func (r *registrar) settle(registered []Backing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ending = nil
	for _, b := range registered {
		if !r.used[b.ID] {
			r.ending = append(r.ending, b.ID)
		}
	}
	r.signal()
}

func (r *registrar) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// begin returns a new request and the channel of its result.
func (r *registrar) begin() (uint64, chan message, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) >= maxRegistering {
		return 0, nil, &RegisterError{Code: RegisterBusy, Reason: "too many registrations wait"}
	}
	r.last++
	result := make(chan message, 1)
	r.waiting[r.last] = result
	return r.last, result, nil
}

// abandon ends a request whose result is not awaited any more.
func (r *registrar) abandon(request uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, request)
}

// deliver passes a result on. It returns the registrations that were not awaited.
func (r *registrar) deliver(m message) (unused []uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	result, ok := r.waiting[m.Request]
	if !ok {
		return m.Backings
	}
	delete(r.waiting, m.Request)
	for _, id := range m.Backings {
		r.used[id] = true
	}
	result <- m
	return nil
}

// lost ends all requests, whose results will not come.
func (r *registrar) lost() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for request, result := range r.waiting {
		delete(r.waiting, request)
		result <- message{Code: RegisterAway, Reason: "the connection to the holder is lost"}
	}
}

// RegistersBackings reports whether the holder registers backings.
func (l *Attachment) RegistersBackings() bool {
	l.registrar.mu.Lock()
	defer l.registrar.mu.Unlock()
	return l.registrar.offered
}

// Register has the holder register a file, which must be open for reading only, as
// the backing of a node, and returns the id of the registration. The registration
// lasts until Unregister, across servers and holders. The error is a *RegisterError.
func (l *Attachment) Register(ctx context.Context, node uint64, file *os.File) (uint32, error) {
	if !l.RegistersBackings() {
		return 0, &RegisterError{Code: RegisterRefused, Reason: "the holder of the mount registers no files"}
	}
	request, result, err := l.registrar.begin()
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	conn, lost := l.conn, l.lost
	l.mu.Unlock()
	away := func(err error) error {
		l.registrar.abandon(request)
		// The result may have arrived in between.
		select {
		case m := <-result:
			l.Unregister(m.Backings...)
		default:
		}
		return &RegisterError{Code: RegisterAway, Reason: err.Error()}
	}
	if err := send(conn, message{Kind: kindRegister, Request: request, Node: node}, file); err != nil {
		return 0, away(err)
	}
	select {
	case m := <-result:
		if len(m.Backings) != 1 {
			return 0, &RegisterError{Code: m.Code, Reason: m.Reason}
		}
		return m.Backings[0], nil
	case <-lost:
		return 0, away(errors.New("the connection to the holder is lost"))
	case <-ctx.Done():
		return 0, away(fmt.Errorf("the holder does not respond: %w", context.Cause(ctx)))
	}
}

// Unregister has the holder end registrations. It does not block. A holder that is
// away ends them when it is back; open files keep their backing.
func (l *Attachment) Unregister(ids ...uint32) {
	if len(ids) == 0 {
		return
	}
	r := l.registrar
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		delete(r.used, id)
	}
	r.ending = append(r.ending, ids...)
	r.signal()
}

// maxUnregister bounds the ids in one message.
const maxUnregister = 1000

// sendEnding sends the registrations to end to the holder until the attachment is
// closed. A message that the holder does not receive is not repeated here: the
// registrations that the next holder finds are settled with it.
func (l *Attachment) sendEnding() {
	for {
		select {
		case <-l.closing:
			return
		case <-l.registrar.wake:
		}
		for {
			conn, ids := l.takeEnding()
			if len(ids) == 0 {
				break
			}
			if err := send(conn, message{Kind: kindUnregister, Backings: ids}); err != nil {
				break
			}
		}
	}
}

// takeEnding removes registrations to end, and returns them with the connection on
// which they must be sent: those that were settled with a holder are not sent to
// another.
func (l *Attachment) takeEnding() (*net.UnixConn, []uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.registrar
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(len(r.ending), maxUnregister)
	ids := slices.Clone(r.ending[:n])
	r.ending = slices.Delete(r.ending, 0, n)
	return l.conn, ids
}
