package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// table holds the measurements of one row.
type table struct {
	Name    string   `json:"name"`
	Date    string   `json:"date"`
	Machine string   `json:"machine"`
	Title   string   `json:"title"`
	Notes   string   `json:"notes"`
	Series  []series `json:"series"`
}

// series has one value for each repetition.
type series struct {
	What string `json:"what"`
	Unit string `json:"unit"`
	// Limit is the name of the series that this one is divided by; empty for a peer.
	Limit   string    `json:"limit,omitempty"`
	Figures []float64 `json:"figures"`
}

func (s series) median() float64 { return quantile(s.Figures, 0.5) }

func quantile(figures []float64, q float64) float64 {
	if len(figures) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(figures))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// ratio returns the median, minimum and maximum of the ratios to the limit. They are
// computed for each repetition, so that load on both cancels out.
func (t table) ratio(s series) string {
	i := slices.IndexFunc(t.Series, func(peer series) bool { return peer.What == s.Limit })
	if i < 0 {
		return ""
	}
	var ratios []float64
	for n, figure := range s.Figures {
		if n < len(t.Series[i].Figures) && t.Series[i].Figures[n] > 0 {
			ratios = append(ratios, figure/t.Series[i].Figures[n])
		}
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f) of %s", quantile(ratios, 0.5), slices.Min(ratios), slices.Max(ratios), s.Limit)
}

func (t table) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\n%s, %s.\n\n", t.Title, t.Notes, t.Machine, t.Date)
	b.WriteString("| | unit | median | least to most | ratio |\n|---|---|---|---|---|\n")
	for _, s := range t.Series {
		fmt.Fprintf(&b, "| %s | %s | %.4g | %.4g to %.4g | %s |\n",
			s.What, s.Unit, s.median(), slices.Min(s.Figures), slices.Max(s.Figures), t.ratio(s))
	}
	return b.String()
}

const document = "docs/benchmarks.md"

// save writes the measurements, and replaces the row's table in the document.
func (t table) save() error {
	raw, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the figures: %w", err)
	}
	results := filepath.Join("bench", "results")
	if err := os.MkdirAll(results, 0o755); err != nil {
		return fmt.Errorf("saving the figures: %w", err)
	}
	if err := os.WriteFile(filepath.Join(results, t.Name+".json"), raw, 0o644); err != nil {
		return fmt.Errorf("saving the figures: %w", err)
	}
	page, err := os.ReadFile(document)
	if err != nil {
		return fmt.Errorf("read %s: %w", document, err)
	}
	begin, end := "<!-- "+t.Name+" -->\n", "<!-- end "+t.Name+" -->"
	place := regexp.MustCompile("(?s)" + regexp.QuoteMeta(begin) + ".*?" + regexp.QuoteMeta(end))
	block := begin + t.markdown() + end
	content := string(page)
	if place.MatchString(content) {
		content = place.ReplaceAllLiteralString(content, block)
	} else {
		content += "\n" + block + "\n"
	}
	if err := os.WriteFile(document, []byte(content), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", document, err)
	}
	return nil
}

// machine returns a description of the hardware.
func machine() string {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	model := "unknown processor"
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	return fmt.Sprintf("%d × %s, Linux %s, %s", runtime.NumCPU(), model, strings.TrimSpace(string(kernel)), runtime.Version())
}
