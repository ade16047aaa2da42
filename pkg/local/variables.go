package local

import (
	"fmt"
	"strings"
)

// resolve replaces each $(NAME) in an argument by its value. A name without a
// value is an error, because the unresolved argument would be used as a file name.
func resolve(argument string, values map[string]string) (string, error) {
	var out strings.Builder
	rest := argument
	for {
		before, after, found := strings.Cut(rest, "$(")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, tail, closed := strings.Cut(after, ")")
		if !closed {
			return "", fmt.Errorf("argument %q has a $( without a )", argument)
		}
		value, known := values[name]
		if !known {
			return "", fmt.Errorf("argument %q uses the unknown variable $(%s)", argument, name)
		}
		out.WriteString(value)
		rest = tail
	}
}

func resolveAll(arguments []string, values map[string]string) ([]string, error) {
	resolved := make([]string, 0, len(arguments))
	for _, argument := range arguments {
		value, err := resolve(argument, values)
		if err != nil {
			return nil, err
		}
		resolved = append(resolved, value)
	}
	return resolved, nil
}
