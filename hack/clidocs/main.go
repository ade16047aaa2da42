// Command clidocs writes a Markdown page for each command of the plugin from its
// help.
//
//	clidocs DIRECTORY
//
// The output depends on the commands only, and on nothing of the machine.
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
		_, _ = fmt.Fprintln(os.Stderr, "usage: clidocs DIRECTORY")
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
		return fmt.Errorf("create the directory: %w", err)
	}
	old, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		return fmt.Errorf("list pages: %w", err)
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove a page: %w", err)
		}
	}
	written, err := pages(plugin())
	if err != nil {
		return err
	}
	for name, page := range written {
		if err := os.WriteFile(filepath.Join(dir, name), page, 0o644); err != nil {
			return fmt.Errorf("write a page: %w", err)
		}
	}
	return nil
}

// plugin returns the command tree without values of this machine.
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

// pages returns the pages by file name.
func pages(cmd *cobra.Command) (map[string][]byte, error) {
	written := map[string][]byte{}
	var index strings.Builder
	fmt.Fprintf(&index, "# %s\n\n%s\n\nGenerated from the commands by `make generate`.\n", cmd.CommandPath(), cmd.Long)
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

// list writes the entries of a command and of those below it.
func list(index *strings.Builder, cmd *cobra.Command) {
	fmt.Fprintf(index, "- [`%s`](%s): %s\n", cmd.CommandPath(), file(cmd), cmd.Short)
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			list(index, c)
		}
	}
}

// hideGlobal hides the global flags that help does not show: the page of the root
// command lists all of them.
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
		return fmt.Errorf("render %s: %w", cmd.CommandPath(), err)
	}
	written[file(cmd)] = text.Bytes()
	return nil
}

func file(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "_") + ".md" }
