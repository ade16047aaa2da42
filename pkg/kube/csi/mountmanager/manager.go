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
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/jindo-io/jindo/pkg/kube/csi/fdstore"
	"github.com/jindo-io/jindo/pkg/kube/csi/records"
	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

const (
	// unmountTimeout is the timeout of an unmount.
	unmountTimeout = 10 * time.Second
	// recoverTimeout is how long recovering the descriptors of a mount from its
	// FUSE server may take.
	recoverTimeout = 5 * time.Second
	// handoffStopTimeout is how long stopping a handoff may take.
	handoffStopTimeout = 2 * time.Second
	// servingPollInterval is the interval at which Wait checks Serving.
	servingPollInterval = 50 * time.Millisecond
)

// FDStore stores descriptors. *fdstore.Client implements it.
type FDStore interface {
	Store(d fdstore.Entry) error
	Remove(key string) error
}

// Description describes a mount in the descriptor store.
type Description struct {
	Runtime    records.Runtime `json:"runtime"`
	Mountpoint string          `json:"mountpoint"`
	ReadOnly   bool            `json:"readOnly"`
	// Device is the mount's "major:minor", as in mountinfo.
	Device string `json:"device"`
}

// Config configures a Manager.
type Config struct {
	Runtime records.Runtime
	// Key identifies the mount in FDStore. Mountpoint is the path of the mount.
	Key, Mountpoint string
	FDStore         FDStore
	// ServerUIDs are the users, besides root, that FUSE servers may run as.
	ServerUIDs []uint32
	// AcceptBacking is that of fusefd.Options.
	AcceptBacking func(fusefd.BackingFile) error
	// ServeTimeout is how long a mount may be without a server before it is
	// aborted. TerminatingTimeout replaces it when every pod that uses the mount
	// is being deleted.
	ServeTimeout, TerminatingTimeout time.Duration
	Logger                           *slog.Logger
}

// Manager manages one mount. It is safe for concurrent use.
type Manager struct {
	config Config
	log    *slog.Logger

	mu      sync.Mutex
	session *fusefd.Session
	handoff *handoff
	socket  string
}

// handoff is the offer of a session's descriptors at a FUSE server's socket.
type handoff struct {
	socket string
	cancel context.CancelFunc
	done   chan struct{}
}

// New returns a Manager without a mount.
func New(config Config) *Manager {
	return &Manager{config: config, log: config.Logger.With("key", config.Key)}
}

// Mountpoint returns the path of the mount.
func (m *Manager) Mountpoint() string { return m.config.Mountpoint }

func (m *Manager) options() fusefd.Options {
	return fusefd.Options{
		Mountpoint: m.Mountpoint(), ReadOnly: true, AllowOther: true, ServerUIDs: m.config.ServerUIDs,
		AcceptBacking: m.config.AcceptBacking, ServerTimeout: m.config.ServeTimeout, Logger: m.log,
	}
}

// Ensure mounts if there is no live mount. It does not wait for a FUSE server.
func (m *Manager) Ensure(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.session != nil && m.session.Alive() {
		return nil
	}
	m.unmount()
	if session := m.recover(ctx); session != nil {
		m.setSession(session)
		return nil
	}
	if err := m.cleanMountpoint(); err != nil {
		return err
	}
	session, err := fusefd.Open(ctx, m.options())
	if err != nil {
		return fmt.Errorf("mount runtime %s: %w", m.config.Runtime, err)
	}
	m.setSession(session)
	return nil
}

// Recover takes over an existing mount whose descriptors only its FUSE server still
// holds; without such a mount it does nothing.
func (m *Manager) Recover(ctx context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.session != nil {
		return
	}
	if session := m.recover(ctx); session != nil {
		m.setSession(session)
	}
}

// recover returns a session for an existing mount whose descriptors only its FUSE
// server still holds, because the plugin and the descriptor store were restarted
// together. It returns nil if there is no such mount.
func (m *Manager) recover(ctx context.Context) *fusefd.Session {
	if m.socket == "" {
		return nil
	}
	if mounted, err := fusefd.Mounted(m.Mountpoint()); err != nil || !mounted || fusefd.Dead(m.Mountpoint()) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	session, err := fusefd.Recover(ctx, m.options(), m.socket)
	if err != nil {
		m.log.Warn("mount not recovered from its FUSE server", "error", err)
		return nil
	}
	m.log.Info("mount recovered from its FUSE server")
	return session
}

