// Package hostpath decides which directories of nodes a runtime may use.
//
// Everybody who may create a JindoRuntime chooses the paths of its tiers, and the
// kubelet creates and mounts them as root. Therefore a path must equal an entry of a
// list that the administrator sets for the installation, as [Setting]. It must not
// be below an entry, because a worker writes there and could replace a directory by
// a symbolic link, which the kubelet follows.
package hostpath

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/notes"
)

const (
	// Setting is the environment variable of controllers and webhook with the
	// allowed directories, separated by commas; [None] allows none.
	Setting = "JINDO_HOST_PATHS"
	// KubeletSetting is the environment variable with the root directory of the
	// kubelets, below which no directory is allowed.
	KubeletSetting = "KUBELET_DIR"
	// None is the value of Setting that allows no directory.
	None = "none"
)

// Default is the value of [Setting] of a new installation: the directories of the
// published samples.
const Default = "/mnt/disk1,/mnt/disk2,/mnt/disk3"

// Policy is the list of allowed directories. The zero value allows those of
// [Default]. It is immutable.
type Policy struct {
	roots []string
	set   bool
}

// Parse returns the policy of a value of [Setting]. An empty value is [Default]. It
// returns an error for entries that no administrator may allow: those that equal,
// contain or are in a directory of the node's system or in kubeletDir, and those
// that contain another entry.
func Parse(value, kubeletDir string) (Policy, error) {
	policy := Policy{set: true}
	switch strings.TrimSpace(value) {
	case "":
		value = Default
	case None:
		return policy, nil
	}
	for entry := range strings.SplitSeq(value, ",") {
		root, err := parseRoot(entry, kubeletDir)
		if err != nil {
			return Policy{}, fmt.Errorf("parse %s: %w", Setting, err)
		}
		for _, other := range policy.roots {
			if root != other && v1alpha1.Nested(root, other) {
				return Policy{}, fmt.Errorf("parse %s: %s and %s contain each other: remove one", Setting, other, root)
			}
		}
		if !slices.Contains(policy.roots, root) {
			policy.roots = append(policy.roots, root)
		}
	}
	return policy, nil
}

// parseRoot checks one entry. Its characters are restricted, so that two entries
// that look equal are equal.
func parseRoot(entry, kubeletDir string) (string, error) {
	root := strings.TrimSpace(entry)
	if trimmed := strings.TrimRight(root, "/"); trimmed != "" {
		root = trimmed
	}
	if !clean(root) {
		return "", fmt.Errorf("%q is not a clean absolute directory: write directories such as %s, with the characters A-Z, a-z, 0-9, '.', '_' and '-'", entry, Default)
	}
	if reserved := v1alpha1.ReservedDirectory(root); reserved != "" && !mutantAnyEntry {
		return "", fmt.Errorf("%s cannot be allowed, because %s belongs to the system of the node: write a directory for caches alone, such as /mnt/disk1", root, reserved)
	}
	if kubelet := strings.TrimRight(kubeletDir, "/"); kubelet != "" && v1alpha1.Nested(strings.ToLower(root), strings.ToLower(kubelet)) {
		return "", fmt.Errorf("%s cannot be allowed, because %s is the directory of the kubelet: write a directory for caches alone, such as /mnt/disk1", root, kubelet)
	}
	return root, nil
}

// clean reports whether a path is absolute, not the root, and without empty
// elements, "." and "..".
func clean(root string) bool {
	if !regexp.MustCompile(`^(/[A-Za-z0-9._-]+)+$`).MatchString(root) {
		return false
	}
	return !slices.ContainsFunc(strings.Split(root, "/"), func(e string) bool { return e == "." || e == ".." })
}

// Roots returns the allowed directories.
func (p Policy) Roots() []string {
	if !p.set {
		return strings.Split(Default, ",")
	}
	return slices.Clone(p.roots)
}

// String returns the value of [Setting].
func (p Policy) String() string {
	if roots := p.Roots(); len(roots) > 0 {
		return strings.Join(roots, ",")
	}
	return None
}

// maxPath bounds a path in a message, in bytes.
const maxPath = 256

// ErrRefused is the error of directories that the policy does not allow.
var ErrRefused = errors.New("the directory of the node is not allowed")

// RefusedError reports a directory that is not allowed. It wraps [ErrRefused].
type RefusedError struct {
	Path    string
	Allowed []string
}

// Error names the path, the allowed directories, and who can change them.
func (e *RefusedError) Error() string {
	allowed := None
	if len(e.Allowed) > 0 {
		allowed = strings.Join(e.Allowed, ", ")
	}
	if reserved := v1alpha1.ReservedDirectory(e.Path); reserved != "" {
		return fmt.Sprintf("directory %q belongs to the system of nodes (%s), which no setting can allow: write exactly one of the allowed directories (%s), or volumeType: emptyDir", notes.Shorten(e.Path, maxPath), reserved, allowed)
	}
	return fmt.Sprintf("directory %q is not one of the allowed directories of nodes (%s): write exactly one of them, or volumeType: emptyDir; the cluster's administrator can add it to %s", notes.Shorten(e.Path, maxPath), allowed, Setting)
}

// Unwrap returns ErrRefused.
func (e *RefusedError) Unwrap() error { return ErrRefused }

// Check returns a [*RefusedError] unless path equals an allowed directory, byte by
// byte: it does not normalize path.
func (p Policy) Check(path string) error {
	roots := p.Roots()
	if slices.Contains(roots, path) {
		return nil
	}
	if mutantBelow && slices.ContainsFunc(roots, func(r string) bool { return strings.HasPrefix(path, r+"/") }) {
		return nil
	}
	return &RefusedError{Path: path, Allowed: roots}
}
