package render

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/hostpath"
	"github.com/jindo-io/jindo/pkg/owner"
	"github.com/jindo-io/jindo/pkg/plan"
)

// HostPathError is the error of [Objects] for objects that would use a directory of
// a node without being allowed to. It wraps [hostpath.ErrRefused],
// [hostpath.ErrPodSecurity] or both.
type HostPathError struct {
	errs []error
}

// Error returns the distinct messages.
func (e *HostPathError) Error() string { return e.Messages(nil) }

// Messages returns the distinct messages of the errors that wrap cause; nil selects
// all of them.
func (e *HostPathError) Messages(cause error) string {
	var messages []string
	for _, err := range e.errs {
		if text := err.Error(); (cause == nil || errors.Is(err, cause)) && !slices.Contains(messages, text) {
			messages = append(messages, text)
		}
	}
	return strings.Join(messages, "; ")
}

// Unwrap returns the causes.
func (e *HostPathError) Unwrap() []error { return e.errs }

// UsesHostPaths reports whether objects of the plan use directories of nodes.
func UsesHostPaths(p *plan.Plan, runtime *v1alpha1.JindoRuntime) bool {
	declared := func(v corev1.Volume) bool { return v.HostPath != nil }
	return firstHostPath(p) != "" || slices.ContainsFunc(runtime.Spec.Volumes, declared)
}

// HostPathAllowed returns a [*HostPathError] unless in may use the tiers of its plan
// that are directories of nodes.
func (in *Input) HostPathAllowed() error {
	if in.Plan.Workers == nil {
		return nil
	}
	refused := &HostPathError{}
	for _, v := range in.Plan.Workers.Volumes {
		if v.Tier == nil || !isNodeDirectory(v.Tier) {
			continue
		}
		for _, err := range []error{in.PodSecurity, in.HostPaths.Check(v.Tier.Path)} {
			if err != nil {
				refused.errs = append(refused.errs, err)
			}
		}
	}
	if len(refused.errs) > 0 {
		return refused
	}
	return nil
}

// addPlace adds the place on the node of a volume that is a directory of nodes, so
// that the process detects a symbolic link that the kubelet followed.
func (in *Input) addPlace(s *podSettings, directory, kind string) {
	place := directory + "=" + strings.TrimPrefix(nodeDirectory("/", in.Plan, kind), "/")
	if before := s.values[owner.PlacesVariable]; before != "" {
		place = before + "," + place
	}
	s.values[owner.PlacesVariable] = place
}

// addAllowed adds objects that belong together, unless one of them uses a directory
// of a node that it may not use: then it adds none, and records the errors.
//
// It checks the rendered objects, regardless of what their directories were derived from.
func (in *Input) addAllowed(objects []client.Object, refused *HostPathError, group ...client.Object) []client.Object {
	var errs []error
	for _, o := range group {
		errs = append(errs, in.directoryErrors(o)...)
	}
	if len(errs) > 0 {
		refused.errs = append(refused.errs, errs...)
		return objects
	}
	return append(objects, group...)
}

// Allowed returns a [*HostPathError] unless an object may use the directories of nodes
// that it refers to.
func (in *Input) Allowed(o client.Object) error {
	if errs := in.directoryErrors(o); len(errs) > 0 {
		return &HostPathError{errs: errs}
	}
	return nil
}

func (in *Input) directoryErrors(o client.Object) []error {
	var errs []error
	for _, directory := range in.nodeDirectories(o) {
		if in.PodSecurity != nil {
			errs = append(errs, in.PodSecurity)
		}
		if err := in.checkDirectory(directory); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// nodeDirectories returns the directories of nodes that an object refers to, and of
// masters also that of their volumes, which may have no node yet.
func (in *Input) nodeDirectories(o client.Object) []string {
	var all []string
	var volumes []corev1.Volume
	switch o := o.(type) {
	case *corev1.PersistentVolume:
		switch {
		case o.Spec.HostPath != nil:
			return []string{o.Spec.HostPath.Path}
		case o.Spec.Local != nil:
			return []string{o.Spec.Local.Path}
		}
	case *appsv1.StatefulSet:
		volumes = o.Spec.Template.Spec.Volumes
		if directory := in.masterPath(); directory != "" && len(o.Spec.VolumeClaimTemplates) > 0 {
			all = append(all, directory)
		}
	case *appsv1.DaemonSet:
		volumes = o.Spec.Template.Spec.Volumes
	}
	for _, v := range volumes {
		if v.HostPath != nil {
			all = append(all, v.HostPath.Path)
		}
	}
	return all
}

// checkDirectory returns an error unless a directory is one of the runtime's own,
// directly below an allowed directory.
func (in *Input) checkDirectory(directory string) error {
	for _, kind := range []string{"tier", "data", "master"} {
		root, found := strings.CutSuffix(directory, nodeDirectory("/", in.Plan, kind))
		if found && directory == nodeDirectory(root, in.Plan, kind) {
			return in.HostPaths.Check(root)
		}
	}
	return fmt.Errorf("spec.volumes: directory %q of nodes cannot be used: write a persistentVolumeClaim, for example of a volume that the cluster's administrator created for this directory, or another volume that needs no directory of a node: %w",
		directory, hostpath.ErrRefused)
}