// cleanMountpoint unmounts a mount whose descriptors are lost.
func (m *Manager) cleanMountpoint() error {
	if err := fusefd.CleanStale(m.Mountpoint()); err == nil || !errors.Is(err, fusefd.ErrBusy) {
		return err
	}
	// Its server still serves it but did not return the descriptors. Readers of
	// the mount get ENOTCONN.
	m.log.Warn("unmounting a mount whose descriptors cannot be recovered")
	_ = unix.Unmount(m.Mountpoint(), unix.MNT_FORCE|unix.UMOUNT_NOFOLLOW)
	_ = unix.Unmount(m.Mountpoint(), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	return fusefd.CleanStale(m.Mountpoint())
}

// setSession makes session the current one, stores its descriptors and offers it
// to the FUSE server.
func (m *Manager) setSession(session *fusefd.Session) {
	m.session = session
	device, slots := session.Files()
	description, err := json.Marshal(Description{
		Runtime: m.config.Runtime, Mountpoint: m.Mountpoint(), ReadOnly: true, Device: session.Device(),
	})
	if err == nil {
		err = m.config.FDStore.Store(fdstore.Entry{
			Key: m.config.Key, Description: description, Files: []*os.File{device, slots},
		})
	}
	if err != nil {
		m.log.Warn("mount not stored in the descriptor store yet", "error", err)
	}
	m.updateHandoff()
}

// Adopt takes over a mount by the files that the descriptor store returned. The
// Manager owns files afterwards, also on error.
func (m *Manager) Adopt(files []*os.File) error {
	if len(files) != 2 {
		for _, f := range files {
			_ = f.Close()
		}
		return fmt.Errorf("adopt mount of runtime %s: got %d files, want 2", m.config.Runtime, len(files))
	}
	session, err := fusefd.Adopt(m.options(), files[0], files[1])
	if err != nil {
		return fmt.Errorf("adopt mount of runtime %s: %w", m.config.Runtime, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.setSession(session)
	return nil
}

// SetServerSocket sets the socket at which the FUSE server gets the mount; empty
// if there is no server. When it returns, nothing listens at the previous socket.
func (m *Manager) SetServerSocket(socket string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.socket = socket
	m.updateHandoff()
}

// updateHandoff starts, stops or restarts the handoff according to the current
// session and socket.
func (m *Manager) updateHandoff() {
	if current := m.handoff; current != nil {
		ended := false
		select {
		case <-current.done:
			ended = true
		default:
		}
		if !ended && m.session != nil && current.socket == m.socket {
			return
		}
		m.stopHandoff()
	}
	if m.session == nil || m.socket == "" {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	current := &handoff{socket: m.socket, cancel: cancel, done: make(chan struct{})}
	session := m.session
	m.handoff = current
	go func() {
		defer close(current.done)
		if err := session.Serve(ctx, current.socket); err != nil {
			m.log.Warn("mount handoff failed", "socket", current.socket, "error", err)
		}
	}()
}

func (m *Manager) stopHandoff() {
	if m.handoff == nil {
		return
	}
	m.handoff.cancel()
	select {
	case <-m.handoff.done:
	case <-time.After(handoffStopTimeout):
		// A notification to the kernel may block on a server. The socket is
		// closed already, and the goroutine ends with the mount.
		m.log.Warn("previous handoff is still blocked in the kernel", "socket", m.handoff.socket)
	}
	m.handoff = nil
}

// Serving returns nil if pods can use the mount, and the reason if not.
func (m *Manager) Serving() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.session == nil || !m.session.Alive():
		return errors.New("not mounted")
	case m.socket == "":
		return errors.New("no FUSE server runs on this node yet")
	case !m.session.Serving():
		return errors.New("the FUSE server on this node has not initialized the mount yet")
	}
	return nil
}

// Wait blocks until Serving returns nil. If ctx ends first, it returns the last
// result of Serving.
func (m *Manager) Wait(ctx context.Context) error {
	var err error
	_ = wait.PollUntilContextCancel(ctx, servingPollInterval, true, func(context.Context) (bool, error) {
		err = m.Serving()
		return err == nil, nil
	})
	return err
}

// Device returns the "major:minor" of the live mount, or "" if there is none.
func (m *Manager) Device() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.session == nil || !m.session.Alive() {
		return ""
	}
	return m.session.Device()
}

// Unmount unmounts. Bind mounts that remain return ENOTCONN.
func (m *Manager) Unmount() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unmount()
}

// unmount unmounts with m.mu held.
func (m *Manager) unmount() {
	if m.session == nil {
		m.stopHandoff()
		return
	}
	// Abort first: another mount namespace may hold a copy of the mount, and the
	// server would go on serving it instead of the next mount.
	if err := m.session.Abort(); err != nil {
		m.log.Error("mount not aborted", "error", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), unmountTimeout)
	defer cancel()
	if err := m.session.Unmount(ctx); err != nil {
		m.log.Error("unmount failed", "error", err)
	}
	m.stopHandoff()
	if err := m.config.FDStore.Remove(m.config.Key); err != nil {
		m.log.Debug("mount not removed from the descriptor store yet", "error", err)
	}
	m.session.Close()
	m.session = nil
}

// Release closes this process's descriptors without unmounting; the descriptor
// store keeps the mount.
func (m *Manager) Release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopHandoff()
	if m.session != nil {
		m.session.Close()
		m.session = nil
	}
}

// Tick performs the periodic work: it retries a failed handoff, aborts a mount
// that has been without a server for too long, and unmounts a dead mount, in which
// case it returns true. terminating reports whether every pod that uses the mount
// is being deleted.
func (m *Manager) Tick(terminating bool) (lost bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.session == nil {
		return false
	}
	if idle := m.session.Idle(); idle > m.config.ServeTimeout || terminating && idle > m.config.TerminatingTimeout {
		m.log.Warn("aborting a mount without a FUSE server", "idle", idle, "podsTerminating", terminating)
		if err := m.session.Abort(); err != nil {
			m.log.Error("mount not aborted", "error", err)
		}
	}
	if !m.session.Alive() {
		m.unmount()
		return true
	}
	m.updateHandoff()
	return false
}
