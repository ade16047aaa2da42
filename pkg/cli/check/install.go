package check

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/semver"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/version"
)

const (
	datasetController = "dataset-controller"
	runtimeController = "jindoruntime-controller"
	plugin            = "csi-nodeplugin-fluid"

	// releases is where releases publish crds.yaml and install.yaml.
	releases = "https://github.com/jindo-io/jindo/releases"
)

func system(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: names.SystemNamespace, Name: name}
}

// installed fails if no component of the product exists, so that the failures of
// every later check are reported once, with the commands to install it.
func installed(ctx context.Context, w *checkContext) outcome {
	crd := &unstructured.Unstructured{}
	crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	for _, component := range []struct {
		key    client.ObjectKey
		object client.Object
	}{
		{client.ObjectKey{Name: "jindoruntimes." + v1alpha1.Group}, crd},
		{system(runtimeController), &appsv1.Deployment{}},
		{system(plugin), &appsv1.DaemonSet{}},
		{client.ObjectKey{Name: names.PodWebhooks}, &admissionv1.MutatingWebhookConfiguration{}},
	} {
		err := w.cluster.Get(ctx, component.key, component.object)
		if err == nil {
			return good("installed")
		}
		if !apierrors.IsNotFound(err) {
			return w.unread("read "+component.key.Name, err)
		}
	}
	release := releases + "/latest/download"
	if v := version.String(); semver.IsValid(v) && semver.Prerelease(v) == "" {
		release = releases + "/download/" + v
	}
	return bad("Jindo is not installed in this cluster: kubectl apply -f %[1]s/crds.yaml -f %[1]s/install.yaml", release)
}

func controllers(ctx context.Context, w *checkContext) outcome {
	var ready []string
	for _, name := range []string{datasetController, runtimeController} {
		o := w.deployment(ctx, name)
		if o.state != Passed {
			return o
		}
		ready = append(ready, o.text)
	}
	return good("%s", strings.Join(ready, ", "))
}

// deployment checks that every replica of a Deployment is ready.
func (w *checkContext) deployment(ctx context.Context, name string) outcome {
	var d appsv1.Deployment
	switch err := w.cluster.Get(ctx, system(name), &d); {
	case apierrors.IsNotFound(err):
		return bad("Deployment %s in %s not found: apply install.yaml", name, names.SystemNamespace)
	case err != nil:
		return w.unread("read Deployment "+name, err)
	}
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	counts := fmt.Sprintf("%s %d/%d", name, d.Status.ReadyReplicas, want)
	switch {
	case want == 0:
		return bad("%s is scaled to zero: kubectl -n %s scale deployment %s --replicas=2", name, names.SystemNamespace, name)
	case d.Status.ReadyReplicas == 0:
		return bad("%s: no pod is ready%s", counts, w.whyNot(ctx, name))
	case d.Status.ReadyReplicas < want:
		return warn("%s: not every pod is ready%s", counts, w.whyNot(ctx, name))
	}
	return good("%s", counts)
}

// whyNot returns the reason of the first pod that is not ready, or "".
func (w *checkContext) whyNot(ctx context.Context, app string) string {
	var pods corev1.PodList
	if err := w.cluster.List(ctx, &pods, client.InNamespace(names.SystemNamespace), client.MatchingLabels{"app": app}); err != nil {
		return ""
	}
	for i := range pods.Items {
		if reason := health.PodReason(&pods.Items[i]); reason != "" {
			return "; " + pods.Items[i].Name + ": " + reason
		}
	}
	return ""
}

func leases(ctx context.Context, w *checkContext) outcome {
	const stale = time.Minute
	var holders []string
	for _, name := range []string{"dataset.data.fluid.io", "jindo.data.fluid.io"} {
		var lease coordinationv1.Lease
		switch err := w.cluster.Get(ctx, system(name), &lease); {
		case apierrors.IsNotFound(err):
			return bad("Lease %s in %s not found: no controller has led yet", name, names.SystemNamespace)
		case err != nil:
			return w.unread("read Lease "+name, err)
		}
		holder := ""
		if lease.Spec.HolderIdentity != nil {
			holder, _, _ = strings.Cut(*lease.Spec.HolderIdentity, "_")
		}
		if holder == "" || lease.Spec.RenewTime == nil {
			return bad("Lease %s has no holder: no controller leads", name)
		}
		if age := w.now().Sub(lease.Spec.RenewTime.Time); age > stale {
			return bad("the Lease %s of %s was renewed %s ago: no controller leads", name, holder, printer.Seconds(age.Seconds()))
		}
		holders = append(holders, holder)
	}
	return good("%s lead", strings.Join(holders, " and "))
}

