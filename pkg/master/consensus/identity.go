package consensus

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/atomicfile"
)

// identityFormat is the version of identity.json.
const identityFormat = 1

// identity is the identity of a member, which belongs to its directory.
type identity struct {
	Format    int    `json:"format"`
	ID        string `json:"id"`
	Name      string `json:"name"`
	ClusterID string `json:"clusterID"`
}

// memberDir names the files in the data directory of a member.
type memberDir struct{ dir string }

func (d memberDir) member() string    { return filepath.Join(d.dir, "member") }
func (d memberDir) identity() string  { return filepath.Join(d.member(), "identity.json") }
func (d memberDir) log() string       { return filepath.Join(d.member(), "raft.db") }
func (d memberDir) snapshots() string { return d.member() }

// retired is the path of a file that exists once the member was replaced.
func (d memberDir) retired() string { return filepath.Join(d.member(), "retired") }

// newMemberID returns an id that no other disk has: the name and 64 random
// bits.
func newMemberID(name string) (string, error) {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", fmt.Errorf("generate member id: %w", err)
	}
	return name + "-" + hex.EncodeToString(random[:]), nil
}

// nameOf returns the name within a member id.
func nameOf(id string) string {
	if i := strings.LastIndexByte(id, '-'); i > 0 {
		return id[:i]
	}
	return id
}

// serverAddress returns what the Raft library uses as the address of a member.
// The id makes it unique, so that a new member of the same name has another
// address.
func serverAddress(hostPort, id string) raft.ServerAddress {
	return raft.ServerAddress(hostPort + "/" + id)
}

// splitAddress splits an address into host:port and id. id is empty when the
// address has none.
func splitAddress(address raft.ServerAddress) (string, string) {
	hostPort, id, _ := strings.Cut(string(address), "/")
	return hostPort, id
}

// open reads the identity on disk, or generates one and syncs it before it is
// used.
func (d memberDir) open(name, clusterID string) (identity, error) {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return identity{}, fmt.Errorf("create data directory: %w", err)
	}
	raw, err := os.ReadFile(d.identity())
	switch {
	case errors.Is(err, os.ErrNotExist):
		return d.create(name, clusterID)
	case err != nil:
		return identity{}, fmt.Errorf("read member identity: %w", err)
	}
	var found identity
	if err := json.Unmarshal(raw, &found); err != nil {
		return identity{}, fmt.Errorf("read member identity in %s: %w", d.identity(), err)
	}
	if err := found.check(name, clusterID); err != nil {
		return identity{}, fmt.Errorf("%s: %w", d.identity(), err)
	}
	unusable, err := d.unusable()
	if err != nil {
		return identity{}, err
	}
	if unusable {
		return d.replace(found, name, clusterID)
	}
	return found, nil
}

// unusable reports whether the id on disk must not be used again: because the
// member was replaced, or because its log is missing, and with it the term and
// the votes of this id.
func (d memberDir) unusable() (bool, error) {
	if _, err := os.Stat(d.retired()); err == nil {
		return true, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return false, fmt.Errorf("read member directory: %w", err)
	}
	if _, err := os.Stat(d.log()); errors.Is(err, os.ErrNotExist) {
		return true, nil
	} else if err != nil {
		return false, fmt.Errorf("find member log: %w", err)
	}
	return false, nil
}

func (i identity) check(name, clusterID string) error {
	switch {
	case i.Format != identityFormat:
		return fmt.Errorf("format %d is not supported: this version reads format %d", i.Format, identityFormat)
	case i.Name != name:
		return fmt.Errorf("this disk belongs to %s, not to %s", i.Name, name)
	case i.ClusterID != clusterID:
		return fmt.Errorf("this disk belongs to cluster %s, not to %s", i.ClusterID, clusterID)
	case nameOf(i.ID) != name || i.ID == name || strings.Contains(i.ID, "/") || len(i.ID) > maxName:
		return fmt.Errorf("invalid member id %q of %s", i.ID, name)
	}
	return nil
}

func (d memberDir) replace(lost identity, name, clusterID string) (identity, error) {
	if err := d.setAside(lost.ID); err != nil {
		return identity{}, err
	}
	return d.create(name, clusterID)
}

// setAside moves a member's directory away and keeps it for inspection.
func (d memberDir) setAside(id string) error {
	to := filepath.Join(d.dir, "aside-"+id)
	if err := os.RemoveAll(to); err != nil {
		return fmt.Errorf("remove old %s: %w", to, err)
	}
	if err := os.Rename(d.member(), to); err != nil {
		return fmt.Errorf("set member directory aside: %w", err)
	}
	return atomicfile.SyncDir(d.dir)
}

func (d memberDir) create(name, clusterID string) (identity, error) {
	if _, err := os.Stat(d.log()); err == nil {
		return identity{}, fmt.Errorf("%s exists without %s: this disk is damaged; move %s away, and this member joins as a new one", d.log(), d.identity(), d.member())
	}
	id, err := newMemberID(name)
	if err != nil {
		return identity{}, err
	}
	created := identity{Format: identityFormat, ID: id, Name: name, ClusterID: clusterID}
	if err := created.check(name, clusterID); err != nil {
		return identity{}, err
	}
	if err := os.MkdirAll(d.member(), 0o700); err != nil {
		return identity{}, fmt.Errorf("create member directory: %w", err)
	}
	raw, err := json.MarshalIndent(created, "", "  ")
	if err != nil {
		return identity{}, fmt.Errorf("encode member identity: %w", err)
	}
	if err := atomicfile.Write(d.identity(), raw, 0o600); err != nil {
		return identity{}, err
	}
	return created, atomicfile.SyncDir(d.dir)
}
