// Package version provides the version command, which prints the versions of this
// program and of the components of the cluster that the user may read. It warns
// about versions that are not supported together.
package version

import (
	"context"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/output"
	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/version"
)

// Kind of the report.
const Kind = "VersionReport"

// Report is what `version -o json` prints.
//
// +kubebuilder:object:root=true
type Report struct {
	metav1.TypeMeta `json:",inline"`
	// Client is this program.
	Client Build `json:"client"`
	// Components of the product, ordered by name.
	Components []Component `json:"components,omitempty"`
	// Runtimes by the versions of their members.
	Runtimes []Runtime `json:"runtimes,omitempty"`
	// CRDs of the cluster.
	CRDs []CRD `json:"crds,omitempty"`
	// Warnings about versions that are not supported together.
	Warnings []string `json:"warnings,omitempty"`
	// Failures are sentences about requests that failed.
	Failures []string `json:"failures,omitempty"`
}

// Build describes one build of the program.
//
// +kubebuilder:object:generate=true
type Build struct {
	// Version of the release.
	Version string `json:"version"`
	// Commit that was built.
	Commit string `json:"commit,omitempty"`
	// Go is the version of the compiler.
	Go string `json:"go"`
	// Platform as system/architecture.
	Platform string `json:"platform"`
}

// Component is a component of the product in the cluster.
//
// +kubebuilder:object:generate=true
type Component struct {
	// Name of its Deployment or DaemonSet.
	Name string `json:"name"`
	// Version is the tag of its image, or its digest.
	Version string `json:"version"`
	// Image is the full name of its image.
	Image string `json:"image"`
	// Ready is the number of its ready pods.
	Ready int32 `json:"ready"`
	// Wanted is the desired number of its pods.
	Wanted int32 `json:"wanted"`
}

// Runtime has the versions of the members of a runtime.
//
// +kubebuilder:object:generate=true
type Runtime struct {
	// Namespace of the JindoRuntime.
	Namespace string `json:"namespace"`
	// Name of the JindoRuntime.
	Name string `json:"name"`
	// Members counts the members of each version.
	Members map[string]int `json:"members"`
	// Roles counts the members of each version by role: master, worker, fuse.
	Roles map[string]map[string]int `json:"roles,omitempty"`
}

// CRD is a kind with the versions in which objects are stored.
//
// +kubebuilder:object:generate=true
type CRD struct {
	// Name of the CustomResourceDefinition.
	Name string `json:"name"`
	// StoredVersions of its objects.
	StoredVersions []string `json:"storedVersions"`
}

const textFormat = "text"

// New returns the version command.
func New(s *session.Session) *cobra.Command {
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
			r := client()
			var failed error
			switch {
			case clientOnly:
			case s.Local:
				addLocal(cmd.Context(), s, r)
			default:
				failed = addCluster(cmd.Context(), s, r)
			}
			for _, warning := range slices.Concat(r.Warnings, r.Failures) {
				s.Say("warning: %s", warning)
			}
			if err := show(s.Streams.Out, format, r); err != nil {
				return err
			}
			return failed
		},
	}
	format.AddFlag(cmd.Flags())
	s.AddLocalFlag(cmd.Flags())
	cmd.Flags().BoolVar(&clientOnly, "client", false, "only this program")
	return cmd
}

func client() *Report {
	return &Report{
		TypeMeta: metav1.TypeMeta{APIVersion: report.APIVersion, Kind: Kind},
		Client: Build{
			Version: version.String(), Commit: version.Commit(), Go: runtime.Version(),
			Platform: runtime.GOOS + "/" + runtime.GOARCH,
		},
	}
}

// addLocal adds the versions of local runtimes, except of members that are
// unreachable.
func addLocal(ctx context.Context, s *session.Session, r *Report) {
	source, err := s.Source(s)
	if err != nil {
		return
	}
	refs, err := source.Runtimes(ctx, "")
	if err != nil {
		return
	}
	for _, ref := range refs {
		collected, err := source.Collect(ctx, ref)
		if err != nil {
			continue
		}
		members := map[string]int{}
		for _, m := range collected.Masters {
			members[m.Version]++
		}
		for _, w := range collected.Workers {
			members[w.Version]++
		}
		delete(members, "")
		r.Runtimes = append(r.Runtimes, Runtime{Namespace: ref.Namespace, Name: ref.Name, Members: members})
	}
}

func show(w io.Writer, format *output.Format, r *Report) error {
	if !format.Is(textFormat) {
		return format.Print(w, r, r.Client.Version)
	}
	if _, err := io.WriteString(w, text(r)); err != nil {
		return clierror.Generalf("printing: %w", err)
	}
	return nil
}

func text(r *Report) string {
	var out strings.Builder
	commit := ""
	if r.Client.Commit != "" {
		commit = " (" + r.Client.Commit + ")"
	}
	fmt.Fprintf(&out, "client: %s%s %s %s\n", r.Client.Version, commit, r.Client.Go, r.Client.Platform)
	for _, c := range r.Components {
		fmt.Fprintf(&out, "%s: %s (%d/%d ready)\n", c.Name, c.Version, c.Ready, c.Wanted)
	}
	for _, rt := range r.Runtimes {
		if len(rt.Roles) == 0 {
			for _, name := range slices.Sorted(maps.Keys(rt.Members)) {
				fmt.Fprintf(&out, "%s/%s: %s (%s)\n", rt.Namespace, rt.Name, name, printer.Plural(rt.Members[name], "member"))
			}
			continue
		}
		for _, role := range slices.Sorted(maps.Keys(rt.Roles)) {
			for _, name := range slices.Sorted(maps.Keys(rt.Roles[role])) {
				fmt.Fprintf(&out, "%s/%s: %s (%s)\n", rt.Namespace, rt.Name, name, printer.Plural(rt.Roles[role][name], role))
			}
		}
	}
	for _, c := range r.CRDs {
		fmt.Fprintf(&out, "%s: stored as %s\n", c.Name, strings.Join(c.StoredVersions, ", "))
	}
	return out.String()
}
