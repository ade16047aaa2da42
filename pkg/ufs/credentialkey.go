package ufs

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxCredentialName is the longest reference or option that a key contains
// unchanged: two of them and the separator fit into the 253 characters of a key
// in a Secret.
const maxCredentialName = 120

// CredentialsRevision is the name of the file with the revision of the credentials in such
// a directory, a decimal number. No result of [CredentialKey] equals it.
const CredentialsRevision = "revision"

// CredentialKey returns the name of one option of one secret reference in a flat
// directory, such as a mounted Secret of Kubernetes:
// "hadoop__fs.oss.accessKeyId". A name that is not allowed in such a key, or
// that would make two pairs share one, is replaced by a digest.
func CredentialKey(ref, option string) string {
	if strings.HasPrefix(ref, "..") || strings.Contains(ref, "__") || strings.HasSuffix(ref, "_") {
		ref = digest(ref)
	}
	return short(ref) + "__" + short(option)
}

func short(name string) string {
	if len(name) > maxCredentialName {
		return digest(name)
	}
	return name
}

func digest(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "sha256-" + hex.EncodeToString(sum[:16])
}
