package inject

import (
	"fmt"
	"strings"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// checkPlatform rejects pods in which the sidecar cannot run, and warns of those in
// which it may not work.
func (p *planner) checkPlatform() error {
	spec := &p.doc.Spec
	if strings.EqualFold(spec.OS.Name, "windows") || strings.EqualFold(spec.NodeSelector["kubernetes.io/os"], "windows") {
		return refuse(ReasonWindows, "the pod runs on Windows, where %s cannot be mounted: remove label %s, or run it on Linux",
			list("dataset", datasetNames(p.found)), names.LabelInject)
	}
	if spec.NodeSelector["type"] == "virtual-kubelet" || spec.NodeSelector["eks.amazonaws.com/compute-type"] == "fargate" {
		p.warn("the pod runs on virtual nodes: it stays Pending unless the node plugin %s runs there, and its DaemonSet does not run on virtual nodes", names.Driver)
	}
	if spec.HostNetwork && spec.DNSPolicy != "ClusterFirstWithHostNet" {
		p.warn("the pod uses the network and DNS of its node, which cannot resolve masters and workers: write dnsPolicy: ClusterFirstWithHostNet")
	}
	return nil
}

// checkDatasets rejects Datasets that a sidecar cannot serve.
func (p *planner) checkDatasets() error {
	for _, d := range p.found {
		if d.Runtime == nil {
			continue
		}
		spec := &d.Runtime.Spec
		switch {
		case spec.Fuse.Disabled:
			return refuse(ReasonFuseDisabled, "dataset %q cannot be mounted: its JindoRuntime %s has fuse.disabled: true; remove it there", d.Name, d.Runtime.Name)
		case spec.Master.Disabled && spec.Worker.Disabled:
			return refuse(ReasonFuseOnly, "dataset %q cannot be served by a sidecar: its JindoRuntime %s has no workers, and a sidecar has no credentials for the store; remove label %s from the pod, so that the mount of the node is used, or enable masters and workers",
				d.Name, d.Runtime.Name, names.LabelInject)
		}
	}
	return nil
}

// checkReady rejects Datasets that are not ready if the annotation of the pod requests
// it. Otherwise it warns of what the pod will wait for.
func (p *planner) checkReady() error {
	wish := p.doc.Metadata.Annotations[names.AnnotationNotReady]
	if wish != "" && wish != "refuse" && wish != "wait" {
		return refuse(ReasonAnnotation, "invalid value of annotation %s, %q: write refuse, to reject the pod while its dataset is not ready, or wait", names.AnnotationNotReady, wish)
	}
	for _, d := range p.found {
		missing := d.missing()
		switch {
		case missing == "":
		case wish == "refuse":
			return refuse(ReasonNotReady, "%s, and annotation %s rejects the pod until it is ready: try again, or remove the annotation to let the pod wait", missing, names.AnnotationNotReady)
		case d.Runtime == nil:
			p.warn("%s: the pod stays Pending until one does", missing)
		default:
			p.warn("%s: the containers of the pod start when it is", missing)
		}
	}
	return nil
}

// missing explains why a Dataset cannot be read; empty if it can.
func (d *Dataset) missing() string {
	switch {
	case d.Runtime == nil:
		return fmt.Sprintf("no JindoRuntime serves dataset %q", d.Name)
	case !d.Ready && d.Message != "":
		return fmt.Sprintf("dataset %q is not ready (%s)", d.Name, d.Message)
	case !d.Ready:
		return fmt.Sprintf("dataset %q is not ready", d.Name)
	}
	return ""
}
