// Command clidocs writes a page a command of the plugin, as its help has it.
//
//	clidocs DIRECTORY
//
// The same commands give the same bytes on every machine.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/root"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

//go:generate go run . ../../docs/cli

func main() {
	if len(os.Args) != 2 {
		_, _ = fmt.Fprintln(os.Stderr, "error: name the directory for the pages")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// run replaces every page in the directory.
func run(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the directory for pages: %w", err)
	}
	old, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		return fmt.Errorf("listing pages: %w", err)
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("removing a page: %w", err)
		}
	}
	written, err := pages(plugin())
	if err != nil {
		return err
	}
	for name, page := range written {
		if err := os.WriteFile(filepath.Join(dir, name), page, 0o644); err != nil {
			return fmt.Errorf("writing a page: %w", err)
		}
	}
	return nil
}

// plugin is the command tree as it is everywhere: nothing of this machine in it.
func plugin() *cobra.Command {
	s := &session.Session{
		Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: io.Discard, ErrOut: io.Discard},
		Getenv:  func(string) string { return "" },
		Name:    "kubectl jindo",
		Source:  func(*session.Session) (report.Source, error) { return nil, os.ErrInvalid },
	}
	cmd := root.New(s)
	cmd.DisableAutoGenTag = true
	cmd.InitDefaultHelpFlag()
	if flag := cmd.PersistentFlags().Lookup("cache-dir"); flag != nil {
		flag.DefValue = "~/.kube/cache"
	}
	return cmd
}

// pages by file name.
func pages(cmd *cobra.Command) (map[string][]byte, error) {
	written := map[string][]byte{}
	var index strings.Builder
	fmt.Fprintf(&index, "# %s\n\n%s\n\nWritten from the commands themselves by `make generate`.\n", cmd.CommandPath(), cmd.Long)
	for _, group := range cmd.Groups() {
		fmt.Fprintf(&index, "\n## %s\n\n", strings.TrimSuffix(group.Title, ":"))
		for _, c := range cmd.Commands() {
			if c.GroupID == group.ID && c.IsAvailableCommand() && !c.IsAdditionalHelpTopicCommand() {
				list(&index, c)
			}
		}
	}
	for _, c := range cmd.Commands() {
		switch {
		case c.Name() == "options":
			fmt.Fprintf(&index, "\n## %s\n\n%s They are listed with [`%s`](%s).\n", c.Short, c.Long, cmd.CommandPath(), file(cmd))
		case c.IsAdditionalHelpTopicCommand():
			fmt.Fprintf(&index, "\n## %s\n\n```\n%s\n```\n", c.Short, strings.TrimSpace(c.Long))
		}
	}
	written["README.md"] = []byte(index.String())
	if err := page(cmd, written); err != nil {
		return nil, err
	}
	hideGlobal(cmd)
	return written, walk(cmd, written)
}

// list a command and those below it.
func list(index *strings.Builder, cmd *cobra.Command) {
	fmt.Fprintf(index, "- [`%s`](%s): %s\n", cmd.CommandPath(), file(cmd), cmd.Short)
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			list(index, c)
		}
	}
}

// hideGlobal flags but those that help shows: the page of the root has them all.
func hideGlobal(cmd *cobra.Command) {
	cmd.PersistentFlags().VisitAll(func(flag *pflag.Flag) {
		flag.Hidden = !slices.Contains(root.Common(), flag.Name)
	})
}

// walk writes the pages of the commands below.
func walk(cmd *cobra.Command, written map[string][]byte) error {
	for _, c := range cmd.Commands() {
		if !c.IsAvailableCommand() || c.IsAdditionalHelpTopicCommand() || c.Name() == "help" {
			continue
		}
		if err := page(c, written); err != nil {
			return err
		}
		if err := walk(c, written); err != nil {
			return err
		}
	}
	return nil
}

func page(cmd *cobra.Command, written map[string][]byte) error {
	var text bytes.Buffer
	if err := doc.GenMarkdownCustom(cmd, &text, func(name string) string { return strings.ReplaceAll(name, " ", "_") }); err != nil {
		return fmt.Errorf("writing about %s: %w", cmd.CommandPath(), err)
	}
	written[file(cmd)] = text.Bytes()
	return nil
}

func file(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "_") + ".md" }
