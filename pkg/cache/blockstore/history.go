package blockstore

import "slices"

// history holds the cached versions of one object.
type history struct {
	versions []*version
	// current is the version that the object store returned last; nil if that is
	// unknown. The others expire.
	current *version
}

func (h *history) add(v *version) {
	v.at = len(h.versions)
	h.versions = append(h.versions, v)
}

// replace puts a version in the place of another.
func (h *history) replace(v, by *version) {
	by.at = v.at
	h.versions[v.at] = by
	if h.current == v {
		h.current = by
	}
}

// remove reports whether no version is left.
func (h *history) remove(v *version) bool {
	last := len(h.versions) - 1
	h.versions[v.at] = h.versions[last]
	h.versions[v.at].at = v.at
	h.versions = slices.Delete(h.versions, last, last+1)
	if h.current == v {
		h.current = nil
	}
	return last == 0
}

// setCurrent calls supersede for the other versions if v was not the current one.
func (h *history) setCurrent(v *version, supersede func(*version)) {
	if h.current == v {
		return
	}
	h.current = v
	for _, other := range h.versions {
		if other != v {
			supersede(other)
		}
	}
}
