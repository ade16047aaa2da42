package inject

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// size describes one resource of the sidecar.
type size struct {
	resource corev1.ResourceName
	// request and limit for one dataset.
	request, limit string
	// least and most are the bounds of values in annotations.
	least, most                        string
	requestAnnotation, limitAnnotation string
}

func sizeTable() []size {
	return []size{
		{corev1.ResourceCPU, "100m", "1", "10m", "64", names.AnnotationCPURequest, names.AnnotationCPULimit},
		{corev1.ResourceMemory, "256Mi", "1Gi", "64Mi", "512Gi", names.AnnotationMemoryRequest, names.AnnotationMemoryLimit},
	}
}

// sizes returns resources that preserve the QoS class of the pod. If the limits of every
// container equal its requests, so do those of the sidecar. Otherwise the sidecar has
// requests and a memory limit, and a CPU limit if every container has one, because a
// quota may require it.
func (p *planner) sizes() (corev1.ResourceRequirements, error) {
	guaranteed, limitsCPU := p.doc.class()
	out := corev1.ResourceRequirements{}
	for _, s := range sizeTable() {
		request, limit, annotated, err := p.effective(s)
		if err != nil {
			return out, err
		}
		if p.doc.Spec.Resources != nil && !annotated {
			continue // the sidecar shares the resources of the pod
		}
		if guaranteed {
			if annotated && request.Cmp(limit) != 0 && p.annotated(s.requestAnnotation) && p.annotated(s.limitAnnotation) {
				return out, refuse(ReasonSizing, "the limits of every container of the pod equal its requests, so those of the sidecar must too: write the same value for annotations %s (%s) and %s (%s), or omit the first",
					s.requestAnnotation, request.String(), s.limitAnnotation, limit.String())
			}
			if p.annotated(s.requestAnnotation) {
				limit = request
			}
			request = limit
		}
		set(&out.Requests, s.resource, request)
		if s.resource == corev1.ResourceMemory || guaranteed || limitsCPU || p.annotated(s.limitAnnotation) {
			set(&out.Limits, s.resource, limit)
		}
	}
	if p.doc.Spec.Resources != nil && out.Requests == nil && out.Limits == nil {
		p.warn("the pod has pod-level resources, which the sidecar shares: annotations %s and %s give it resources of its own", names.AnnotationMemoryRequest, names.AnnotationCPURequest)
	}
	return out, nil
}

func set(to *corev1.ResourceList, name corev1.ResourceName, value resource.Quantity) {
	if *to == nil {
		*to = corev1.ResourceList{}
	}
	(*to)[name] = value
}

func (p *planner) annotated(key string) bool {
	_, has := p.doc.Metadata.Annotations[key]
	return has
}

// effective returns the values of annotations, which override those of the runtimes and
// of the table. annotated reports whether an annotation is set.
func (p *planner) effective(s size) (request, limit resource.Quantity, annotated bool, err error) {
	request, limit = p.sum(s)
	if err := p.read(s, s.requestAnnotation, &request); err != nil {
		return request, limit, false, err
	}
	if err := p.read(s, s.limitAnnotation, &limit); err != nil {
		return request, limit, false, err
	}
	hasRequest, hasLimit := p.annotated(s.requestAnnotation), p.annotated(s.limitAnnotation)
	if request.Cmp(limit) > 0 {
		switch {
		case hasRequest && hasLimit:
			return request, limit, false, refuse(ReasonSizing, "annotation %s is %s, which is more than the %s of %s: write at most as much",
				s.requestAnnotation, request.String(), limit.String(), s.limitAnnotation)
		case hasLimit:
			request = limit
		default:
			limit = request
		}
	}
	return request, limit, hasRequest || hasLimit, nil
}

// sum returns the sum of the resources of the runtimes' FUSE servers, with the values of
// the table for those that set none.
func (p *planner) sum(s size) (request, limit resource.Quantity) {
	for _, d := range p.found {
		r, l := resource.MustParse(s.request), resource.MustParse(s.limit)
		if d.Runtime != nil {
			given := d.Runtime.Spec.Fuse.Resources
			l0, hasLimit := given.Limits[s.resource]
			r0, hasRequest := given.Requests[s.resource]
			if hasLimit {
				l = l0
			}
			switch {
			case hasRequest:
				r = r0
			case hasLimit && r.Cmp(l) > 0:
				r = l
			}
			if !hasLimit && r.Cmp(l) > 0 {
				l = r
			}
		}
		request.Add(r)
		limit.Add(l)
	}
	return request, limit
}

func (p *planner) read(s size, key string, to *resource.Quantity) error {
	text, has := p.doc.Metadata.Annotations[key]
	if !has {
		return nil
	}
	least, most := resource.MustParse(s.least), resource.MustParse(s.most)
	bounds := fmt.Sprintf("write one from %s to %s, such as %s", s.least, s.most, s.limit)
	quantity, err := v1alpha1.ParseQuantity(text)
	if err != nil {
		return refuse(ReasonSizing, "annotation %s: %q is not a quantity: %s", key, text, bounds)
	}
	if quantity.Cmp(least) < 0 || quantity.Cmp(most) > 0 {
		return refuse(ReasonSizing, "annotation %s: %s is out of bounds: %s", key, text, bounds)
	}
	*to = quantity
	return nil
}

// class reports whether the limits of every container except the sidecar equal its
// requests, and whether every container has a CPU limit.
func (d *document) class() (guaranteed, limitsCPU bool) {
	guaranteed, limitsCPU = true, true
	for i, containers := range [][]container{d.Spec.InitContainers, d.Spec.Containers} {
		for _, c := range containers {
			if i == 0 && c.Name == names.SidecarContainer {
				continue
			}
			cpu, memory := c.Resources.fixed(corev1.ResourceCPU), c.Resources.fixed(corev1.ResourceMemory)
			guaranteed = guaranteed && cpu && memory
			limitsCPU = limitsCPU && c.Resources.limited(corev1.ResourceCPU)
		}
	}
	return guaranteed, limitsCPU
}

func (r *resources) limited(name corev1.ResourceName) bool {
	if r == nil {
		return false
	}
	limit, has := r.Limits[name]
	return has && !limit.IsZero()
}

// fixed reports whether the limit equals the request, which defaults to it.
func (r *resources) fixed(name corev1.ResourceName) bool {
	if !r.limited(name) {
		return false
	}
	request, has := r.Requests[name]
	limit := r.Limits[name]
	return !has || v1alpha1.EqualQuantities(request, limit)
}
