//go:build linux

package node

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jindo-io/jindo/pkg/atomicfile"
	"github.com/jindo-io/jindo/pkg/kube/csi/mounts"
	"github.com/jindo-io/jindo/pkg/kube/csi/records"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

const (
	// inlineSize bounds a meeting place in memory; secretSize what one key of a
	// Secret may have.
	inlineSize = 4 << 20
	secretSize = 1 << 20
)

// sessionFiles are keys of the Secret of the role fuse.
func sessionFiles() []string {
	return []string{names.FuseSecretRoster, "ca.crt", "tls.crt", "tls.key"}
}

// publishSession makes the meeting place of a FUSE server: its certificate and
// roster, the directory of the workers' sockets, and the socket at which it gets
// the runtime's mount.
func (n *Node) publishSession(v records.Volume, secrets map[string]string) error {
	for _, key := range sessionFiles() {
		if secrets[key] == "" || len(secrets[key]) > secretSize {
			return invalid("volume %s: key %s of the Secret has %d bytes: name Secret %s in nodePublishSecretRef, which the controller makes", v.ID, key, len(secrets[key]), names.Secret(v.Runtime.Name, "fuse"))
		}
	}
	r, err := n.putRecord(v, nil)
	if err != nil {
		return err
	}
	sockets, err := r.socketsDir()
	if err != nil {
		return err
	}
	state, err := r.stateDir()
	if err != nil {
		return err
	}
	private := n.privateDir(v)
	if !n.isInline(v) {
		if err := n.makeInline(private, v.Target, map[string]string{names.SocketsDir: sockets, names.StateDir: state}); err != nil {
			return err
		}
		n.log.Info("a FUSE server has come", "runtime", r.id.String(), "pod", v.Pod.Name)
	}
	for _, key := range sessionFiles() {
		if err := writeChanged(filepath.Join(private, key), []byte(secrets[key])); err != nil {
			return err
		}
	}
	n.updateHandoff(r)
	return nil
}

// private is where the plugin writes what the volume shows read-only: a pod that
// could write there could lead the plugin, which is root, anywhere.
func (n *Node) privateDir(v records.Volume) string {
	sum := sha256.Sum256([]byte(v.Target))
	return filepath.Join(n.dir(), v.Runtime.Dir(), "sessions", hex.EncodeToString(sum[:8]))
}

// makeInline shows the directories of shared, each under its name.
func (n *Node) makeInline(private, target string, shared map[string]string) error {
	if err := n.clearInline(private, target); err != nil {
		return err
	}
	steps := []func() error{
		func() error { return mounts.MakeDir(private) },
		func() error { return mounts.Tmpfs(private, inlineSize) },
	}
	for name, dir := range shared {
		place, bind := filepath.Join(private, name), mounts.Bind
		if name == names.SocketsDir {
			bind = mounts.BindReadOnly // workers put sockets there, nobody else
		}
		steps = append(steps,
			func() error { return mounts.MakeDir(place) },
			func() error { return bind(dir, place) })
	}
	steps = append(steps,
		func() error { return mounts.MakeDir(target) },
		func() error { return mounts.BindTree(private, target) })
	for _, step := range steps {
		if err := step(); err != nil {
			return errors.Join(err, n.clearInline(private, target))
		}
	}
	return nil
}

// clearInline takes both places down.
func (n *Node) clearInline(private, target string) error {
	for _, path := range []string{target, private} {
		if err := n.clearTarget(path); err != nil {
			return err
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing the target: %w", err)
		}
	}
	return nil
}

// isInline says that the volume of a FUSE server is in place.
func (n *Node) isInline(v records.Volume) bool {
	private, there, err := n.table.Top(n.privateDir(v))
	if err != nil || !there {
		return false
	}
	shown, there, err := n.table.Top(v.Target)
	return err == nil && there && shown.Source == mounts.Source && shown.Device == private.Device
}

// publishSockets shows the directory of sockets to a worker.
func (n *Node) publishSockets(v records.Volume) error {
	r, err := n.putRecord(v, nil)
	if err != nil {
		return err
	}
	shared, err := r.socketsDir()
	if err != nil {
		return err
	}
	if _, there, err := n.table.Top(v.Target); err != nil || there {
		return err
	}
	if err := mounts.MakeDir(v.Target); err != nil {
		return err
	}
	return mounts.Bind(shared, v.Target)
}

// writeChanged writes a file that has other bytes. Only pods that were given the
// volume see it.
func writeChanged(path string, data []byte) error {
	before, err := os.ReadFile(path)
	if err == nil && bytes.Equal(before, data) {
		return nil
	}
	if err := atomicfile.Write(path, data, 0o444); err != nil {
		return fmt.Errorf("putting %s in place: %w", strings.TrimPrefix(filepath.Base(path), "."), err)
	}
	return nil
}
