package names

import "strings"

// Image with its name, its tag, or both replaced; what is empty stays.
func Image(whole, name, tag string) string {
	defaultName, defaultTag := splitImage(whole)
	if name == "" && tag == "" {
		return whole
	}
	if name == "" {
		name, _, _ = strings.Cut(defaultName, "@") // another tag is another digest
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

// splitImage cuts the tag off, and nothing that has a digest.
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
