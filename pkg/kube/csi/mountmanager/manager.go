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
	unmountTime = 10 * time.Second
	// recoverTime is how long a server may take to bring what nobody else has.
	recoverTime = 5 * time.Second
	// stopTime is how long the end of a lending is waited for.
	stopTime = 2 * time.Second
	// servingPoll is how often Wait looks.
	servingPoll = 50 * time.Millisecond
)

// Keeper takes deposits.
type Keeper interface {
	Deposit(d fdstore.Deposit) error
	Withdraw(key string) error
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
	Key, Point string
	Keeper     Keeper
	// ServerUIDs may serve besides root.
	ServerUIDs []uint32
	// Patience is how long nobody may serve; Terminating the same when every pod
	// that uses the mount is on its way out.
	Patience, Terminating time.Duration
	Logger                *slog.Logger
}

// Holder of one mount. Safe for concurrent use.
type Holder struct {
	config Config
	log    *slog.Logger

	mu      sync.Mutex
	session *fusefd.Session
	lending *lending
	socket  string
}

// lending is a session that is being lent at a socket.
type lending struct {
	socket string
	cancel context.CancelFunc
	done   chan struct{}
}

// New makes a holder without a mount.
func New(config Config) *Holder {
	return &Holder{config: config, log: config.Logger.With("key", config.Key)}
}

// Point is where the runtime is mounted.
func (h *Holder) Point() string { return h.config.Point }

func (h *Holder) options() fusefd.Options {
	return fusefd.Options{
		Mountpoint: h.Point(), ReadOnly: true, AllowOther: true, ServerUIDs: h.config.ServerUIDs,
		Patience: h.config.Patience, Logger: h.log,
	}
}

// Ensure that there is a mount. It does not wait for a server.
func (h *Holder) Ensure(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.session != nil && h.session.Alive() {
		return nil
	}
	h.drop()
	if session := h.recover(ctx); session != nil {
		h.take(session)
		return nil
	}
	if err := h.clean(); err != nil {
		return err
	}
	session, err := fusefd.Open(ctx, h.options())
	if err != nil {
		return fmt.Errorf("mounting runtime %s: %w", h.config.Runtime, err)
	}
	h.take(session)
	return nil
}

// recover a mount whose files only its server still has: the plugin and the
// keeper went at once. Nil when there is none.
func (h *Holder) recover(ctx context.Context) *fusefd.Session {
	if h.socket == "" {
		return nil
	}
	if there, err := fusefd.Mounted(h.Point()); err != nil || !there || fusefd.Dead(h.Point()) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, recoverTime)
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
func (h *Holder) clean() error {
	if err := fusefd.CleanStale(h.Point()); err == nil || !errors.Is(err, fusefd.ErrBusy) {
		return err
	}
	// A server answers there that did not come back: it ends with its process,
	// and its readers get ENOTCONN now.
	h.log.Warn("ending a mount that is served without a holder")
	_ = unix.Unmount(h.Point(), unix.MNT_FORCE|unix.UMOUNT_NOFOLLOW)
	_ = unix.Unmount(h.Point(), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	return fusefd.CleanStale(h.Point())
}

// take a session as the runtime's, deposit it and lend it.
func (h *Holder) take(session *fusefd.Session) {
	h.session = session
	device, slots := session.Files()
	description, err := json.Marshal(Description{
		Runtime: h.config.Runtime, Mountpoint: h.Point(), ReadOnly: true, Device: session.Device(),
	})
	if err == nil {
		err = h.config.Keeper.Deposit(fdstore.Deposit{
			Key: h.config.Key, Description: description, Files: []*os.File{device, slots},
		})
	}
	if err != nil {
		h.log.Warn("the keeper does not have the mount yet", "error", err)
	}
	h.lend()
}

// Adopt a mount by files that the keeper returned. They are the holder's from now
// on.
func (h *Holder) Adopt(files []*os.File) error {
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
	h.take(session)
	return nil
}

// LendAt tells at which socket the FUSE server of this node asks for the mount;
// empty when there is none. It returns when nothing listens at the socket of
// before any more.
func (h *Holder) LendAt(socket string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.socket = socket
	h.lend()
}

// lend brings in line what is lent with what there is.
func (h *Holder) lend() {
	if l := h.lending; l != nil {
		ended := false
		select {
		case <-l.done:
			ended = true
		default:
		}
		if !ended && h.session != nil && l.socket == h.socket {
			return
		}
		h.stopLending()
	}
	if h.session == nil || h.socket == "" {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &lending{socket: h.socket, cancel: cancel, done: make(chan struct{})}
	session := h.session
	h.lending = l
	go func() {
		defer close(l.done)
		if err := session.Serve(ctx, l.socket); err != nil {
			h.log.Warn("the mount is not lent", "socket", l.socket, "error", err)
		}
	}()
}

func (h *Holder) stopLending() {
	if h.lending == nil {
		return
	}
	h.lending.cancel()
	select {
	case <-h.lending.done:
	case <-time.After(stopTime):
		// Telling the kernel something may wait for a server. The socket is
		// closed by now, and the rest ends with the mount.
		h.log.Warn("the holder of before still waits for the kernel", "socket", h.lending.socket)
	}
	h.lending = nil
}

// Serving says why pods cannot use the mount yet, nil when they can.
func (h *Holder) Serving() error {
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
func (h *Holder) Wait(ctx context.Context) error {
	for {
		err := h.Serving()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(servingPoll):
		}
	}
}

// Device of the living mount; empty without one.
func (h *Holder) Device() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.session == nil || !h.session.Alive() {
		return ""
	}
	return h.session.Device()
}

// Drop the mount. Binds of it must be gone, or go dead.
func (h *Holder) Drop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop()
}

// drop with mu held.
func (h *Holder) drop() {
	if h.session == nil {
		h.stopLending()
		return
	}
	// Aborted first: somebody may have a copy of the mount in a namespace of his
	// own, and its server would go on with it instead of with the next one.
	if err := h.session.Abort(); err != nil {
		h.log.Error("ending the mount", "error", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), unmountTime)
	defer cancel()
	if err := h.session.Unmount(ctx); err != nil {
		h.log.Error("the mount stays in the tree", "error", err)
	}
	h.stopLending()
	if err := h.config.Keeper.Withdraw(h.config.Key); err != nil {
		h.log.Debug("the keeper lets go later", "error", err)
	}
	h.session.Close()
	h.session = nil
}

// Leave lets go of the mount without ending it: the keeper has it.
func (h *Holder) Leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopLending()
	if h.session != nil {
		h.session.Close()
		h.session = nil
	}
}

// Tick does what time demands: it lends again where that failed, ends a mount
// that waited too long for a server, and takes a dead one down, which it
// answers true for. leaving says that every pod that uses the mount is on its
// way out.
func (h *Holder) Tick(leaving bool) (lost bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.session == nil {
		return false
	}
	if idle := h.session.Idle(); idle > h.config.Patience || leaving && idle > h.config.Terminating {
		h.log.Warn("nobody serves the mount, ending it", "idle", idle, "pods are terminating", leaving)
		if err := h.session.Abort(); err != nil {
			h.log.Error("ending the mount", "error", err)
		}
	}
	if !h.session.Alive() {
		h.drop()
		return true
	}
	h.lend()
	return false
}
