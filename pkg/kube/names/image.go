package names

import "strings"

// Image returns an image reference with its name, its tag or both replaced. An
// empty name or tag is not replaced.
func Image(whole, name, tag string) string {
	defaultName, defaultTag := splitImage(whole)
	if name == "" && tag == "" {
		return whole
	}
	if name == "" {
		name, _, _ = strings.Cut(defaultName, "@") // another tag has another digest
	}
	if tag == "" {
		if _, has := splitImage(name); has != "" {
			return name
		}
		tag = defaultTag
	}
	if tag == "" {
		return name
	}
	return name + ":" + tag
}

// splitImage splits an image reference into name and tag. A reference with a digest
// has no tag.
func splitImage(whole string) (name, tag string) {
	if strings.Contains(whole, "@") {
		return whole, ""
	}
	colon := strings.LastIndex(whole, ":")
	if colon < 0 || strings.Contains(whole[colon:], "/") {
		return whole, ""
	}
	return whole[:colon], whole[colon+1:]
}
