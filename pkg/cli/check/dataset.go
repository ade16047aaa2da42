package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/inventory"
	"github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/mtls"
)

// pair is the checked Dataset and the runtime that serves it.
type pair struct {
	dataset    *v1alpha1.Dataset
	datasetErr error
	runtime    *v1alpha1.JindoRuntime
	runtimeErr error
}

// find reads both, once for all checks.
func (w *checkContext) find(ctx context.Context) *pair {
	w.pairOnce.Do(func() {
		p := &w.pair
		dataset := &v1alpha1.Dataset{}
		if p.datasetErr = w.cluster.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: w.dataset}, dataset); p.datasetErr == nil {
			p.dataset = dataset
		}
		var list v1alpha1.JindoRuntimeList
		if p.runtimeErr = w.cluster.List(ctx, &list, client.InNamespace(w.namespace)); p.runtimeErr != nil {
			return
		}
		for i := range list.Items {
			if r := &list.Items[i]; inventory.DatasetOf(r) == w.dataset {
				p.runtime = r
			}
		}
	})
	return &w.pair
}

func datasetPhase(ctx context.Context, w *checkContext) outcome {
	p := w.find(ctx)
	switch {
	case apierrors.IsNotFound(p.datasetErr):
		return bad("Dataset %q in namespace %q not found", w.dataset, w.namespace)
	case p.datasetErr != nil:
		return w.unread("read Dataset "+w.dataset, p.datasetErr)
	}
	result := health.EvaluateDataset(p.dataset)
	why := complaints(&result)
	switch phase := p.dataset.Status.Phase; {
	case phase != v1alpha1.BoundDatasetPhase:
		return bad("it is %s: %s", cmp.Or(string(phase), "not reconciled yet"), cmp.Or(why, "no condition has the reason: read the log of "+datasetController))
	case why != "":
		return warn("it is Bound, but: %s", why)
	}
	return good("it is Bound")
}

// complaints joins the messages of the conditions that report something, each once.
func complaints(result *health.Result) string {
	var messages []string
	for _, f := range result.Findings {
		if f.Condition != "" && !slices.Contains(messages, f.Message) {
			messages = append(messages, f.Message)
		}
	}
	return strings.Join(messages, "; ")
}

func runtimePhases(ctx context.Context, w *checkContext) outcome {
	p := w.find(ctx)
	switch {
	case p.runtimeErr != nil:
		return w.unread("list JindoRuntimes", p.runtimeErr)
	case p.runtime == nil:
		return bad("no JindoRuntime serves it: create one named %q, or set the annotation %s: %s on another", w.dataset, v1alpha1.DatasetAnnotation, w.dataset)
	}
	status := p.runtime.Status
	result := health.EvaluateRuntime(p.runtime)
	why := complaints(&result)
	for _, part := range []struct {
		name  string
		phase v1alpha1.RuntimePhase
	}{{"masters", status.MasterPhase}, {"workers", status.WorkerPhase}, {"mounts", status.FusePhase}} {
		if !health.Serving(part.phase) {
			return bad("%s of JindoRuntime %s are not ready: %s", part.name, p.runtime.Name, cmp.Or(why, "no condition has the reason: describe its pods"))
		}
	}
	if why != "" {
		return warn("JindoRuntime %s: %s", p.runtime.Name, why)
	}
	return good("masters, workers and mounts of JindoRuntime %s are ready", p.runtime.Name)
}

// certificates checks the remaining validity of the members' certificates.
func certificates(ctx context.Context, w *checkContext) outcome {
	p := w.find(ctx)
	if p.runtime == nil {
		return skip("no runtime serves the dataset")
	}
	least, which := time.Duration(-1), ""
	for _, role := range []string{string(mtls.Master), string(mtls.Worker), string(mtls.Fuse), string(mtls.Admin)} {
		name := names.Secret(p.runtime.Name, role)
		var secret corev1.Secret
		switch err := w.cluster.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: name}, &secret); {
		case apierrors.IsNotFound(err):
			return bad("Secret %s not found: the controller creates it, read the log of %s", name, runtimeController)
		case err != nil:
			return w.unread("read Secret "+name, err)
		}
		for _, key := range slices.Sorted(maps.Keys(secret.Data)) {
			if !strings.HasSuffix(key, ".crt") {
				continue
			}
			found, err := parseCertificates(secret.Data[key])
			if err != nil {
				return bad("%s in Secret %s %v", key, name, err)
			}
			for _, c := range found {
				if left := c.NotAfter.Sub(w.now()); which == "" || left < least {
					least, which = left, fmt.Sprintf("%s in Secret %s", key, name)
				}
			}
		}
	}
	const soon = 24 * time.Hour
	switch {
	case which == "":
		return bad("the Secrets of JindoRuntime %s hold no certificates", p.runtime.Name)
	case least <= 0:
		return bad("%s expired %s ago: the controller renews it when it runs", which, duration.HumanDuration(-least))
	case least < soon:
		return warn("%s expires in %s: the controller should have renewed it", which, duration.HumanDuration(least))
	}
	return good("certificates are valid for %s or longer", duration.HumanDuration(least))
}

// credentials checks that Secrets have the keys that mounts refer to.
func credentials(ctx context.Context, w *checkContext) outcome {
	p := w.find(ctx)
	if p.dataset == nil {
		return skip("Dataset not found")
	}
	options := slices.Clone(p.dataset.Spec.SharedEncryptOptions)
	for _, m := range p.dataset.Spec.Mounts {
		options = append(options, m.EncryptOptions...)
	}
	if len(options) == 0 {
		return good("it refers to no Secret")
	}
	read := map[string]*corev1.Secret{}
	for _, o := range options {
		ref := o.ValueFrom.SecretKeyRef
		secret := read[ref.Name]
		if secret == nil {
			secret = &corev1.Secret{}
			switch err := w.cluster.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: ref.Name}, secret); {
			case apierrors.IsNotFound(err):
				return bad("Secret %q in namespace %q not found, which %s refers to", ref.Name, w.namespace, o.Name)
			case err != nil:
				return w.unread("read Secret "+ref.Name, err)
			}
			read[ref.Name] = secret
		}
		if len(secret.Data[ref.Key]) == 0 {
			return bad("Secret %s has no value for the key %q, which %s refers to", ref.Name, ref.Key, o.Name)
		}
	}
	return good("Secret %s has the keys", several(slices.Sorted(maps.Keys(read))))
}

func claimBound(ctx context.Context, w *checkContext) outcome {
	var claim corev1.PersistentVolumeClaim
	switch err := w.cluster.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: w.dataset}, &claim); {
	case apierrors.IsNotFound(err):
		if p := w.find(ctx); p.dataset != nil && p.dataset.Status.Phase == v1alpha1.BoundDatasetPhase {
			return bad("PersistentVolumeClaim %s not found: the controller creates it, read the log of %s", w.dataset, datasetController)
		}
		return skip("the claim is created when the Dataset is Bound")
	case err != nil:
		return w.unread("read PersistentVolumeClaim "+w.dataset, err)
	case health.ClaimLevel(&claim) != health.Ready:
		return bad("PersistentVolumeClaim %s is %s: pods that mount it wait", claim.Name, claim.Status.Phase)
	}
	return good("PersistentVolumeClaim %s is bound", claim.Name)
}

// memberErr returns the outcome when the members' views could not be read.
func (w *checkContext) memberErr(err error) outcome {
	if errors.Is(err, context.DeadlineExceeded) {
		return bad("the members did not respond in time")
	}
	return skip("the members cannot be reached: %v", err)
}
