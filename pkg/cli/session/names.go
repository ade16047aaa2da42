package session

import (
	"slices"
	"strings"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
)

// Words that name a resource, as kubectl accepts them.
var (
	runtimeWords = []string{"runtime", "runtimes", "jindo", "jindoruntime", "jindoruntimes", "jindoruntime.data.fluid.io", "jindoruntimes.data.fluid.io"}
	datasetWords = []string{"dataset", "datasets", "dataset.data.fluid.io", "datasets.data.fluid.io"}
)

// RuntimeName returns the name of the one JindoRuntime that the arguments of a
// command name: NAME, TYPE NAME or TYPE/NAME.
func RuntimeName(command string, args []string) (string, error) {
	return oneName(command, args, "runtime", runtimeWords)
}

// TrimType returns the name in an argument of the form TYPE/NAME, where TYPE is a
// Dataset's or JindoRuntime's. Every other argument is returned as it is.
func TrimType(arg string) string {
	word, name, found := strings.Cut(arg, "/")
	if found && name != "" && (slices.Contains(runtimeWords, strings.ToLower(word)) || slices.Contains(datasetWords, strings.ToLower(word))) {
		return name
	}
	return arg
}

func oneName(command string, args []string, noun string, words []string) (string, error) {
	usage := func(format string, values ...any) (string, error) {
		return "", clierror.Usagef(format, values...).WithTry("%s --help", command)
	}
	var name string
	switch len(args) {
	case 1:
		name = args[0]
		if word, rest, found := strings.Cut(name, "/"); found {
			if !slices.Contains(words, strings.ToLower(word)) {
				return usage("unknown resource type %q in %q: want %s/NAME", word, name, noun)
			}
			name = rest
		}
	case 2:
		if !slices.Contains(words, strings.ToLower(args[0])) {
			return usage("unknown resource type %q: want %s NAME", args[0], noun)
		}
		name = args[1]
	default:
		return usage("%s takes one %s, got %d arguments", command, noun, len(args))
	}
	if name == "" {
		return usage("%s needs the name of a %s", command, noun)
	}
	return name, nil
}
