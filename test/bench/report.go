package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// report is a table of one row.
type report interface {
	id() string
	title() string
	markdown() string
}

const (
	document = "docs/benchmarks.md"
	charts   = "docs/images/bench"
	results  = "bench/results"
)

// stamp sets when and where a report was measured.
func stamp(r report) {
	date, where := time.Now().UTC().Format(time.DateOnly), machine()
	switch r := r.(type) {
	case *contest:
		r.Date, r.Machine, r.Commit = date, where, commit()
	case *table:
		r.Date, r.Machine, r.Commit = date, where, commit()
	}
}

func commit() string {
	out, err := exec.Command("git", "rev-parse", "--short=8", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// save writes the measurements as JSON, the chart, and the table into the
// document, in place of an older one.
func save(r report) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the figures: %w", err)
	}
	if err := write(filepath.Join(results, r.id()+".json"), raw); err != nil {
		return err
	}
	if c, ok := r.(*contest); ok {
		if err := write(filepath.Join(charts, r.id()+".svg"), c.chart()); err != nil {
			return err
		}
	}
	page, err := os.ReadFile(document)
	if err != nil {
		return fmt.Errorf("read %s: %w", document, err)
	}
	return write(document, []byte(replace(string(page), r)))
}

func write(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("save the figures: %w", err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return fmt.Errorf("save the figures: %w", err)
	}
	return nil
}

// replace returns a page with a report's table in the place of an older one, or
// at the end.
func replace(page string, r report) string {
	begin, end := "<!-- "+r.id()+" -->\n", "<!-- end "+r.id()+" -->"
	place := regexp.MustCompile("(?s)" + regexp.QuoteMeta(begin) + ".*?" + regexp.QuoteMeta(end))
	block := begin + r.markdown() + end
	if place.MatchString(page) {
		return place.ReplaceAllLiteralString(page, block)
	}
	return page + "\n" + block + "\n"
}
