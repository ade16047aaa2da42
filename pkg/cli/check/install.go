package check

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jindo-io/jindo/pkg/cli/printer"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

const (
	datasetController = "dataset-controller"
	runtimeController = "jindoruntime-controller"
	plugin            = "csi-nodeplugin-fluid"
)

func system(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: names.SystemNamespace, Name: name}
}

func controllers(ctx context.Context, w *world) outcome {
	var said []string
	for _, name := range []string{datasetController, runtimeController} {
		o := w.deployment(ctx, name)
		if o.state != Passed {
			return o
		}
		said = append(said, o.text)
	}
	return good("%s", strings.Join(said, ", "))
}

// deployment says how many of its pods are ready.
func (w *world) deployment(ctx context.Context, name string) outcome {
	var d appsv1.Deployment
	switch err := w.cluster.Get(ctx, system(name), &d); {
	case apierrors.IsNotFound(err):
		return bad("there is no Deployment %s in %s: apply install.yaml", name, names.SystemNamespace)
	case err != nil:
		return w.unread("reading Deployment "+name, err)
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

// whyNot is what the first pod that is not ready says of itself.
func (w *world) whyNot(ctx context.Context, app string) string {
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

func leases(ctx context.Context, w *world) outcome {
	const stale = time.Minute
	var holders []string
	for _, name := range []string{"dataset.data.fluid.io", "jindo.data.fluid.io"} {
		var lease coordinationv1.Lease
		switch err := w.cluster.Get(ctx, system(name), &lease); {
		case apierrors.IsNotFound(err):
			return bad("no controller has ever held the Lease %s in %s", name, names.SystemNamespace)
		case err != nil:
			return w.unread("reading Lease "+name, err)
		}
		holder := ""
		if lease.Spec.HolderIdentity != nil {
			holder, _, _ = strings.Cut(*lease.Spec.HolderIdentity, "_")
		}
		if holder == "" || lease.Spec.RenewTime == nil {
			return bad("nobody holds the Lease %s: no controller leads", name)
		}
		if age := w.now().Sub(lease.Spec.RenewTime.Time); age > stale {
			return bad("the Lease %s of %s was renewed %s ago: no controller leads", name, holder, printer.Seconds(age.Seconds()))
		}
		holders = append(holders, holder)
	}
	return good("%s lead", strings.Join(holders, " and "))
}

func nodePlugin(ctx context.Context, w *world) outcome {
	var set appsv1.DaemonSet
	switch err := w.cluster.Get(ctx, system(plugin), &set); {
	case apierrors.IsNotFound(err):
		return bad("there is no DaemonSet %s in %s: apply install.yaml", plugin, names.SystemNamespace)
	case err != nil:
		return w.unread("reading DaemonSet "+plugin, err)
	}
	nodes, err := w.nodeList(ctx)
	if err != nil {
		return w.unread("listing nodes", err)
	}
	var pods corev1.PodList
	if err := w.cluster.List(ctx, &pods, client.InNamespace(names.SystemNamespace), client.MatchingLabels{"app": plugin}); err != nil {
		return w.unread("listing the node plugin's pods", err)
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

// linuxNodes are those where the plugin should be.
func linuxNodes(nodes []corev1.Node) []string {
	var linux []string
	for i := range nodes {
		if !isVirtual(&nodes[i]) && nodes[i].Labels[corev1.LabelOSStable] != "windows" {
			linux = append(linux, nodes[i].Name)
		}
	}
	return linux
}

func csiDriver(ctx context.Context, w *world) outcome {
	var driver storagev1.CSIDriver
	switch err := w.cluster.Get(ctx, client.ObjectKey{Name: names.Driver}, &driver); {
	case apierrors.IsNotFound(err):
		return bad("there is no CSIDriver %s: apply install.yaml", names.Driver)
	case err != nil:
		return w.unread("reading CSIDriver "+names.Driver, err)
	case !slices.Contains(driver.Spec.VolumeLifecycleModes, storagev1.VolumeLifecycleEphemeral):
		return bad("the CSIDriver %s takes no inline volumes: it is of another product; apply install.yaml", names.Driver)
	}
	nodes, err := w.nodeList(ctx)
	if err != nil {
		return w.unread("listing nodes", err)
	}
	var list storagev1.CSINodeList
	if err := w.cluster.List(ctx, &list); err != nil {
		return w.unread("listing CSINodes", err)
	}
	has := map[string]bool{}
	for _, n := range list.Items {
		has[n.Name] = slices.ContainsFunc(n.Spec.Drivers, func(d storagev1.CSINodeDriver) bool { return d.Name == names.Driver })
	}
	missing := slices.DeleteFunc(linuxNodes(nodes), func(name string) bool { return has[name] })
	if len(missing) > 0 {
		return bad("the kubelet does not know the driver %s on %s: see the log of the node plugin there, and whether its kubelet directory is the one in settings.yaml",
			names.Driver, several(missing))
	}
	return good("every kubelet knows the driver %s", names.Driver)
}

// versions compares the images of what is installed.
func versions(ctx context.Context, w *world) outcome {
	images := map[string][]string{}
	for _, name := range []string{datasetController, runtimeController, names.Webhook} {
		var d appsv1.Deployment
		if err := w.cluster.Get(ctx, system(name), &d); err != nil {
			if apierrors.IsNotFound(err) {
				continue // another check says so
			}
			return w.unread("reading Deployment "+name, err)
		}
		addImages(images, name, d.Spec.Template.Spec.Containers)
	}
	var set appsv1.DaemonSet
	switch err := w.cluster.Get(ctx, system(plugin), &set); {
	case err == nil:
		addImages(images, plugin, set.Spec.Template.Spec.Containers)
	case !apierrors.IsNotFound(err):
		return w.unread("reading DaemonSet "+plugin, err)
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
		said := make([]string, len(found))
		for i, image := range found {
			said[i] = several(images[image]) + " run " + image
		}
		return warn("the parts are of different versions: %s", strings.Join(said, "; "))
	}
	return good("every part runs %s", found[0])
}

func addImages(images map[string][]string, name string, containers []corev1.Container) {
	for _, c := range containers {
		if !slices.Contains(images[c.Image], name) {
			images[c.Image] = append(images[c.Image], name)
		}
	}
}

// fluidBeside looks for Fluid's own parts that do what ours do.
func fluidBeside(ctx context.Context, w *world) outcome {
	var deployments appsv1.DeploymentList
	if err := w.cluster.List(ctx, &deployments, client.InNamespace(names.SystemNamespace)); err != nil {
		return w.unread("listing Deployments of "+names.SystemNamespace, err)
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
		return w.unread("listing DaemonSets of "+names.SystemNamespace, err)
	}
	for _, s := range sets.Items {
		if s.Name == plugin && !runsOurs(s.Spec.Template.Spec.Containers, "/usr/local/bin/csi") {
			theirs = append(theirs, "DaemonSet "+s.Name)
		}
	}
	var hooks admissionv1.MutatingWebhookConfiguration
	if err := w.cluster.Get(ctx, client.ObjectKey{Name: names.PodWebhooks}, &hooks); client.IgnoreNotFound(err) != nil {
		return w.unread("reading MutatingWebhookConfiguration "+names.PodWebhooks, err)
	}
	for _, h := range hooks.Webhooks {
		if s := h.ClientConfig.Service; s != nil && s.Name != names.Webhook {
			theirs = append(theirs, "MutatingWebhookConfiguration "+hooks.Name)
			break
		}
	}
	if len(theirs) > 0 {
		return bad("Fluid's own parts are here, and ours take their place: remove %s first, or two would do the same work", several(theirs))
	}
	return good("none of Fluid's parts that ours replace is here")
}

func runsOurs(containers []corev1.Container, command string) bool {
	return slices.ContainsFunc(containers, func(c corev1.Container) bool { return len(c.Command) > 0 && c.Command[0] == command })
}

func podSecurity(ctx context.Context, w *world) outcome {
	var namespace corev1.Namespace
	switch err := w.cluster.Get(ctx, client.ObjectKey{Name: w.namespace}, &namespace); {
	case apierrors.IsNotFound(err):
		return warn("there is no namespace %q", w.namespace)
	case err != nil:
		return w.unread("reading Namespace "+w.namespace, err)
	}
	switch level := namespace.Labels["pod-security.kubernetes.io/enforce"]; level {
	case "restricted", "baseline":
		return warn("namespace %s enforces Pod Security %q: runtimes there need tiers with volumeType emptyDir, and masters a storage class", w.namespace, level)
	default:
		return good("namespace %s takes runtimes with every kind of tier", w.namespace)
	}
}
