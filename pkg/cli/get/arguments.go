package get

import (
	"slices"
	"strings"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
)

// request is one resource type of the command line, with the names to list; no
// names is all.
type request struct {
	kind  *kind
	names []string
}

// parseArguments parses TYPE[,TYPE...] [NAME...] and TYPE/NAME... as kubectl does.
// Names of the same type are listed together, in the order of the first.
func parseArguments(command string, args []string) ([]request, error) {
	if slices.ContainsFunc(args, func(arg string) bool { return strings.Contains(arg, "/") }) {
		return parsePairs(command, args)
	}
	var requests []request
	for _, word := range strings.Split(args[0], ",") {
		k, err := findKind(command, word)
		if err != nil {
			return nil, err
		}
		requests = appendRequest(requests, k, args[1:]...)
	}
	return requests, nil
}

func parsePairs(command string, args []string) ([]request, error) {
	var requests []request
	for _, arg := range args {
		word, name, found := strings.Cut(arg, "/")
		if !found || name == "" || strings.Contains(name, "/") {
			return nil, clierror.Usagef("invalid argument %q: TYPE/NAME cannot be mixed with other arguments", arg).
				WithTry("%s dataset/NAME", command)
		}
		k, err := findKind(command, word)
		if err != nil {
			return nil, err
		}
		requests = appendRequest(requests, k, name)
	}
	return requests, nil
}

func appendRequest(requests []request, k *kind, names ...string) []request {
	for i := range requests {
		if requests[i].kind.noun == k.noun {
			for _, name := range names {
				if !slices.Contains(requests[i].names, name) {
					requests[i].names = append(requests[i].names, name)
				}
			}
			return requests
		}
	}
	return append(requests, request{kind: k, names: slices.Clone(names)})
}

func findKind(command, word string) (*kind, error) {
	if k := kindOf(word); k != nil {
		return k, nil
	}
	return nil, clierror.Usagef("unknown resource type %q: must be one of %s", word, strings.Join(nouns(), ", ")).WithTry("%s datasets", command)
}
