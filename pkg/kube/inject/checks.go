package inject

import (
	"fmt"
	"strings"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// checkPlatform refuses pods that no sidecar of ours can run in, and warns of
// those where it may not work.
func (p *planner) checkPlatform() error {
	spec := &p.doc.Spec
	if strings.EqualFold(spec.OS.Name, "windows") || strings.EqualFold(spec.NodeSelector["kubernetes.io/os"], "windows") {
		return refuse(ReasonWindows, "the pod is for Windows, where %s cannot be mounted: take label %s off, or run it on Linux",
			list("dataset", datasetNames(p.found)), names.LabelInject)
	}
	if spec.NodeSelector["type"] == "virtual-kubelet" || spec.NodeSelector["eks.amazonaws.com/compute-type"] == "fargate" {
		p.warn("the pod is for virtual nodes: it stays Pending unless the node plugin %s runs there, which it does as a DaemonSet on real nodes only", names.Driver)
	}
	if spec.HostNetwork && spec.DNSPolicy != "ClusterFirstWithHostNet" {
		p.warn("the pod uses its node's network and not the cluster's DNS, in which masters and workers have their names: write dnsPolicy: ClusterFirstWithHostNet")
	}
	return nil
}

// checkDatasets refuses datasets that a sidecar cannot serve.
func (p *planner) checkDatasets() error {
	for _, d := range p.found {
		if d.Runtime == nil {
			continue
		}
		spec := &d.Runtime.Spec
		switch {
		case spec.Fuse.Disabled:
			return refuse(ReasonFuseDisabled, "dataset %q cannot be mounted: its JindoRuntime %s has fuse.disabled: true; leave it out there", d.Name, d.Runtime.Name)
		case spec.Master.Disabled && spec.Worker.Disabled:
			return refuse(ReasonFuseOnly, "dataset %q cannot be served by a sidecar: its JindoRuntime %s has no workers, and a sidecar holds no credentials of the store; take label %s off the pod, so that the node's mount is used, or enable masters and workers",
				d.Name, d.Runtime.Name, names.LabelInject)
		}
	}
	return nil
}

// checkReady refuses datasets that are not ready where the pod says so, and
// tells what it is going to wait for elsewhere.
func (p *planner) checkReady() error {
	wish := p.doc.Metadata.Annotations[names.AnnotationNotReady]
	if wish != "" && wish != "refuse" && wish != "wait" {
		return refuse(ReasonAnnotation, "annotation %s is %q: write refuse, to refuse pods of a dataset that is not ready, or wait", names.AnnotationNotReady, wish)
	}
	for _, d := range p.found {
		missing := d.missing()
		switch {
		case missing == "":
		case wish == "refuse":
			return refuse(ReasonNotReady, "%s, and annotation %s refuses the pod until it is ready: try again, or omit it to let the pod wait", missing, names.AnnotationNotReady)
		case d.Runtime == nil:
			p.warn("%s: the pod is Pending until one does", missing)
		default:
			p.warn("%s: the pod's containers start when it is", missing)
		}
	}
	return nil
}

// missing says what a dataset lacks to be read.
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
