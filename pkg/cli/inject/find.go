package inject

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/apierror"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/kube/admission/lookup"
	"github.com/jindo-io/jindo/pkg/kube/client"
	sidecar "github.com/jindo-io/jindo/pkg/kube/inject"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/version"
)

// productImage is the image of sidecars if neither a runtime nor the webhook has one.
const productImage = "ghcr.io/jindo-io/jindo"

// finder reads the objects that pods use, from the manifests first and then from the
// cluster. It connects to the cluster when it first needs to.
type finder struct {
	s       *session.Session
	options *options
	files   map[string]client.Object
	cluster *session.Cluster
	// missing holds the objects that the cluster does not have, which are requested
	// once.
	missing map[string]bool
	image   string
	// invalid is the error of objects that could not be decoded.
	invalid error
}

func newFinder(s *session.Session, all *stream, o *options) *finder {
	f := &finder{s: s, options: o, files: map[string]client.Object{}, missing: map[string]bool{}, image: o.image}
	for _, d := range all.documents {
		for _, object := range d.objects {
			f.add(object)
		}
	}
	return f
}

// add adds an object of the manifests, if pods may depend on its kind.
func (f *finder) add(o *object) {
	var into client.Object
	switch {
	case o.Kind == v1alpha1.DatasetKind && o.APIVersion == v1alpha1.GroupVersion().String():
		into = &v1alpha1.Dataset{}
	case o.Kind == v1alpha1.JindoRuntimeKind && o.APIVersion == v1alpha1.GroupVersion().String():
		into = &v1alpha1.JindoRuntime{}
	case o.Kind == "PersistentVolumeClaim" && o.APIVersion == "v1":
		into = &corev1.PersistentVolumeClaim{}
	default:
		return
	}
	if err := json.Unmarshal(o.content, into); err != nil {
		f.invalid = errors.Join(f.invalid, clierror.Usagef("%s: %w", o.ref(), err))
		return
	}
	into.SetNamespace(f.namespace(o))
	f.files[key(into)] = into
}

func (f *finder) namespace(o *object) string {
	switch {
	case o.Metadata.Namespace != "":
		return o.Metadata.Namespace
	case f.cluster != nil:
		return f.cluster.Namespace
	case f.s.Namespace == "" && f.s.Kube != nil && !f.options.offline:
		if namespace, _, err := f.s.Kube.ToRawKubeConfigLoader().Namespace(); err == nil {
			return namespace
		}
	}
	return f.s.InNamespace()
}

func key(o client.Object) string {
	return fmt.Sprintf("%T %s/%s", o, o.GetNamespace(), o.GetName())
}

// plan returns the plan for one pod.
func (f *finder) plan(ctx context.Context, t *target) (*sidecar.Result, error) {
	if f.invalid != nil {
		return nil, f.invalid
	}
	claims, err := sidecar.Claims(t.pod)
	if err != nil {
		return nil, err
	}
	namespace := f.namespace(t.object)
	datasets, err := lookup.Find(ctx, f, f, namespace, claims)
	if err != nil {
		var unknown *lookup.Unknown
		if errors.As(err, &unknown) && unknown.Err == nil {
			return nil, err
		}
		return nil, apierror.Explain(f.s, f.cluster, "reading the objects that the pod uses", err)
	}
	return sidecar.Plan(sidecar.Request{Pod: t.pod, Namespace: namespace, Datasets: datasets, Image: f.defaultImage(ctx)})
}

// connect returns the cluster, or nil with --offline.
func (f *finder) connect() (*session.Cluster, error) {
	if f.options.offline || f.cluster != nil {
		return f.cluster, nil
	}
	c, err := f.s.Cluster()
	if err != nil {
		var failed *clierror.Error
		if errors.As(err, &failed) {
			return nil, failed.WithHint("with --offline only the manifests are read")
		}
		return nil, err
	}
	f.cluster = c
	return c, nil
}

// Get implements client.Reader.
func (f *finder) Get(ctx context.Context, at client.ObjectKey, into client.Object) error {
	into.SetNamespace(at.Namespace)
	into.SetName(at.Name)
	if there, has := f.files[key(into)]; has {
		return copyInto(there, into)
	}
	if _, isClaim := into.(*corev1.PersistentVolumeClaim); isClaim {
		if f.datasetInFiles(at) {
			return notFound(into, at.Name)
		}
		if f.options.offline {
			return nil // assumed to exist
		}
	}
	c, err := f.connect()
	if err != nil {
		return err
	}
	name := key(into)
	if c == nil || f.missing[name] {
		return notFound(into, at.Name)
	}
	err = c.Get(ctx, at, into)
	f.missing[name] = apierrors.IsNotFound(err)
	return err
}

func (f *finder) datasetInFiles(at client.ObjectKey) bool {
	_, has := f.files[key(&v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Namespace: at.Namespace, Name: at.Name}})]
	return has
}

func notFound(into client.Object, name string) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: fmt.Sprintf("%T", into)}, name)
}

func copyInto(from, into client.Object) error {
	raw, err := json.Marshal(from)
	if err != nil {
		return fmt.Errorf("copy %s: %w", from.GetName(), err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("copy %s: %w", from.GetName(), err)
	}
	return nil
}

// List implements client.Reader for JindoRuntimes. It returns those of the manifests
// and, unless these suffice, those of the cluster that the manifests do not have.
func (f *finder) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	runtimes, ok := list.(*v1alpha1.JindoRuntimeList)
	if !ok {
		return fmt.Errorf("list of %T is not supported", list)
	}
	o := client.NewListOptions(opts...)
	inFiles := 0
	for _, name := range slices.Sorted(maps.Keys(f.files)) {
		if r, ok := f.files[name].(*v1alpha1.JindoRuntime); ok && r.Namespace == o.Namespace {
			runtimes.Items = append(runtimes.Items, *r)
			inFiles++
		}
	}
	if inFiles > 0 && f.cluster == nil {
		return nil
	}
	c, err := f.connect()
	if err != nil || c == nil {
		return err
	}
	var more v1alpha1.JindoRuntimeList
	if err := c.List(ctx, &more, opts...); err != nil {
		return err
	}
	for _, r := range more.Items {
		if _, has := f.files[key(&r)]; !has {
			runtimes.Items = append(runtimes.Items, r)
		}
	}
	return nil
}

// defaultImage returns the image of sidecars whose runtime has none.
func (f *finder) defaultImage(ctx context.Context) string {
	if f.image == "" && f.cluster != nil {
		f.image = webhookImage(ctx, f.cluster)
	}
	if f.image == "" {
		f.image = productImage + ":" + version.String()
	}
	return f.image
}

func webhookImage(ctx context.Context, c client.Reader) string {
	var d appsv1.Deployment
	if err := c.Get(ctx, client.ObjectKey{Namespace: names.SystemNamespace, Name: names.Webhook}, &d); err != nil {
		return ""
	}
	containers := d.Spec.Template.Spec.Containers
	if len(containers) == 0 {
		return ""
	}
	for _, v := range containers[0].Env {
		if v.Name == "JINDO_IMAGE" && v.Value != "" {
			return v.Value
		}
	}
	return containers[0].Image
}