func nodePlugin(ctx context.Context, w *checkContext) outcome {
	var set appsv1.DaemonSet
	switch err := w.cluster.Get(ctx, system(plugin), &set); {
	case apierrors.IsNotFound(err):
		return bad("DaemonSet %s in %s not found: apply install.yaml", plugin, names.SystemNamespace)
	case err != nil:
		return w.unread("read DaemonSet "+plugin, err)
	}
	nodes, err := w.nodeList(ctx)
	if err != nil {
		return w.unread("list nodes", err)
	}
	var pods corev1.PodList
	if err := w.cluster.List(ctx, &pods, client.InNamespace(names.SystemNamespace), client.MatchingLabels{"app": plugin}); err != nil {
		return w.unread("list the node plugin's pods", err)
	}
	ready := map[string]bool{}
	for i := range pods.Items {
		if health.PodReady(&pods.Items[i]) {
			ready[pods.Items[i].Spec.NodeName] = true
		}
	}
	linux := linuxNodes(nodes)
	missing := slices.DeleteFunc(slices.Clone(linux), func(name string) bool { return ready[name] })
	if len(missing) > 0 {
		return bad("the node plugin is ready on %d of %s, not on %s%s", len(linux)-len(missing), printer.Plural(len(linux), "node"), several(missing), w.whyNot(ctx, plugin))
	}
	return good("node plugin %d/%d", len(linux), len(linux))
}

// linuxNodes returns the nodes on which the plugin must run.
func linuxNodes(nodes []corev1.Node) []string {
	var linux []string
	for i := range nodes {
		if !isVirtual(&nodes[i]) && nodes[i].Labels[corev1.LabelOSStable] != "windows" {
			linux = append(linux, nodes[i].Name)
		}
	}
	return linux
}

func csiDriver(ctx context.Context, w *checkContext) outcome {
	var driver storagev1.CSIDriver
	switch err := w.cluster.Get(ctx, client.ObjectKey{Name: names.Driver}, &driver); {
	case apierrors.IsNotFound(err):
		return bad("CSIDriver %s not found: apply install.yaml", names.Driver)
	case err != nil:
		return w.unread("read CSIDriver "+names.Driver, err)
	case !slices.Contains(driver.Spec.VolumeLifecycleModes, storagev1.VolumeLifecycleEphemeral):
		return bad("CSIDriver %s does not support inline volumes: it belongs to another product; apply install.yaml", names.Driver)
	}
	nodes, err := w.nodeList(ctx)
	if err != nil {
		return w.unread("list nodes", err)
	}
	var list storagev1.CSINodeList
	if err := w.cluster.List(ctx, &list); err != nil {
		return w.unread("list CSINodes", err)
	}
	has := map[string]bool{}
	for _, n := range list.Items {
		has[n.Name] = slices.ContainsFunc(n.Spec.Drivers, func(d storagev1.CSINodeDriver) bool { return d.Name == names.Driver })
	}
	missing := slices.DeleteFunc(linuxNodes(nodes), func(name string) bool { return has[name] })
	if len(missing) > 0 {
		return bad("the driver %s is not registered on %s: read the log of the node plugin there, and compare its kubelet directory with settings.yaml",
			names.Driver, several(missing))
	}
	return good("the driver %s is registered on every node", names.Driver)
}

