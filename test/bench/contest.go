package main

import (
	"fmt"
	"slices"
	"strings"
)

// contest is the result of one load that every contender carried out.
type contest struct {
	Name    string `json:"name"`
	Date    string `json:"date"`
	Machine string `json:"machine"`
	Commit  string `json:"commit"`
	Title   string `json:"title"`
	Notes   string `json:"notes"`
	// Unit of the figures; Lower is set where less is better.
	Unit  string `json:"unit"`
	Lower bool   `json:"lower,omitempty"`
	// Per names what the processor time and the requests are divided by.
	Per string `json:"per,omitempty"`
	// Entries are in the order of the contenders; the first ones are limits.
	Entries []*entry `json:"entries"`
	// Missing holds the reason for each contender that did not take part.
	Missing []string `json:"missing,omitempty"`
}

// entry holds what one contender reached, one value a repetition.
type entry struct {
	Contender string `json:"contender"`
	// Limit is set for what no mount can exceed: a plain file, raw requests.
	Limit   bool      `json:"limit,omitempty"`
	Figures []float64 `json:"figures"`
	// Processor is the processor time of all processes, in seconds.
	Processor []float64 `json:"processor_seconds,omitempty"`
	Requests  []float64 `json:"requests,omitempty"`
	// Fetched are the bytes from the store divided by those that were read.
	Fetched []float64 `json:"fetched,omitempty"`
	// Memory is the sum of the peak resident sets, in MiB.
	Memory []float64 `json:"memory_mib,omitempty"`
}

// ours is the name of this project's contender.
const ours = "jindo"

// drop forgets the figures of a contender that failed.
func (e *entry) drop() { *e = entry{Contender: e.Contender, Limit: e.Limit} }

func (c *contest) entry(contender string) *entry {
	for _, e := range c.Entries {
		if e.Contender == contender {
			return e
		}
	}
	e := &entry{Contender: contender}
	c.Entries = append(c.Entries, e)
	return e
}

// withoutFetched removes the bytes that were fetched where they say nothing,
// because the load reads next to none.
func (c *contest) withoutFetched() {
	for _, e := range c.Entries {
		e.Fetched = nil
	}
}

// withoutStore removes what a contender requested from the store, because it does
// not read the store.
func (c *contest) withoutStore(contender string) {
	e := c.entry(contender)
	e.Requests, e.Fetched = nil, nil
}

// ratios divides our figures by those of another contender. They are divided for
// each repetition, so that load on both cancels out.
func (c *contest) ratios(other *entry) []float64 {
	var ratios []float64
	for n, figure := range c.entry(ours).Figures {
		if n < len(other.Figures) && other.Figures[n] > 0 {
			ratios = append(ratios, figure/other.Figures[n])
		}
	}
	return ratios
}

// ratioText returns the median and the range of ratios. A range on both sides of 1
// shows no difference.
func ratioText(ratios []float64) string {
	if len(ratios) == 0 {
		return ""
	}
	least, most := slices.Min(ratios), slices.Max(ratios)
	if least <= 1 && most >= 1 {
		return fmt.Sprintf("no difference (%.2f to %.2f)", least, most)
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", quantile(ratios, 0.5), least, most)
}

func (c *contest) title() string { return c.Title }
func (c *contest) id() string    { return c.Name }

// column is one of the figures beside the result.
type column struct {
	title, format string
	of            func(e *entry) []float64
}

// columns returns those that an entry has figures for.
func (c *contest) columns() []column {
	all := []column{
		{"CPU s per " + c.Per, "%.3g", func(e *entry) []float64 { return e.Processor }},
		{"requests per " + c.Per, "%.3g", func(e *entry) []float64 { return e.Requests }},
		{"bytes fetched", "%.2fx", func(e *entry) []float64 { return e.Fetched }},
		{"peak memory, MiB", "%.0f", func(e *entry) []float64 { return e.Memory }},
	}
	return slices.DeleteFunc(all, func(column column) bool {
		return !slices.ContainsFunc(c.Entries, func(e *entry) bool { return len(column.of(e)) > 0 })
	})
}

func (c *contest) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\n%s, %s, commit %s.\n\n![%s](images/bench/%s.svg)\n\n", c.Title, c.Notes, c.Machine, c.Date, c.Commit, c.Title, c.Name)
	columns := c.columns()
	fmt.Fprintf(&b, "| | %s | least to most | jindo divided by it |", c.Unit)
	for _, column := range columns {
		fmt.Fprintf(&b, " %s |", column.title)
	}
	b.WriteString("\n|---|---|---|---|" + strings.Repeat("---|", len(columns)) + "\n")
	for _, e := range c.Entries {
		if len(e.Figures) == 0 {
			continue
		}
		ratio := ""
		if e.Contender != ours {
			ratio = ratioText(c.ratios(e))
		}
		fmt.Fprintf(&b, "| %s | %.4g | %.4g to %.4g | %s |", e.Contender, quantile(e.Figures, 0.5), slices.Min(e.Figures), slices.Max(e.Figures), ratio)
		for _, column := range columns {
			fmt.Fprintf(&b, " %s |", number(column.of(e), column.format))
		}
		b.WriteString("\n")
	}
	for _, reason := range c.Missing {
		fmt.Fprintf(&b, "\nNot measured: %s.\n", reason)
	}
	return b.String()
}

// number prints the median, or nothing where nothing was measured.
func number(figures []float64, format string) string {
	if len(figures) == 0 {
		return ""
	}
	return fmt.Sprintf(format, quantile(figures, 0.5))
}
