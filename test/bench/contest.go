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
	Per string `json:"per"`
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

func (c *contest) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\n%s, %s, commit %s.\n\n![%s](images/bench/%s.svg)\n\n", c.Title, c.Notes, c.Machine, c.Date, c.Commit, c.Title, c.Name)
	fmt.Fprintf(&b, "| | %s | least to most | jindo divided by it | CPU s per %s | requests per %s | bytes fetched | peak memory, MiB |\n|---|---|---|---|---|---|---|---|\n", c.Unit, c.Per, c.Per)
	for _, e := range c.Entries {
		if len(e.Figures) == 0 {
			continue
		}
		ratio := ""
		if e.Contender != ours {
			ratio = ratioText(c.ratios(e))
		}
		fmt.Fprintf(&b, "| %s | %.4g | %.4g to %.4g | %s | %s | %s | %s | %s |\n", e.Contender, quantile(e.Figures, 0.5),
			slices.Min(e.Figures), slices.Max(e.Figures), ratio, number(e.Processor, "%.3g"), number(e.Requests, "%.3g"), number(e.Fetched, "%.2fx"), number(e.Memory, "%.0f"))
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
