package ufs

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxCredentialName is how long a reference or an option is in a key as it is:
// two of them and the separator stay below the 253 characters of a Secret's
// keys.
const maxCredentialName = 120

// CredentialKey names the value of one option of one secret reference where a
// directory cannot hold directories, as in a mounted Secret of Kubernetes:
// "hadoop__fs.oss.accessKeyId". A name that is no part of such a key, or would
// make two pairs share one, is replaced by a digest of it.
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
