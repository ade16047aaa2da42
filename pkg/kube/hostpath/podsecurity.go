package hostpath

import (
	"errors"
	"fmt"
)

// The label of namespaces with the enforced level, and the level that forbids nothing.
const (
	enforceLabel    = "pod-security.kubernetes.io/enforce"
	levelPrivileged = "privileged"
)

// ErrPodSecurity is the error of namespaces whose Pod Security level forbids
// directories of nodes.
var ErrPodSecurity = errors.New("the Pod Security level of the namespace forbids directories of nodes")

// LevelError reports that a namespace enforces a level that forbids directories of
// nodes. It wraps [ErrPodSecurity].
type LevelError struct {
	Namespace, Level string
}

// Error names the namespace, the level and what needs no directory of a node.
func (e *LevelError) Error() string {
	return fmt.Sprintf("namespace %s enforces the Pod Security level %q, which forbids directories of nodes: set volumeType: emptyDir or mediumtype: MEM in every level of spec.tieredstore and set spec.master.storageClassName (a runtime whose pods exist must be deleted and recreated), or create it in a namespace that enforces no level or \"privileged\"",
		e.Namespace, e.Level)
}

// Unwrap returns ErrPodSecurity.
func (e *LevelError) Unwrap() error { return ErrPodSecurity }

// CheckNamespace returns a [*LevelError] if the labels of a namespace enforce a level
// other than "privileged", unknown ones included. Pod Security admission checks pods
// and not the volumes of their claims, so the controller must check for itself.
func CheckNamespace(name string, labels map[string]string) error {
	level, enforced := labels[enforceLabel]
	if !enforced || level == levelPrivileged {
		return nil
	}
	return &LevelError{Namespace: name, Level: level}
}
