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

// identity of a member lives and dies with its directory.
type identity struct {
	Format    int    `json:"format"`
	ID        string `json:"id"`
	Name      string `json:"name"`
	ClusterID string `json:"clusterID"`
}

// home is where a member keeps what is on its disk.
type home struct{ dir string }

func (h home) member() string    { return filepath.Join(h.dir, "member") }
func (h home) identity() string  { return filepath.Join(h.member(), "identity.json") }
func (h home) log() string       { return filepath.Join(h.member(), "raft.db") }
func (h home) snapshots() string { return h.member() }

// retired is a file that says that this member was replaced.
func (h home) retired() string { return filepath.Join(h.member(), "retired") }

// mintID makes an id that no other disk has: the name and 64 random bits.
func mintID(name string) (string, error) {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", fmt.Errorf("minting a member id: %w", err)
	}
	return name + "-" + hex.EncodeToString(random[:]), nil
}

// nameOf is the name within a member id.
func nameOf(id string) string {
	if i := strings.LastIndexByte(id, '-'); i > 0 {
		return id[:i]
	}
	return id
}

// serverAddress is what the library knows as a member's address. The id makes
// it unique: two lives of one name have two addresses.
func serverAddress(hostPort, id string) raft.ServerAddress {
	return raft.ServerAddress(hostPort + "/" + id)
}

// splitAddress takes an address apart; id is empty when there is none.
func splitAddress(address raft.ServerAddress) (string, string) {
	hostPort, id, _ := strings.Cut(string(address), "/")
	return hostPort, id
}

// open reads the identity on disk, or mints one and syncs it before anybody
// hears of it.
func (h home) open(name, clusterID string) (identity, error) {
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return identity{}, fmt.Errorf("making the data directory: %w", err)
	}
	raw, err := os.ReadFile(h.identity())
	switch {
	case errors.Is(err, os.ErrNotExist):
		return h.mint(name, clusterID)
	case err != nil:
		return identity{}, fmt.Errorf("reading this member's identity: %w", err)
	}
	var found identity
	if err := json.Unmarshal(raw, &found); err != nil {
		return identity{}, fmt.Errorf("reading this member's identity in %s: %w", h.identity(), err)
	}
	if err := found.check(name, clusterID); err != nil {
		return identity{}, fmt.Errorf("%s: %w", h.identity(), err)
	}
	spent, err := h.spent()
	if err != nil {
		return identity{}, err
	}
	if spent {
		return h.replace(found, name, clusterID)
	}
	return found, nil
}

// spent tells whether the id on disk may be used no more: because the member
// was replaced, or because its log is gone, and with it what it promised under
// this id.
func (h home) spent() (bool, error) {
	if _, err := os.Stat(h.retired()); err == nil {
		return true, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return false, fmt.Errorf("reading this member's directory: %w", err)
	}
	if _, err := os.Stat(h.log()); errors.Is(err, os.ErrNotExist) {
		return true, nil
	} else if err != nil {
		return false, fmt.Errorf("looking for this member's log: %w", err)
	}
	return false, nil
}

func (i identity) check(name, clusterID string) error {
	switch {
	case i.Format != identityFormat:
		return fmt.Errorf("its format is %d, and this version reads %d", i.Format, identityFormat)
	case i.Name != name:
		return fmt.Errorf("this disk belongs to %s, not to %s", i.Name, name)
	case i.ClusterID != clusterID:
		return fmt.Errorf("this disk belongs to cluster %s, not to %s", i.ClusterID, clusterID)
	case nameOf(i.ID) != name || i.ID == name || strings.Contains(i.ID, "/") || len(i.ID) > maxName:
		return fmt.Errorf("%q is not an id of %s", i.ID, name)
	}
	return nil
}

func (h home) replace(lost identity, name, clusterID string) (identity, error) {
	if err := h.setAside(lost.ID); err != nil {
		return identity{}, err
	}
	return h.mint(name, clusterID)
}

// setAside moves a member's directory out of the way, for people to look at.
func (h home) setAside(id string) error {
	to := filepath.Join(h.dir, "aside-"+id)
	if err := os.RemoveAll(to); err != nil {
		return fmt.Errorf("making room for %s: %w", to, err)
	}
	if err := os.Rename(h.member(), to); err != nil {
		return fmt.Errorf("moving this member's directory aside: %w", err)
	}
	return atomicfile.SyncDir(h.dir)
}

func (h home) mint(name, clusterID string) (identity, error) {
	if _, err := os.Stat(h.log()); err == nil {
		return identity{}, fmt.Errorf("%s is there without %s: this disk is damaged; move %s away, and this member joins as a new one", h.log(), h.identity(), h.member())
	}
	id, err := mintID(name)
	if err != nil {
		return identity{}, err
	}
	minted := identity{Format: identityFormat, ID: id, Name: name, ClusterID: clusterID}
	if err := minted.check(name, clusterID); err != nil {
		return identity{}, err
	}
	if err := os.MkdirAll(h.member(), 0o700); err != nil {
		return identity{}, fmt.Errorf("making this member's directory: %w", err)
	}
	raw, err := json.MarshalIndent(minted, "", "  ")
	if err != nil {
		return identity{}, fmt.Errorf("encoding this member's identity: %w", err)
	}
	if err := atomicfile.Write(h.identity(), raw, 0o600); err != nil {
		return identity{}, err
	}
	return minted, atomicfile.SyncDir(h.dir)
}
