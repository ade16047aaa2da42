package blockstore

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// Key names one version of the bytes of one object. Equal keys mean equal bytes.
type Key struct {
	// Mount is the mount's id, which is never reused.
	Mount string
	// Key of the object, relative to the mount's prefix.
	Key  string
	ETag string
	// Size of the object in bytes.
	Size int64
}

// Limits of a key, which bound what is read from disk or the network.
const (
	maxMount = 256
	maxName  = 8192
	maxETag  = 1024
	// maxSize is above the largest object that any store accepts.
	maxSize = int64(1) << 46
)

// ErrInvalidKey means that no version can have the key.
var ErrInvalidKey = errors.New("invalid key")

// Validate returns an error that wraps ErrInvalidKey if the key is not valid.
func (k Key) Validate() error {
	switch {
	case k.Mount == "" || len(k.Mount) > maxMount:
		return fmt.Errorf("mount id of %d bytes: %w", len(k.Mount), ErrInvalidKey)
	case k.Key == "" || len(k.Key) > maxName:
		return fmt.Errorf("object key of %d bytes: %w", len(k.Key), ErrInvalidKey)
	case k.ETag == "" || len(k.ETag) > maxETag:
		return fmt.Errorf("etag of %d bytes: %w", len(k.ETag), ErrInvalidKey)
	case k.Size < 0 || k.Size > maxSize:
		return fmt.Errorf("size %d: %w", k.Size, ErrInvalidKey)
	}
	return nil
}

// hash names a version's files.
type hash [sha256.Size]byte

func (h hash) String() string { return hex.EncodeToString(h[:]) }

// hash covers the lengths of the fields too, so that the hashes of two keys
// differ even if their concatenated fields are equal.
func (k Key) hash() hash {
	d := sha256.New()
	var n [8]byte
	for _, field := range []string{k.Mount, k.Key, k.ETag} {
		binary.LittleEndian.PutUint64(n[:], uint64(len(field)))
		d.Write(n[:])
		d.Write([]byte(field))
	}
	binary.LittleEndian.PutUint64(n[:], uint64(k.Size))
	d.Write(n[:])
	var h hash
	copy(h[:], d.Sum(nil))
	return h
}

// object is a key without its version.
type object struct{ mount, key string }

func (k Key) object() object { return object{k.Mount, k.Key} }
