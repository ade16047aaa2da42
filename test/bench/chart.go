package main

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
)

// Sizes of a chart, in pixels.
const (
	chartWidth  = 720
	chartLabels = 150
	chartValues = 110
	chartBar    = 22
	chartGap    = 10
	chartTop    = 44
)

// chart draws the figures as an SVG: a bar for each contender's median, and a
// line for its range. Colours follow the reader's light or dark theme.
func (c *contest) chart() []byte {
	var shown []*entry
	most := 0.0
	for _, e := range c.Entries {
		if len(e.Figures) > 0 {
			shown = append(shown, e)
			most = max(most, slices.Max(e.Figures))
		}
	}
	height := chartTop + len(shown)*(chartBar+chartGap) + chartGap
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">`+"\n", chartWidth, height, escape(c.Title))
	b.WriteString(chartStyle)
	direction := "more is better"
	if c.Lower {
		direction = "less is better"
	}
	fmt.Fprintf(&b, `<text class="t" x="12" y="26">%s (%s, %s)</text>`+"\n", escape(c.Title), escape(c.Unit), direction)
	for i, e := range shown {
		c.bar(&b, e, chartTop+i*(chartBar+chartGap), most)
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

const chartStyle = `<style>
text{font:13px system-ui,sans-serif;fill:#24292f}.t{font-weight:600}
.limit{fill:#8c959f}.peer{fill:#6e9bd1}.ours{fill:#d1662f}.range{stroke:#24292f;stroke-width:1.5}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.range{stroke:#e6edf3}}
</style>
`

func (c *contest) bar(b *strings.Builder, e *entry, y int, most float64) {
	class := "peer"
	switch {
	case e.Contender == ours:
		class = "ours"
	case e.Limit:
		class = "limit"
	}
	scale := func(v float64) float64 { return v / max(most, 1e-9) * (chartWidth - chartLabels - chartValues) }
	middle, median := y+chartBar/2, quantile(e.Figures, 0.5)
	fmt.Fprintf(b, `<text x="12" y="%d">%s</text>`+"\n", middle+5, escape(e.Contender))
	fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d"/>`+"\n", class, chartLabels, y, scale(median), chartBar)
	fmt.Fprintf(b, `<line class="range" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`+"\n",
		chartLabels+scale(slices.Min(e.Figures)), chartLabels+scale(slices.Max(e.Figures)), middle, middle)
	fmt.Fprintf(b, `<text x="%.1f" y="%d">%.4g</text>`+"\n", chartLabels+scale(slices.Max(e.Figures))+8, middle+5, median)
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder does not fail
	return b.String()
}
