package suggestions

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/jindo-io/jindo/pkg/cli/root"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// newTree returns the plugin's commands.
func newTree() *cobra.Command {
	return root.New(&session.Session{
		Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: &bytes.Buffer{}, ErrOut: &bytes.Buffer{}},
		Getenv:  func(string) string { return "" }, Name: program,
	})
}

// words splits a command line as a shell does, up to a pipe, a redirection, a
// comment or the end of a substitution.
func words(line string) ([]string, error) {
	var found []string
	var word strings.Builder
	open, quote := false, rune(0)
	end := func() {
		if open {
			found = append(found, word.String())
		}
		word.Reset()
		open = false
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, open = r, true
		case unicode.IsSpace(r):
			end()
		case r == '|' || r == '>' || r == ';' || r == '&' || r == ')' || r == '#' && !open:
			end()
			return found, nil
		default:
			word.WriteRune(r)
			open = true
		}
	}
	end()
	if quote != 0 {
		return nil, fmt.Errorf("unbalanced %c", quote)
	}
	return found, nil
}

// places match what users of a document replace, such as <BUCKET>.
var places = regexp.MustCompile(`<[A-Z_]+>`)

// arguments returns the arguments of the plugin in a command line, without
// ellipses.
func arguments(line string) ([]string, error) {
	line = places.ReplaceAllString(line, "example")
	all, err := words(strings.TrimPrefix(strings.TrimRight(line, " .,"), program))
	if err != nil {
		return nil, err
	}
	var kept []string
	for _, word := range all {
		if word != "…" && word != "..." && word != "[...]" {
			kept = append(kept, word)
		}
	}
	return kept, nil
}

// parse checks arguments against the command tree: the command exists, and takes
// the flags and the number of arguments.
func parse(args []string) (*cobra.Command, error) {
	tree := newTree()
	tree.InitDefaultHelpCmd()
	tree.InitDefaultCompletionCmd()
	found, rest, err := tree.Find(args)
	if err != nil {
		return nil, err
	}
	found.InitDefaultHelpFlag()
	if err := found.ParseFlags(rest); err != nil {
		return found, fmt.Errorf("%s: %w", found.CommandPath(), err)
	}
	if help, _ := found.Flags().GetBool("help"); help || found.Name() == "help" {
		return found, nil
	}
	if err := found.ValidateArgs(found.Flags().Args()); err != nil {
		return found, err
	}
	return found, errors.Join(found.ValidateRequiredFlags(), found.ValidateFlagGroups())
}

// check parses a command. One for local runtimes must name --local where the
// command has it.
func check(c command) error {
	args, err := arguments(c.text)
	if err != nil {
		return err
	}
	found, err := parse(args)
	if err != nil {
		if c.named && found != nil && len(args) > 0 && found.Flags().NArg() == 0 && !strings.Contains(err.Error(), "unknown") {
			return nil
		}
		return err
	}
	if flag := found.Flags().Lookup("local"); c.local && flag != nil && !flag.Changed && !slices.Contains(args, "--help") {
		return errors.New("--local is missing")
	}
	return nil
}

// TestParse parses every command that help, documents and sources print.
func TestParse(t *testing.T) {
	for name, all := range map[string][]command{"help": fromHelp(newTree()), "documents": fromDocuments(t), "sources": fromSources(t)} {
		if len(all) < 10 {
			t.Errorf("%s: only %d commands were found", name, len(all))
		}
		t.Logf("%s: %d commands", name, len(all))
		for _, c := range all {
			if err := check(c); err != nil {
				t.Errorf("%s: %s\n\t%v", c.where, c.text, err)
			}
		}
	}
}

// TestCheck checks that mistakes are found.
func TestCheck(t *testing.T) {
	for text, want := range map[string]string{
		"kubectl jindo stat hadoop":                        "unknown command",
		"kubectl jindo status hadoop --locale":             "unknown flag",
		"kubectl jindo get datasets --local":               "unknown flag",
		"kubectl jindo status a b":                         "at most 1",
		"kubectl jindo raft statuss":                       "",
		"kubectl jindo status 'a":                          "unbalanced",
		"kubectl jindo status hadoop":                      "--local is missing",
		"kubectl jindo status hadoop --local":              "OK",
		"kubectl jindo get datasets -o json | jq '.items'": "OK",
		"kubectl jindo local up -f dataset.yaml -f …":      "needs an argument",
	} {
		err := check(command{text: text, local: true})
		if want == "OK" {
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if err == nil || want != "unknown command" && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
