// Command svg draws terminal output, with its colours, as an SVG with selectable and
// accessible text, for light and dark pages.
//
//	kubectl jindo status --color=always | svg -title "..." -command "kubectl jindo status" > docs/images/status.svg
//
// Its output is reproducible.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	var p picture
	flags := flag.NewFlagSet("svg", flag.ContinueOnError)
	flags.StringVar(&p.title, "title", "", "description of the picture for screen readers")
	flags.StringVar(&p.command, "command", "", "command to show above its output")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("parse the flags: %w", err)
	}
	if p.title == "" {
		return fmt.Errorf("-title is missing: say what the picture shows")
	}
	const limit = 1 << 20
	text, err := io.ReadAll(io.LimitReader(in, limit))
	if err != nil {
		return fmt.Errorf("read the text: %w", err)
	}
	if len(text) == 0 {
		return fmt.Errorf("no text on standard input")
	}
	p.text = string(text)
	if _, err := io.WriteString(out, p.draw()); err != nil {
		return fmt.Errorf("write the picture: %w", err)
	}
	return nil
}
