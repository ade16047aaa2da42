package names

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// Prefixes of the labels of nodes for FUSE servers and caches.
const (
	labelDomain      = "fluid.io/"
	fuseKind         = "f-"
	cacheKind        = "s-"
	FuseLabelPrefix  = labelDomain + fuseKind
	CacheLabelPrefix = labelDomain + cacheKind
)

// digestLength is the number of hexadecimal digits that make a name unique.
const digestLength = 16

// Scope is the name of a runtime, or of the volume of a Dataset, among those of all
// namespaces. The names of cluster-scoped objects and of labels of nodes derive from it.
//
// Users of Fluid rely on NAMESPACE-NAME, which is the same for a/b-c and a-b/c. Package
// scopes assigns another scope to the second of two such objects.
type Scope struct {
	// Namespace and Object identify the runtime or the Dataset.
	Namespace, Object string
	// Name is NAMESPACE-NAME, or that with a digest.
	Name string
}

// ScopeOf returns the scope of an object with a recorded name; without one, the scope
// that users of Fluid expect.
func ScopeOf(namespace, object, recorded string) Scope {
	if recorded == "" {
		recorded = namespace + "-" + object
	}
	return Scope{Namespace: namespace, Object: object, Name: recorded}
}

// Distinct returns a scope of the same object with a digest of its namespace and name.
// Every attempt has another digest.
func (s Scope) Distinct(attempt int) Scope {
	key := s.Namespace + "/" + s.Object
	if attempt > 0 {
		key += "/" + strconv.Itoa(attempt)
	}
	return ScopeOf(s.Namespace, s.Object, s.Namespace+"-"+s.Object+"-"+digest(key))
}

// Possible reports whether the name can be one of the object.
func (s Scope) Possible() bool {
	expected := s.Namespace + "-" + s.Object
	suffix, found := strings.CutPrefix(s.Name, expected+"-")
	return s.Name == expected || found && len(suffix) == digestLength && strings.Trim(suffix, "0123456789abcdef") == ""
}

// Overlaps reports whether two scopes share the name of any object or label.
func (s Scope) Overlaps(other Scope) bool {
	return s.Name == other.Name || s.DatasetID() == other.DatasetID() || s.FuseNodeLabel() == other.FuseNodeLabel()
}

// DatasetID returns the value of [LabelDatasetID] and [LabelDataset], which is at
// most 63 bytes long.
func (s Scope) DatasetID() string { return s.short(s.Name) }

// FuseNodeLabel returns the label of nodes on which pods use the runtime's mounts.
func (s Scope) FuseNodeLabel() string { return labelDomain + s.short(fuseKind+s.Name) }

// CacheNodeLabel returns the label of nodes on which workers of the runtime cache
// data.
func (s Scope) CacheNodeLabel() string { return labelDomain + s.short(cacheKind+s.Name) }

// Volume returns the name of the PersistentVolume of a Dataset, which is also its
// volume handle.
func (s Scope) Volume() string { return s.Name }

// MasterVolume returns the name of the PersistentVolume of one master on a tier path
// of a node.
func (s Scope) MasterVolume(ordinal int) string { return MasterService(s.Name, ordinal) }

// NamedAsMasterVolume reports whether the name of a volume has the form of a master's, so
// that it may be that of another runtime.
func (s Scope) NamedAsMasterVolume() bool {
	at := strings.LastIndex(s.Name, "-")
	return at > 0 && strings.HasSuffix(s.Name[:at], Component("", "master")) && strings.Trim(s.Name[at+1:], "0123456789") == ""
}

// short returns name if it is at most 63 bytes long, and otherwise a prefix of it
// with a digest that differs for every object.
func (s Scope) short(name string) string {
	const limit = 63
	if len(name) <= limit {
		return name
	}
	return name[:limit-1-digestLength] + "-" + digest(s.Namespace+"/"+s.Object)
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:digestLength/2])
}
