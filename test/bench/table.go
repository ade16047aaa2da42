package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
)

// table holds the measurements of one row.
type table struct {
	Name    string   `json:"name"`
	Date    string   `json:"date"`
	Machine string   `json:"machine"`
	Commit  string   `json:"commit"`
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
func (t *table) ratio(s series) string {
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
	return ratioText(ratios) + " of " + s.Limit
}

func (t *table) id() string    { return t.Name }
func (t *table) title() string { return t.Title }

func (t *table) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\n%s, %s, commit %s.\n\n", t.Title, t.Notes, t.Machine, t.Date, t.Commit)
	b.WriteString("| | unit | median | least to most | ratio |\n|---|---|---|---|---|\n")
	for _, s := range t.Series {
		fmt.Fprintf(&b, "| %s | %s | %.4g | %.4g to %.4g | %s |\n",
			s.What, s.Unit, s.median(), slices.Min(s.Figures), slices.Max(s.Figures), t.ratio(s))
	}
	return b.String()
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
