package teardown

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/scopes"
)

// Sweep removes the volumes, node labels, authorities and cleaner pods of runtimes
// that do not exist. It is called when the controllers start, for runtimes that were
// deleted without them.
func Sweep(ctx context.Context, deps Deps) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s := &sweep{Deps: deps}
	// Objects are read before runtimes, so that objects of runtimes that are
	// created meanwhile are not considered.
	if err := s.readObjects(ctx); err != nil {
		return fmt.Errorf("find objects of deleted runtimes: %w", err)
	}
	if err := s.readRuntimes(ctx); err != nil {
		return fmt.Errorf("find objects of deleted runtimes: %w", err)
	}
	err := errors.Join(s.sweepVolumes(ctx), s.sweepLabels(ctx), s.sweepAuthorities(ctx), s.sweepPods(ctx))
	if err != nil {
		return fmt.Errorf("remove objects of deleted runtimes: %w", err)
	}
	return nil
}

type sweep struct {
	Deps
	volumes corev1.PersistentVolumeList
	nodes   corev1.NodeList
	secrets metav1.PartialObjectMetadataList
	pods    corev1.PodList

	runtimes map[types.NamespacedName]bool
	uids     map[string]bool
	labels   map[string]bool
}

func (s *sweep) readObjects(ctx context.Context) error {
	ours := client.MatchingLabels{names.LabelManagedBy: names.ManagedBy}
	system := client.InNamespace(s.SystemNamespace)
	s.secrets.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	for _, list := range []struct {
		kind    string
		objects client.ObjectList
		options []client.ListOption
	}{
		{"PersistentVolumes", &s.volumes, []client.ListOption{ours}},
		{"nodes", &s.nodes, nil},
		{"Secrets of namespace " + s.SystemNamespace, &s.secrets, []client.ListOption{ours, system}},
		{"pods of namespace " + s.SystemNamespace, &s.pods, []client.ListOption{ours, system}},
	} {
		if err := s.Live.List(ctx, list.objects, list.options...); err != nil {
			return fmt.Errorf("list %s: %w", list.kind, err)
		}
	}
	return nil
}

// readRuntimes reads the existing runtimes. The labels of Datasets that other kinds
// of runtimes serve are kept, too: those runtimes have the Dataset's name and use the
// same labels.
func (s *sweep) readRuntimes(ctx context.Context) error {
	runtimes, datasets := &v1alpha1.JindoRuntimeList{}, &v1alpha1.DatasetList{}
	if err := s.Live.List(ctx, runtimes); err != nil {
		return fmt.Errorf("list JindoRuntimes: %w", err)
	}
	if err := s.Live.List(ctx, datasets); err != nil {
		return fmt.Errorf("list Datasets: %w", err)
	}
	s.runtimes, s.uids, s.labels = map[types.NamespacedName]bool{}, map[string]bool{}, map[string]bool{}
	keep := func(scope names.Scope) {
		s.labels[scope.CacheNodeLabel()] = true
		s.labels[scope.FuseNodeLabel()] = true
	}
	for i := range runtimes.Items {
		r := &runtimes.Items[i]
		s.runtimes[client.ObjectKeyFromObject(r)] = true
		s.uids[string(r.UID)] = true
		keep(scopes.Of(r))
	}
	for i := range datasets.Items {
		for _, r := range datasets.Items[i].Status.Runtimes {
			if r.Type != v1alpha1.JindoRuntimeType {
				keep(names.ScopeOf(datasets.Items[i].Namespace, datasets.Items[i].Name, ""))
			}
		}
	}
	return nil
}

// sweepVolumes removes volumes without a claim. A volume with a claim is removed
// after the claim.
func (s *sweep) sweepVolumes(ctx context.Context) error {
	var errs []error
	for i := range s.volumes.Items {
		pv := &s.volumes.Items[i]
		runtime := types.NamespacedName{Namespace: pv.Labels[names.LabelRuntimeNamespace], Name: pv.Labels[names.LabelRuntimeName]}
		if runtime.Name == "" || s.runtimes[runtime] {
			continue
		}
		claimed, err := s.claimed(ctx, pv)
		if err == nil && !claimed {
			err = s.volumeStore().RemoveVolume(ctx, pv)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (s *sweep) claimed(ctx context.Context, pv *corev1.PersistentVolume) (bool, error) {
	ref := pv.Spec.ClaimRef
	if ref == nil {
		return false, nil
	}
	pvc := &corev1.PersistentVolumeClaim{}
	err := s.Live.Get(ctx, types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}, pvc)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("get PersistentVolumeClaim %s/%s: %w", ref.Namespace, ref.Name, err)
	}
	return ref.UID == "" || pvc.UID == ref.UID, nil
}

func (s *sweep) sweepLabels(ctx context.Context) error {
	var errs []error
	for i := range s.nodes.Items {
		var unused []string
		for label := range s.nodes.Items[i].Labels {
			if managedLabel(label) && !s.labels[label] {
				unused = append(unused, label)
			}
		}
		if len(unused) > 0 {
			errs = append(errs, s.removeNodeLabels(ctx, s.nodes.Items[i].Name, unused...))
		}
	}
	return errors.Join(errs...)
}

// managedLabel reports whether a node label has the form of this product's labels.
// Fluid's labels of workers contain the runtime's kind, and its labels of Datasets with
// long names the Dataset's uid.
func managedLabel(label string) bool {
	rest, cache := strings.CutPrefix(label, names.CacheLabelPrefix)
	if !cache {
		owner, fuse := strings.CutPrefix(label, names.FuseLabelPrefix)
		return fuse && uuid.Validate(owner) != nil
	}
	if uuid.Validate(rest) == nil {
		return false
	}
	for _, kind := range []string{"alluxio-", "cache-", "efc-", "goosefs-", "h-", "jindo-", "juicefs-", "thin-", "vineyard-"} {
		if strings.HasPrefix(rest, kind) {
			return false
		}
	}
	return true
}

func (s *sweep) sweepAuthorities(ctx context.Context) error {
	prefix := names.AuthoritySecret("")
	var errs []error
	for i := range s.secrets.Items {
		secret := &s.secrets.Items[i]
		uid, ok := strings.CutPrefix(secret.Name, prefix)
		if !ok || s.uids[uid] {
			continue
		}
		secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
		if err := s.Client.Delete(ctx, secret); client.IgnoreNotFound(err) != nil {
			errs = append(errs, fmt.Errorf("delete Secret %s: %w", secret.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (s *sweep) sweepPods(ctx context.Context) error {
	var errs []error
	for i := range s.pods.Items {
		pod := &s.pods.Items[i]
		if pod.Labels[names.LabelRole] != "jindofs-"+cleanerRole || s.uids[pod.Labels[names.LabelRuntimeUID]] {
			continue
		}
		if err := s.Client.Delete(ctx, pod); client.IgnoreNotFound(err) != nil {
			errs = append(errs, fmt.Errorf("delete pod %s: %w", pod.Name, err))
		}
	}
	return errors.Join(errs...)
}
