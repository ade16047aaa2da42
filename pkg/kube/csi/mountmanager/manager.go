//go:build linux

package mountmanager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/kube/csi/fdstore"
	"github.com/jindo-io/jindo/pkg/kube/csi/records"
	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

const (
	// unmountTime bounds an unmount.
	unmountTimeout = 10 * time.Second
	// recoverTime is how long a server may take to bring what nobody else has.
	recoverTimeout = 5 * time.Second
	// stopTime is how long the end of a lending is waited for.
	handoffStopTimeout = 2 * time.Second
	// servingPoll is how often Wait looks.
	servingPollInterval = 50 * time.Millisecond
)

// Keeper takes deposits.
type FDStore interface {
	Store(d fdstore.Entry) error
	Remove(key string) error
}

// Description is what is deposited with a mount's files.
type Description struct {
	Runtime    records.Runtime `json:"runtime"`
	Mountpoint string          `json:"mountpoint"`
	ReadOnly   bool            `json:"readOnly"`
	// Device of the mount, as mountinfo shows it.
	Device string `json:"device"`
}

// Config of a holder.
type Config struct {
	Runtime records.Runtime
	// Key of the deposit; Point is where the runtime is mounted.
	Key, Mountpoint string
	FDStore         FDStore
	// ServerUIDs may serve besides root.
	ServerUIDs []uint32
	// Patience is how long nobody may serve; Terminating the same when every pod
	// that uses the mount is on its way out.
	ServeTimeout, TerminatingTimeout time.Duration
	Logger                           *slog.Logger
}

// Holder of one mount. Safe for concurrent use.
type Manager struct {
	config Config
	log    *slog.Logger

	mu      sync.Mutex
	session *fusefd.Session
	handoff *handoff
	socket  string
}

// lending is a session that is being lent at a socket.
type handoff struct {
	socket string
	cancel context.CancelFunc
	done   chan struct{}
}

// New makes a holder without a mount.
func New(config Config) *Manager {
	return &Manager{config: config, log: config.Logger.With("key", config.Key)}
}

// Point is where the runtime is mounted.
func (h *Manager) Mountpoint() string { return h.config.Mountpoint }

func (h *Manager) options() fusefd.Options {
	return fusefd.Options{
		Mountpoint: h.Mountpoint(), ReadOnly: true, AllowOther: true, ServerUIDs: h.config.ServerUIDs,
		Patience: h.config.ServeTimeout, Logger: h.log,
	}
}

// Ensure that there is a mount. It does not wait for a server.
func (h *Manager) Ensure(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.session != nil && h.session.Alive() {
		return nil
	}
	h.unmount()
	if session := h.recover(ctx); session != nil {
		h.setSession(session)
		return nil
	}
	if err := h.cleanMountpoint(); err != nil {
		return err
	}
	session, err := fusefd.Open(ctx, h.options())
	if err != nil {
		return fmt.Errorf("mounting runtime %s: %w", h.config.Runtime, err)
	}
	h.setSession(session)
	return nil
}

// recover a mount whose files only its server still has: the plugin and the
// keeper went at once. Nil when there is none.
func (h *Manager) recover(ctx context.Context) *fusefd.Session {
	if h.socket == "" {
		return nil
	}
	if there, err := fusefd.Mounted(h.Mountpoint()); err != nil || !there || fusefd.Dead(h.Mountpoint()) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	session, err := fusefd.Recover(ctx, h.options(), h.socket)
	if err != nil {
		h.log.Warn("the mount is not recovered", "error", err)
		return nil
	}
	h.log.Info("the mount is recovered from its server")
	return session
}

