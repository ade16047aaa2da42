package printer

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/jindo-io/jindo/pkg/cli/iostreams"
)

func example() Table {
	t := Table{Columns: []Column{
		{Title: "NAME"}, {Title: "N", Right: true, Drop: 1}, {Title: "NOTE", Drop: 2}, {Title: "EXTRA", Wide: true},
	}}
	t.Add("one", "1", "first", "x")
	t.Add("two", "1000", "", "y")
	return t
}

func write(t *testing.T, table Table, screen iostreams.Screen) string {
	t.Helper()
	var out bytes.Buffer
	if err := table.Write(&out, screen); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTable(t *testing.T) {
	wide, bare, indented := example(), example(), example()
	wide.Wide, bare.NoHeaders, indented.Indent = true, true, "  "
	coloured := example()
	coloured.Rows[0][0] = "\x1b[32mone\x1b[0m"
	for name, test := range map[string]struct {
		table Table
		width int
		want  string
	}{
		"no limit":                       {example(), 0, "NAME     N  NOTE\none      1  first\ntwo   1000\n"},
		"it fits":                        {example(), 17, "NAME     N  NOTE\none      1  first\ntwo   1000\n"},
		"the least important is omitted": {example(), 16, "NAME     N\none      1\ntwo   1000\n"},
		"then the next one":              {example(), 9, "NAME\none\ntwo\n"},
		"the last column is truncated":   {example(), 2, "N…\no…\nt…\n"},
		"wide is never truncated":        {wide, 3, "NAME     N  NOTE   EXTRA\none      1  first  x\ntwo   1000         y\n"},
		"no titles":                      {bare, 0, "one     1  first\ntwo  1000\n"},
		"indented":                       {indented, 0, "  NAME     N  NOTE\n  one      1  first\n  two   1000\n"},
		"colour takes no width":          {coloured, 0, "NAME     N  NOTE\n\x1b[32mone\x1b[0m      1  first\ntwo   1000\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := write(t, test.table, iostreams.Screen{Width: test.width, Unicode: true}); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestWideCharactersTakeTwoColumns(t *testing.T) {
	table := Table{Columns: []Column{{Title: "A"}, {Title: "B"}}}
	table.Add("数据", "x")
	table.Add("abcd", "y")
	if got, want := write(t, table, iostreams.Screen{}), "A     B\n数据  x\nabcd  y\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestTableFitsEveryScreen: no line is wider than the screen or ends with a space,
// and every row is printed.
func TestTableFitsEveryScreen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cell := rapid.StringOfN(rapid.RuneFrom([]rune("ab数é")), 0, 12, -1)
		columns := rapid.IntRange(1, 6).Draw(t, "columns")
		table := Table{}
		for range columns {
			table.Columns = append(table.Columns, Column{
				Title: cell.Draw(t, "title"), Right: rapid.Bool().Draw(t, "right"), Drop: rapid.IntRange(0, 3).Draw(t, "drop"),
			})
		}
		rows := rapid.IntRange(0, 5).Draw(t, "rows")
		for range rows {
			table.Rows = append(table.Rows, rapid.SliceOfN(cell, columns, columns).Draw(t, "row"))
		}
		width := rapid.IntRange(4, 60).Draw(t, "width")
		var out bytes.Buffer
		if err := table.Write(&out, iostreams.Screen{Width: width, Unicode: true}); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) != rows+1 {
			t.Fatalf("%d lines for %d rows", len(lines), rows)
		}
		for _, line := range lines {
			if iostreams.Width(line) > width || strings.HasSuffix(line, " ") {
				t.Fatalf("line %q on a screen of %d", line, width)
			}
		}
	})
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestWriteReturnsTheErrorOfTheWriter(t *testing.T) {
	table := example()
	if err := table.Write(failing{}, iostreams.Screen{}); err == nil {
		t.Error("no error")
	}
}
