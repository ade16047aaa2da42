package consensus

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"strings"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/atomicfile"
)

// Versions of the format of a member's directory, in identity.json. Format 1 had
// neither a tail record nor checksums of the identity and of snapshot metadata;
// such a directory is verified as far as possible and converted once. An older
// program refuses format 2.
const (
	firstFormat    = 1
	identityFormat = 2
)

// identity is the identity of a member, which belongs to its directory.
type identity struct {
	Format    int    `json:"format"`
	ID        string `json:"id"`
	Name      string `json:"name"`
	ClusterID string `json:"clusterID"`
	// Checksum is the crc32c of the other fields. Format 1 has none.
	Checksum string `json:"checksum,omitempty"`
}

func (i identity) checksum() string {
	fields := fmt.Sprintf("%d\n%s\n%s\n%s", identityFormat, i.ID, i.Name, i.ClusterID)
	return fmt.Sprintf("%08x", crc32.Checksum([]byte(fields), castagnoli))
}

// memberDir names the files in the data directory of a member.
type memberDir struct{ dir string }

func (d memberDir) member() string   { return filepath.Join(d.dir, "member") }
func (d memberDir) identity() string { return filepath.Join(d.member(), "identity.json") }
func (d memberDir) log() string      { return filepath.Join(d.member(), "raft.db") }
func (d memberDir) tail() string     { return filepath.Join(d.member(), "tail") }

// snapshots is the directory that the library keeps its directory of snapshots
// in.
func (d memberDir) snapshots() string { return d.member() }

// unfinished is where a new member's directory is prepared.
func (d memberDir) unfinished() string { return filepath.Join(d.dir, "member.new") }

// peers is the path of what this member remembers of the others.
func (d memberDir) peers() string { return filepath.Join(d.member(), "peers.json") }

// masters is the path of the addresses of this and the other masters.
func (d memberDir) masters() string { return filepath.Join(d.member(), "masters.json") }

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

// IsMemberOf reports whether a member id is valid and belongs to a name.
func IsMemberOf(name, id string) bool {
	return nameOf(id) == name && id != name && len(id) <= maxName
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

// readIdentity returns the identity on disk. It returns a DamageError when the
// file is missing or damaged, or when it is that of another member.
func (d memberDir) readIdentity(name, clusterID string) (identity, error) {
	raw, err := readLimited(d.identity(), 64<<10)
	if err != nil {
		return identity{}, err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	var found identity
	if err := decoder.Decode(&found); err != nil {
		return identity{}, damage(d.identity(), "%v", err)
	}
	sealed := found.Checksum == found.checksum()
	switch {
	case sealed && found.Format == identityFormat:
	case found.Checksum == "" && found.Format == firstFormat:
	case !sealed && found.Format > identityFormat:
		return identity{}, fmt.Errorf("%s: format %d is not supported: this version reads formats %d to %d", d.identity(), found.Format, firstFormat, identityFormat)
	default:
		return identity{}, damage(d.identity(), "%v", errDamaged)
	}
	if err := found.check(name, clusterID); err != nil {
		spoiled := damage(d.identity(), "%v", err)
		spoiled.member = found.ID
		return identity{}, spoiled
	}
	return found, nil
}

func (i identity) check(name, clusterID string) error {
	switch {
	case i.Name != name:
		return fmt.Errorf("this disk belongs to %s, not to %s", i.Name, name)
	case i.ClusterID != clusterID:
		return fmt.Errorf("this disk belongs to cluster %s, not to %s", i.ClusterID, clusterID)
	case nameOf(i.ID) != name || i.ID == name || strings.Contains(i.ID, "/") || len(i.ID) > maxName:
		return fmt.Errorf("invalid member id %q of %s", i.ID, name)
	}
	return nil
}

// writeIdentity makes an identity durable.
func (d memberDir) writeIdentity(path string, i identity) error {
	i.Format, i.Checksum = identityFormat, i.checksum()
	raw, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		return fmt.Errorf("encode member identity: %w", err)
	}
	return atomicfile.Write(path, raw, 0o600)
}
