package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func example() *contest {
	return &contest{
		Name: "example", Title: "Reads <fast>", Unit: "MiB/s", Per: "GiB", Notes: "Notes.", Missing: []string{"goofys: not found"},
		Entries: []*entry{
			{Contender: "plain file", Limit: true, Figures: []float64{100, 200, 300}},
			{Contender: ours, Figures: []float64{90, 190, 270}, Processor: []float64{1, 2, 3}, Memory: []float64{10, 20, 30}},
			{Contender: "slower", Figures: []float64{30, 95, 90}},
			{Contender: "similar", Figures: []float64{80, 200, 300}},
			{Contender: "broken"},
		},
	}
}

// A ratio is taken within a repetition, and one whose range crosses 1 is not
// claimed.
func TestRatios(t *testing.T) {
	c := example()
	for contender, want := range map[string]string{
		"plain file": "0.90 (0.90 to 0.95)",
		"slower":     "3.00 (2.00 to 3.00)",
		"similar":    "no difference (0.90 to 1.12)",
		"broken":     "",
	} {
		if got := ratioText(c.ratios(c.entry(contender))); got != want {
			t.Errorf("divided by %s: %q, want %q", contender, got, want)
		}
	}
}

func TestTableOfAContest(t *testing.T) {
	text := example().markdown()
	for _, want := range []string{
		"| jindo divided by it | CPU s per GiB | peak memory, MiB |\n", "| jindo | 190 | 90 to 270 |  | 2 | 20 |\n", "| slower | 90 | 30 to 95 | 3.00 (2.00 to 3.00) |",
		"images/bench/example.svg", "Not measured: goofys: not found.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the table has no %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "broken") {
		t.Error("the table lists a contender without figures")
	}
}

func TestChartIsSVG(t *testing.T) {
	decoder := xml.NewDecoder(strings.NewReader(string(example().chart())))
	bars := 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "rect" {
			bars++
		}
	}
	if bars != 4 {
		t.Errorf("the chart has %d bars, want one for each contender with figures", bars)
	}
}

func TestReplaceKeepsTheRestOfThePage(t *testing.T) {
	page := replace("# Title\n", example())
	again := example()
	again.Title = "New"
	page = replace(page, again)
	if !strings.HasPrefix(page, "# Title\n") || strings.Count(page, "<!-- example -->") != 1 || !strings.Contains(page, "## New") || strings.Contains(page, "Reads") {
		t.Errorf("the page is\n%s", page)
	}
}
