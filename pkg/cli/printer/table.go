package printer

import (
	"fmt"
	"io"
	"strings"

	"github.com/jindo-io/jindo/pkg/cli/iostreams"
)

// gap is the number of spaces between columns.
const gap = 2

// Column is one column of a table.
type Column struct {
	Title string
	// Right aligns the cells to the right, as for numbers.
	Right bool
	// Drop is the order in which columns are omitted on a narrow screen: the
	// highest first, 0 never.
	Drop int
	// Wide columns are shown only in a wide table.
	Wide bool
}

// Table is a list of rows that are printed in aligned columns. Columns of little
// importance are omitted before anything is truncated. The zero value is an empty
// table.
type Table struct {
	Columns []Column
	Rows    [][]string
	// Indent is printed before every line.
	Indent string
	// NoHeaders omits the titles.
	NoHeaders bool
	// Wide shows every column and truncates nothing.
	Wide bool
}

// Add adds a row, which must have one cell for every column.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

// Write prints the table for the screen. No line ends with spaces.
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

// choose returns the indexes of the columns that fit into limit; 0 is no limit.
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
		width = iostreams.Width(t.Columns[column].Title)
	}
	for _, row := range t.Rows {
		width = max(width, iostreams.Width(row[column]))
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
		padding := strings.Repeat(" ", widths[position]-iostreams.Width(cells[i]))
		if t.Columns[i].Right {
			line.WriteString(padding + cells[i])
		} else {
			line.WriteString(cells[i] + padding)
		}
	}
	text := strings.TrimRight(line.String(), " ")
	if !t.Wide {
		text = screen.Cut(text)
	}
	if _, err := fmt.Fprintln(w, text); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}
