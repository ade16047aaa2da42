// Package table lays rows out in columns that fit a screen: columns of little
// importance are left out before anything is cut.
package table

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/mattn/go-runewidth"

	"github.com/jindo-io/jindo/pkg/cli/iostreams"
)

// gap between columns.
const gap = 2

// Column of a table.
type Column struct {
	Title string
	// Right aligns numbers.
	Right bool
	// Drop says when the column goes if the screen is narrow: higher goes
	// first, 0 never.
	Drop int
	// Wide columns are shown only when they were asked for.
	Wide bool
}

// Table of rows. The zero value is an empty table.
type Table struct {
	Columns []Column
	Rows    [][]string
	// Indent in front of every line.
	Indent string
	// NoHeaders leaves the titles out.
	NoHeaders bool
	// Wide shows every column, however wide that is.
	Wide bool
}

// Add a row; it has one cell a column.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

// Write lays the table out for the screen. No line ends with spaces.
func (t *Table) Write(w io.Writer, screen iostreams.Screen) error {
	shown := t.choose(screen.Width)
	widths := make([]int, len(shown))
	for i, column := range shown {
		widths[i] = t.width(column)
	}
	if !t.NoHeaders {
		titles := make([]string, len(t.Columns))
		for i, column := range t.Columns {
			titles[i] = column.Title
		}
		if err := t.line(w, titles, shown, widths, screen); err != nil {
			return err
		}
	}
	for _, row := range t.Rows {
		if err := t.line(w, row, shown, widths, screen); err != nil {
			return err
		}
	}
	return nil
}

// choose the columns that fit.
func (t *Table) choose(limit int) []int {
	var shown []int
	for i, column := range t.Columns {
		if t.Wide || !column.Wide {
			shown = append(shown, i)
		}
	}
	for limit > 0 && !t.Wide && t.total(shown) > limit {
		worst := -1
		for position, i := range shown {
			if t.Columns[i].Drop > 0 && (worst < 0 || t.Columns[i].Drop >= t.Columns[shown[worst]].Drop) {
				worst = position
			}
		}
		if worst < 0 {
			break
		}
		shown = append(shown[:worst], shown[worst+1:]...)
	}
	return shown
}

func (t *Table) total(shown []int) int {
	total := len(t.Indent)
	for position, i := range shown {
		if position > 0 {
			total += gap
		}
		total += t.width(i)
	}
	return total
}

func (t *Table) width(column int) int {
	width := 0
	if !t.NoHeaders {
		width = Width(t.Columns[column].Title)
	}
	for _, row := range t.Rows {
		width = max(width, Width(row[column]))
	}
	return width
}

func (t *Table) line(w io.Writer, cells []string, shown, widths []int, screen iostreams.Screen) error {
	var line strings.Builder
	line.WriteString(t.Indent)
	for position, i := range shown {
		if position > 0 {
			line.WriteString(strings.Repeat(" ", gap))
		}
		padding := strings.Repeat(" ", widths[position]-Width(cells[i]))
		if t.Columns[i].Right {
			line.WriteString(padding + cells[i])
		} else {
			line.WriteString(cells[i] + padding)
		}
	}
	text := strings.TrimRight(line.String(), " ")
	if !t.Wide {
		text = Cut(text, screen)
	}
	if _, err := fmt.Fprintln(w, text); err != nil {
		return fmt.Errorf("writing a table: %w", err)
	}
	return nil
}

var escape = regexp.MustCompile("\x1b\\[[0-9;]*m")

// Width of a text in columns; colour takes none.
func Width(text string) int {
	condition := runewidth.Condition{}
	return condition.StringWidth(escape.ReplaceAllString(text, ""))
}

// Cut shortens a line to the screen's width, with an ellipsis. A line with
// colour is cut without it.
func Cut(text string, screen iostreams.Screen) string {
	if screen.Width <= 0 || Width(text) <= screen.Width {
		return text
	}
	condition := runewidth.Condition{}
	return condition.Truncate(escape.ReplaceAllString(text, ""), screen.Width, screen.Ellipsis())
}
