package inject

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// size of one resource of the sidecar.
type size struct {
	resource corev1.ResourceName
	// request and limit for one dataset.
	request, limit string
	// least and most that an annotation may ask for.
	least, most                  string
	requestAnnotation, annotated string
}

func sizeTable() []size {
	return []size{
		{corev1.ResourceCPU, "100m", "1", "10m", "64", names.AnnotationCPURequest, names.AnnotationCPULimit},
		{corev1.ResourceMemory, "256Mi", "1Gi", "64Mi", "512Gi", names.AnnotationMemoryRequest, names.AnnotationMemoryLimit},
	}
}

// sizes keep the pod's class: where each container is limited to what it
// requests, so is the sidecar. Elsewhere it has requests, a limit of memory, and
// one of CPU where every container has one, since a quota may ask for it.
func (p *planner) sizes() (corev1.ResourceRequirements, error) {
	guaranteed, limitsCPU := p.doc.class()
	out := corev1.ResourceRequirements{}
	for _, s := range sizeTable() {
		request, limit, asked, err := p.asked(s)
		if err != nil {
			return out, err
		}
		if p.doc.Spec.Resources != nil && !asked {
			continue // the sidecar has its part of what the pod has as a whole
		}
		if guaranteed {
			if asked && request.Cmp(limit) != 0 && p.annotated(s.requestAnnotation) && p.annotated(s.annotated) {
				return out, refuse(ReasonSizing, "each container of the pod is limited to what it requests, and the sidecar has to be: write the same for annotations %s (%s) and %s (%s), or leave the first out",
					s.requestAnnotation, request.String(), s.annotated, limit.String())
			}
			if p.annotated(s.requestAnnotation) {
				limit = request
			}
			request = limit
		}
		set(&out.Requests, s.resource, request)
		if s.resource == corev1.ResourceMemory || guaranteed || limitsCPU || p.annotated(s.annotated) {
			set(&out.Limits, s.resource, limit)
		}
	}
	if p.doc.Spec.Resources != nil && out.Requests == nil && out.Limits == nil {
		p.warn("the pod has resources as a whole, so that the sidecar takes its memory and CPU from them: annotations %s and %s give it some of its own", names.AnnotationMemoryRequest, names.AnnotationCPURequest)
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

// asked is what annotations ask for, in place of what the runtimes and the table
// give; asked is true if they do.
func (p *planner) asked(s size) (request, limit resource.Quantity, asked bool, err error) {
	request, limit = p.given(s)
	if err := p.read(s, s.requestAnnotation, &request); err != nil {
		return request, limit, false, err
	}
	if err := p.read(s, s.annotated, &limit); err != nil {
		return request, limit, false, err
	}
	hasRequest, hasLimit := p.annotated(s.requestAnnotation), p.annotated(s.annotated)
	if request.Cmp(limit) > 0 {
		switch {
		case hasRequest && hasLimit:
			return request, limit, false, refuse(ReasonSizing, "annotation %s asks for %s, more than the %s of %s: write at most as much",
				s.requestAnnotation, request.String(), limit.String(), s.annotated)
		case hasLimit:
			request = limit
		default:
			limit = request
		}
	}
	return request, limit, hasRequest || hasLimit, nil
}

// given adds up what the runtimes give to their fuse pods, and what the table has
// for those that say nothing.
func (p *planner) given(s size) (request, limit resource.Quantity) {
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
	quantity, err := resource.ParseQuantity(text)
	if err != nil {
		return refuse(ReasonSizing, "annotation %s: %q is no quantity: %s", key, text, bounds)
	}
	if quantity.Cmp(least) < 0 || quantity.Cmp(most) > 0 {
		return refuse(ReasonSizing, "annotation %s: %s is out of bounds: %s", key, text, bounds)
	}
	*to = quantity
	return nil
}

// class tells whether every container, but ours, is limited to what it requests,
// and whether every one has a limit of CPU.
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

// fixed tells whether the limit is the request; without one it is.
func (r *resources) fixed(name corev1.ResourceName) bool {
	if !r.limited(name) {
		return false
	}
	request, has := r.Requests[name]
	limit := r.Limits[name]
	return !has || request.Cmp(limit) == 0
}
