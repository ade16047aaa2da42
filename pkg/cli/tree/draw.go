package tree

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/kube/health"
)

// Options are the options of Draw.
type Options struct {
	Wide, NoHeaders bool
	// Namespaces adds the namespace to the name of the Dataset.
	Namespaces bool
}

// Draw prints a tree. The reasons of objects that are not ready follow below it in
// full; with Wide they are in a column.
func Draw(w io.Writer, screen iostreams.Screen, r *Report, now time.Time, o Options) error {
	t := printer.Table{Wide: o.Wide, NoHeaders: o.NoHeaders, Columns: []printer.Column{
		{Title: "OBJECT"}, {Title: "STATE"}, {Title: "NODE", Drop: 1}, {Title: "AGE", Right: true, Drop: 2}, {Title: "REASON", Wide: true},
	}}
	root := r.Root
	if o.Namespaces && root.Namespace != "" {
		root.Name = root.Namespace + "/" + root.Name
	}
	d := drawing{table: &t, screen: screen, now: now}
	d.add(&root, "", "")
	if err := t.Write(w, screen); err != nil {
		return err
	}
	if o.Wide {
		return nil
	}
	return explain(w, screen, &r.Root)
}

// explain prints the reasons of the objects that are not ready.
func explain(w io.Writer, screen iostreams.Screen, n *Node) error {
	if n.Health != health.Ready && n.Reason != "" {
		text := fmt.Sprintf("%s/%s: %s", n.Kind, n.Name, oneLine(n.Reason))
		for i, line := range screen.Wrap(text, 2) {
			head := "  "
			if i == 0 {
				head = mark(screen, n) + " "
			}
			if _, err := fmt.Fprintln(w, head+line); err != nil {
				return fmt.Errorf("write the tree: %w", err)
			}
		}
	}
	for i := range n.Children {
		if err := explain(w, screen, &n.Children[i]); err != nil {
			return err
		}
	}
	return nil
}

func mark(screen iostreams.Screen, n *Node) string {
	return screen.Mark(map[health.Level]iostreams.Mark{health.Ready: iostreams.Good, health.Pending: iostreams.Warn, health.Failed: iostreams.Bad}[n.Health])
}

// drawing adds the nodes of a tree to a table.
type drawing struct {
	table  *printer.Table
	screen iostreams.Screen
	now    time.Time
}

// add adds a node and its children. The first line of a node starts with first,
// the lines below it with rest.
func (d *drawing) add(n *Node, first, rest string) {
	age, node, state := printer.None, printer.None, mark(d.screen, n)
	if n.Created != nil && !n.Created.IsZero() {
		age = printer.Age(n.Created.Time, d.now)
	}
	if n.Node != "" {
		node = n.Node
	}
	if n.State != "" {
		state += " " + n.State
	}
	d.table.Add(first+n.Kind+"/"+n.Name, state, node, age, oneLine(n.Reason))
	branch, last, through := "├─ ", "└─ ", "│  "
	if !d.screen.Unicode {
		branch, last, through = "|- ", "`- ", "|  "
	}
	for i := range n.Children {
		if i == len(n.Children)-1 {
			d.add(&n.Children[i], rest+last, rest+strings.Repeat(" ", 3))
			continue
		}
		d.add(&n.Children[i], rest+branch, rest+through)
	}
}
