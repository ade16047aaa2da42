package root

import (
	"context"
	"runtime"
	"slices"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jindo-io/jindo/pkg/cli/figure"
	"github.com/jindo-io/jindo/pkg/cli/output"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/version"
)

// VersionReport is what `version -o json` prints.
type VersionReport struct {
	metav1.TypeMeta `json:",inline"`
	Client          BuildVersion `json:"client"`
	// Runtimes by the versions of their members.
	Runtimes []RuntimeVersion `json:"runtimes,omitempty"`
}

// BuildVersion is one build of the program.
type BuildVersion struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// RuntimeVersion is what the members of a runtime run.
type RuntimeVersion struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Members by version.
	Members map[string]int `json:"members"`
}

// DeepCopyObject implements runtime.Object; what a report points to is never
// changed.
func (v *VersionReport) DeepCopyObject() k8sruntime.Object {
	c := *v
	return &c
}

// GetObjectKind implements runtime.Object.
func (v *VersionReport) GetObjectKind() schema.ObjectKind { return &v.TypeMeta }

const textFormat = "text"

func newVersion(s *session.Session) *cobra.Command {
	format := output.New(textFormat)
	var clientOnly bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the versions of this program and of what runs",
		Args:  session.None,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := format.Validate(); err != nil {
				return err
			}
			v := &VersionReport{
				TypeMeta: metav1.TypeMeta{APIVersion: report.APIVersion, Kind: "VersionReport"},
				Client: BuildVersion{
					Version: version.String(), Commit: version.Commit(), Go: runtime.Version(),
					Platform: runtime.GOOS + "/" + runtime.GOARCH,
				},
			}
			if !clientOnly {
				addRuntimes(cmd.Context(), s, v)
			}
			if format.Is(textFormat) {
				return v.print(s)
			}
			return format.Print(s.Streams.Out, v, v.Client.Version)
		},
	}
	format.AddFlag(cmd.Flags())
	cmd.Flags().BoolVar(&clientOnly, "client", false, "only this program")
	return cmd
}

// addRuntimes adds what answers; what does not is no reason to fail.
func addRuntimes(ctx context.Context, s *session.Session, v *VersionReport) {
	source, err := s.Source(s)
	if err != nil {
		return
	}
	refs, err := source.Runtimes(ctx, "")
	if err != nil {
		return
	}
	for _, ref := range refs {
		r, err := source.Collect(ctx, ref)
		if err != nil {
			continue
		}
		members := map[string]int{}
		for _, m := range r.Masters {
			members[m.Version]++
		}
		for _, w := range r.Workers {
			members[w.Version]++
		}
		delete(members, "")
		v.Runtimes = append(v.Runtimes, RuntimeVersion{Namespace: ref.Namespace, Name: ref.Name, Members: members})
	}
}

func (v *VersionReport) print(s *session.Session) error {
	commit := ""
	if v.Client.Commit != "" {
		commit = " (" + v.Client.Commit + ")"
	}
	if err := printLine(s.Streams.Out, "client: %s%s %s %s", v.Client.Version, commit, v.Client.Go, v.Client.Platform); err != nil {
		return err
	}
	for _, r := range v.Runtimes {
		versions := make([]string, 0, len(r.Members))
		for name := range r.Members {
			versions = append(versions, name)
		}
		slices.Sort(versions)
		for _, name := range versions {
			if err := printLine(s.Streams.Out, "%s/%s: %s (%s)", r.Namespace, r.Name, name, figure.Plural(r.Members[name], "member")); err != nil {
				return err
			}
		}
	}
	return nil
}