// versions compares the images of what is installed.
func versions(ctx context.Context, w *checkContext) outcome {
	images := map[string][]string{}
	for _, name := range []string{datasetController, runtimeController, names.Webhook} {
		var d appsv1.Deployment
		if err := w.cluster.Get(ctx, system(name), &d); err != nil {
			if apierrors.IsNotFound(err) {
				continue // reported by another check
			}
			return w.unread("read Deployment "+name, err)
		}
		addImages(images, name, d.Spec.Template.Spec.Containers)
	}
	var set appsv1.DaemonSet
	switch err := w.cluster.Get(ctx, system(plugin), &set); {
	case err == nil:
		addImages(images, plugin, set.Spec.Template.Spec.Containers)
	case !apierrors.IsNotFound(err):
		return w.unread("read DaemonSet "+plugin, err)
	}
	if len(images) == 0 {
		return skip("nothing is installed")
	}
	found := make([]string, 0, len(images))
	for image := range images {
		found = append(found, image)
	}
	slices.Sort(found)
	if len(found) > 1 {
		runs := make([]string, len(found))
		for i, image := range found {
			runs[i] = several(images[image]) + " run " + image
		}
		return warn("the components have different versions: %s", strings.Join(runs, "; "))
	}
	return good("every component runs %s", found[0])
}

func addImages(images map[string][]string, name string, containers []corev1.Container) {
	for _, c := range containers {
		if !slices.Contains(images[c.Image], name) {
			images[c.Image] = append(images[c.Image], name)
		}
	}
}

// fluidBeside checks for components of Fluid that conflict with ours.
func fluidBeside(ctx context.Context, w *checkContext) outcome {
	var deployments appsv1.DeploymentList
	if err := w.cluster.List(ctx, &deployments, client.InNamespace(names.SystemNamespace)); err != nil {
		return w.unread("list Deployments of "+names.SystemNamespace, err)
	}
	var theirs []string
	for _, d := range deployments.Items {
		ours := runsOurs(d.Spec.Template.Spec.Containers, "/usr/local/bin/controller")
		if (d.Name == datasetController || d.Name == runtimeController) && !ours || d.Name == "fluid-webhook" {
			theirs = append(theirs, "Deployment "+d.Name)
		}
	}
	var sets appsv1.DaemonSetList
	if err := w.cluster.List(ctx, &sets, client.InNamespace(names.SystemNamespace)); err != nil {
		return w.unread("list DaemonSets of "+names.SystemNamespace, err)
	}
	for _, s := range sets.Items {
		if s.Name == plugin && !runsOurs(s.Spec.Template.Spec.Containers, "/usr/local/bin/csi") {
			theirs = append(theirs, "DaemonSet "+s.Name)
		}
	}
	var hooks admissionv1.MutatingWebhookConfiguration
	if err := w.cluster.Get(ctx, client.ObjectKey{Name: names.PodWebhooks}, &hooks); client.IgnoreNotFound(err) != nil {
		return w.unread("read MutatingWebhookConfiguration "+names.PodWebhooks, err)
	}
	for _, h := range hooks.Webhooks {
		if s := h.ClientConfig.Service; s != nil && s.Name != names.Webhook {
			theirs = append(theirs, "MutatingWebhookConfiguration "+hooks.Name)
			break
		}
	}
	if len(theirs) > 0 {
		return bad("components of Fluid conflict with ours, which replace them: remove %s first", several(theirs))
	}
	return good("no conflicting components of Fluid")
}

func runsOurs(containers []corev1.Container, command string) bool {
	return slices.ContainsFunc(containers, func(c corev1.Container) bool { return len(c.Command) > 0 && c.Command[0] == command })
}

func podSecurity(ctx context.Context, w *checkContext) outcome {
	var namespace corev1.Namespace
	switch err := w.cluster.Get(ctx, client.ObjectKey{Name: w.namespace}, &namespace); {
	case apierrors.IsNotFound(err):
		return warn("namespace %q not found", w.namespace)
	case err != nil:
		return w.unread("read Namespace "+w.namespace, err)
	}
	switch level := namespace.Labels["pod-security.kubernetes.io/enforce"]; level {
	case "restricted", "baseline":
		return warn("namespace %s enforces Pod Security %q: runtimes there need tiers with volumeType emptyDir, and masters a storage class", w.namespace, level)
	default:
		return good("namespace %s allows runtimes with every kind of tier", w.namespace)
	}
}
