package inject

import (
	"fmt"
	"io"
	"strings"

	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/printer"
)

// draw writes the reports in the human-readable format.
func draw(w io.Writer, screen iostreams.Screen, wide bool, reports []Report) error {
	var b strings.Builder
	for i := range reports {
		if i > 0 {
			b.WriteByte('\n')
		}
		if err := reports[i].draw(&b, screen, wide); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

func (r *Report) draw(b *strings.Builder, screen iostreams.Screen, wide bool) error {
	line := func(title, format string, args ...any) { paragraph(b, screen, title, fmt.Sprintf(format, args...)) }
	mark := iostreams.Good
	switch {
	case !r.Healthy():
		mark = iostreams.Bad
	case r.Verdict == NoDataset:
		mark = iostreams.Warn
	}
	line("Object", "%s in namespace %s", r.Object, r.Namespace)
	line("Verdict", "%s %s: %s", screen.Mark(mark), r.Verdict, r.Message)
	if r.Plan.Message != r.Message {
		line("Plan", "%s", r.Plan.Message)
	}
	for _, warning := range r.Plan.Warnings {
		if warning != r.Plan.Message {
			line("", "%s %s", screen.Mark(iostreams.Warn), warning)
		}
	}
	if r.Verdict != NotAskedFor || wide {
		line("Webhook", "%s", r.webhook())
		line("Policy", "%s", strings.ToLower(r.Policy))
	}
	for i, problem := range r.Problems {
		line(titleOf("Problems", i), "%s %s", screen.Mark(iostreams.Bad), problem)
	}
	for i, failed := range r.Failures {
		line(titleOf("Not read", i), "%s %s", screen.Mark(iostreams.Warn), failed)
	}
	return r.table(b, screen, wide)
}

// titleOf returns the title for the first of several lines.
func titleOf(title string, i int) string {
	if i > 0 {
		return ""
	}
	return title
}

func (r *Report) webhook() string {
	endpoints := fmt.Sprintf("%d ready endpoints", r.Endpoints)
	switch r.Endpoints {
	case -1:
		endpoints = "endpoints unknown"
	case 1:
		endpoints = "1 ready endpoint"
	}
	if r.Trusted {
		return endpoints + ", trusted by the API server"
	}
	return endpoints + ", not trusted by the API server"
}

func (r *Report) table(b *strings.Builder, screen iostreams.Screen, wide bool) error {
	if len(r.Webhooks) == 0 {
		return nil
	}
	t := printer.Table{
		Columns: []printer.Column{{Title: "CONFIGURATION", Drop: 1}, {Title: "WEBHOOK"}, {Title: "CALLED"}, {Title: "WHY"}},
		Indent:  "  ", Wide: wide,
	}
	for _, w := range r.Webhooks {
		t.Add(w.Configuration, w.Name, map[bool]string{true: "yes", false: "no"}[w.Called], w.Why)
	}
	b.WriteByte('\n')
	if err := t.Write(b, screen); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

// paragraph writes a title and a text, wrapped to the width of the screen.
func paragraph(b *strings.Builder, screen iostreams.Screen, title, text string) {
	const column = 10
	width := screen.Width
	if width <= 0 {
		width = 1 << 20
	}
	current := fmt.Sprintf("%-*s", column, title)
	empty := true
	for word := range strings.FieldsSeq(text) {
		if !empty && iostreams.Width(current)+1+iostreams.Width(word) > width {
			b.WriteString(strings.TrimRight(current, " ") + "\n")
			current, empty = strings.Repeat(" ", column), true
		}
		if !empty {
			current += " "
		}
		current, empty = current+word, false
	}
	b.WriteString(strings.TrimRight(current, " ") + "\n")
}
