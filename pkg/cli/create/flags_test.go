package create

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// errRun is returned by the functions that the commands of these tests run.
var errRun = errors.New("run")

func newSession() *session.Session {
	return &session.Session{
		Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: io.Discard, ErrOut: io.Discard},
		Getenv:  func(string) string { return "" }, Name: "kubectl jindo",
	}
}

// execute parses the arguments of a command and reports whether it would run.
func execute(t *testing.T, cmd *cobra.Command, args string) (bool, error) {
	t.Helper()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(strings.Fields(args))
	err := cmd.ExecuteContext(t.Context())
	return errors.Is(err, errRun), err
}

func TestScaleAndSetFlags(t *testing.T) {
	t.Parallel()
	commands := map[string]func(*session.Session, func(*editOptions, context.Context, string) error) *cobra.Command{"scale": newScale, "set": newSet}
	for args, test := range map[string]struct {
		name  string
		given []string
		fails string
	}{
		"scale prod --workers 5":                        {name: "prod", given: []string{"workers"}},
		"scale runtime/prod --workers 0":                {name: "prod", given: []string{"workers"}},
		"scale jindoruntime prod --workers 5":           {name: "prod", given: []string{"workers"}},
		"set runtime prod --masters 3 --quota /a=1G":    {name: "prod", given: []string{"masters", "quota"}},
		"set jindoruntimes.data.fluid.io/p --workers 1": {name: "p", given: []string{"workers"}},
		"scale prod":                     {fails: "nothing to change"},
		"scale prod --masters 3":         {fails: "unknown flag: --masters"},
		"scale --workers 3":              {fails: "takes one runtime"},
		"scale dataset/prod --workers 3": {fails: `unknown resource type "dataset"`},
		"set dataset prod --workers 3":   {fails: `unknown resource type "dataset"`},
		"set runtime/ --workers 3":       {fails: "needs the name"},
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			verb, rest, _ := strings.Cut(args, " ")
			var got *editOptions
			var name string
			cmd := commands[verb](newSession(), func(o *editOptions, _ context.Context, n string) error {
				got, name = o, n
				return errRun
			})
			ran, err := execute(t, cmd, rest)
			if test.fails != "" {
				if ran || err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("error %v, want %q", err, test.fails)
				}
				return
			}
			if !ran {
				t.Fatal(err)
			}
			given := slices.DeleteFunc([]string{"workers", "masters", "quota"}, func(f string) bool { return !got.given(f) })
			if name != test.name || !slices.Equal(given, test.given) {
				t.Errorf("name %q, flags %q, want %q, %q", name, given, test.name, test.given)
			}
		})
	}
}

func TestCreateAndApplyFlags(t *testing.T) {
	t.Parallel()
	var created *createOptions
	ran, err := execute(t, newCreate(newSession(), func(o *createOptions, _ context.Context) error {
		created = o
		return errRun
	}), "-f a.yaml,b.yaml -R --dry-run --wait --timeout 30s")
	if !ran {
		t.Fatal(err)
	}
	if !slices.Equal(created.sources.Files, []string{"a.yaml", "b.yaml"}) || !created.sources.Recursive || created.dryRun != dryRunClient || !created.wait || created.timeout != 30*time.Second {
		t.Errorf("got %+v", created.options)
	}
	if err := created.validate(); clierror.Code(err) != clierror.Usage {
		t.Errorf("--wait with --dry-run: error %v", err)
	}
	var applied *applyOptions
	if ran, err := execute(t, newApply(newSession(), func(o *applyOptions, _ context.Context) error {
		applied = o
		return errRun
	}), "-k overlay --force-conflicts --field-manager ci"); !ran {
		t.Fatal(err)
	}
	if applied.sources.Kustomize != "overlay" || !applied.force || applied.fieldManager != "ci" || applied.dryRun != dryRunNone {
		t.Errorf("got %+v", applied)
	}
	for _, cmd := range []*cobra.Command{New(newSession()), NewApply(newSession())} {
		if _, err := execute(t, cmd, ""); clierror.Code(err) != clierror.Usage {
			t.Errorf("%s without files: error %v", cmd.Name(), err)
		}
	}
}