// clean the mount point from a mount whose files nobody has: nothing can be
// answered there any more.
func (h *Manager) cleanMountpoint() error {
	if err := fusefd.CleanStale(h.Mountpoint()); err == nil || !errors.Is(err, fusefd.ErrBusy) {
		return err
	}
	// A server answers there that did not come back: it ends with its process,
	// and its readers get ENOTCONN now.
	h.log.Warn("ending a mount that is served without a holder")
	_ = unix.Unmount(h.Mountpoint(), unix.MNT_FORCE|unix.UMOUNT_NOFOLLOW)
	_ = unix.Unmount(h.Mountpoint(), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	return fusefd.CleanStale(h.Mountpoint())
}

// take a session as the runtime's, deposit it and lend it.
func (h *Manager) setSession(session *fusefd.Session) {
	h.session = session
	device, slots := session.Files()
	description, err := json.Marshal(Description{
		Runtime: h.config.Runtime, Mountpoint: h.Mountpoint(), ReadOnly: true, Device: session.Device(),
	})
	if err == nil {
		err = h.config.FDStore.Store(fdstore.Entry{
			Key: h.config.Key, Description: description, Files: []*os.File{device, slots},
		})
	}
	if err != nil {
		h.log.Warn("the keeper does not have the mount yet", "error", err)
	}
	h.updateHandoff()
}

// Adopt a mount by files that the keeper returned. They are the holder's from now
// on.
func (h *Manager) Adopt(files []*os.File) error {
	if len(files) != 2 {
		for _, f := range files {
			_ = f.Close()
		}
		return fmt.Errorf("adopting the mount of %s: %d files came instead of 2", h.config.Runtime, len(files))
	}
	session, err := fusefd.Adopt(h.options(), files[0], files[1])
	if err != nil {
		return fmt.Errorf("adopting the mount of %s: %w", h.config.Runtime, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.setSession(session)
	return nil
}

// LendAt tells at which socket the FUSE server of this node asks for the mount;
// empty when there is none. It returns when nothing listens at the socket of
// before any more.
func (h *Manager) SetServerSocket(socket string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.socket = socket
	h.updateHandoff()
}

// lend brings in line what is lent with what there is.
func (h *Manager) updateHandoff() {
	if l := h.handoff; l != nil {
		ended := false
		select {
		case <-l.done:
			ended = true
		default:
		}
		if !ended && h.session != nil && l.socket == h.socket {
			return
		}
		h.stopHandoff()
	}
	if h.session == nil || h.socket == "" {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &handoff{socket: h.socket, cancel: cancel, done: make(chan struct{})}
	session := h.session
	h.handoff = l
	go func() {
		defer close(l.done)
		if err := session.Serve(ctx, l.socket); err != nil {
			h.log.Warn("the mount is not lent", "socket", l.socket, "error", err)
		}
	}()
}

func (h *Manager) stopHandoff() {
	if h.handoff == nil {
		return
	}
	h.handoff.cancel()
	select {
	case <-h.handoff.done:
	case <-time.After(handoffStopTimeout):
		// Telling the kernel something may wait for a server. The socket is
		// closed by now, and the rest ends with the mount.
		h.log.Warn("the holder of before still waits for the kernel", "socket", h.handoff.socket)
	}
	h.handoff = nil
}

// Serving says why pods cannot use the mount yet, nil when they can.
func (h *Manager) Serving() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.session == nil || !h.session.Alive():
		return errors.New("it is not mounted")
	case h.socket == "":
		return errors.New("no FUSE server has come to this node yet")
	case !h.session.Serving():
		return errors.New("its FUSE server on this node has not answered the kernel yet")
	}
	return nil
}

// Wait for Serving, at most until ctx ends.
func (h *Manager) Wait(ctx context.Context) error {
	for {
		err := h.Serving()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(servingPollInterval):
		}
	}
}

// Device of the living mount; empty without one.
func (h *Manager) Device() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.session == nil || !h.session.Alive() {
		return ""
	}
	return h.session.Device()
}

// Drop the mount. Binds of it must be gone, or go dead.
func (h *Manager) Unmount() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unmount()
}

// drop with mu held.
func (h *Manager) unmount() {
	if h.session == nil {
		h.stopHandoff()
		return
	}
	// Aborted first: somebody may have a copy of the mount in a namespace of his
	// own, and its server would go on with it instead of with the next one.
	if err := h.session.Abort(); err != nil {
		h.log.Error("ending the mount", "error", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), unmountTimeout)
	defer cancel()
	if err := h.session.Unmount(ctx); err != nil {
		h.log.Error("the mount stays in the tree", "error", err)
	}
	h.stopHandoff()
	if err := h.config.FDStore.Remove(h.config.Key); err != nil {
		h.log.Debug("the keeper lets go later", "error", err)
	}
	h.session.Close()
	h.session = nil
}

// Leave lets go of the mount without ending it: the keeper has it.
func (h *Manager) Release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopHandoff()
	if h.session != nil {
		h.session.Close()
		h.session = nil
	}
}

// Tick does what time demands: it lends again where that failed, ends a mount
// that waited too long for a server, and takes a dead one down, which it
// answers true for. leaving says that every pod that uses the mount is on its
// way out.
func (h *Manager) Tick(leaving bool) (lost bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.session == nil {
		return false
	}
	if idle := h.session.Idle(); idle > h.config.ServeTimeout || leaving && idle > h.config.TerminatingTimeout {
		h.log.Warn("nobody serves the mount, ending it", "idle", idle, "pods are terminating", leaving)
		if err := h.session.Abort(); err != nil {
			h.log.Error("ending the mount", "error", err)
		}
	}
	if !h.session.Alive() {
		h.unmount()
		return true
	}
	h.updateHandoff()
	return false
}
