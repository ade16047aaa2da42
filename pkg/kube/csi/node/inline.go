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
	// inlineSize is the size of a FUSE server's inline volume in memory, and
	// secretSize the maximum size of one key of a Secret, in bytes.
	inlineSize = 4 << 20
	secretSize = 1 << 20
)

// sessionFiles returns the required keys of the Secret of role fuse.
func sessionFiles() []string {
	return []string{names.FuseSecretRoster, "ca.crt", "tls.crt", "tls.key"}
}

// publishSession publishes the inline volume of a FUSE server. It contains the
// server's certificate and the topology, the directory of the workers' sockets,
// and the socket at which the server gets the runtime's mount.
func (n *Node) publishSession(v records.Volume, secrets map[string]string) error {
	for _, key := range sessionFiles() {
		if secrets[key] == "" || len(secrets[key]) > secretSize {
			return invalid("volume %s: key %s of the Secret is missing or too large (%d bytes): nodePublishSecretRef must name Secret %s, which the controller creates", v.ID, key, len(secrets[key]), names.Secret(v.Runtime.Name, "fuse"))
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
		n.log.Info("published inline volume of a FUSE server", "runtime", r.id.String(), "pod", v.Pod.Namespace+"/"+v.Pod.Name)
	}
	for _, key := range sessionFiles() {
		if err := writeChanged(filepath.Join(private, key), []byte(secrets[key])); err != nil {
			return err
		}
	}
	n.updateHandoff(r)
	return nil
}

// privateDir returns the directory whose content the volume shows read-only. The
// plugin writes there as root, so a pod must not be able to, for example to place
// symbolic links.
func (n *Node) privateDir(v records.Volume) string {
	sum := sha256.Sum256([]byte(v.Target))
	return filepath.Join(n.dir(), v.Runtime.Dir(), "sessions", hex.EncodeToString(sum[:8]))
}

// makeInline mounts a tmpfs at private with the directories of shared, by name,
// and binds it read-only to target.
func (n *Node) makeInline(private, target string, shared map[string]string) error {
	if err := n.clearInline(private, target); err != nil {
		return err
	}
	steps := []func() error{
		func() error { return mounts.MakeDir(private) },
		func() error { return mounts.Tmpfs(private, inlineSize) },
	}
	for name, dir := range shared {
		point, bind := filepath.Join(private, name), mounts.Bind
		if name == names.SocketsDir {
			bind = mounts.BindReadOnly // only workers create sockets there
		}
		steps = append(steps,
			func() error { return mounts.MakeDir(point) },
			func() error { return bind(dir, point) })
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

// clearInline unmounts and removes both directories.
func (n *Node) clearInline(private, target string) error {
	for _, path := range []string{target, private} {
		if err := n.clearTarget(path); err != nil {
			return err
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove %s: %w", path, err)
		}
	}
	return nil
}

// isInline reports whether the inline volume of a FUSE server is mounted.
func (n *Node) isInline(v records.Volume) bool {
	private, mounted, err := n.table.Top(n.privateDir(v))
	if err != nil || !mounted {
		return false
	}
	target, mounted, err := n.table.Top(v.Target)
	return err == nil && mounted && target.Source == mounts.Source && target.Device == private.Device
}

// publishSockets publishes the directory of sockets to a worker.
func (n *Node) publishSockets(v records.Volume) error {
	r, err := n.putRecord(v, nil)
	if err != nil {
		return err
	}
	shared, err := r.socketsDir()
	if err != nil {
		return err
	}
	if _, mounted, err := n.table.Top(v.Target); err != nil || mounted {
		return err
	}
	if err := mounts.MakeDir(v.Target); err != nil {
		return err
	}
	return mounts.Bind(shared, v.Target)
}

// writeChanged writes a file unless it has the same content. The file is readable
// by every user; only pods with the volume can reach it.
func writeChanged(path string, data []byte) error {
	before, err := os.ReadFile(path)
	if err == nil && bytes.Equal(before, data) {
		return nil
	}
	if err := atomicfile.Write(path, data, 0o444); err != nil {
		return fmt.Errorf("write %s: %w", strings.TrimPrefix(filepath.Base(path), "."), err)
	}
	return nil
}
