package get

import (
	"bytes"
	"context"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/watch"

	"github.com/jindo-io/jindo/pkg/cli/apierror"
	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/kube/client"
)

const (
	// settle is how long further changes are gathered before an update.
	settle = 200 * time.Millisecond
	// restartDelay is how long after the end of a watch the next one starts.
	restartDelay = time.Second
)

// watchOne prints the items of a request, and then those that change, until the
// context ends. A name that does not exist is an error at the start only.
func (q *query) watchOne(ctx context.Context, r request) error {
	q.names = r.names
	found, err := q.list(ctx, r.kind)
	if err != nil {
		return err
	}
	if len(found.missing) > 0 {
		return q.missing(ctx, r.kind, found.missing[0])
	}
	return q.follow(ctx, r.kind, found)
}

// follow prints a listing and then every row that changes visibly.
func (q *query) follow(ctx context.Context, k *kind, found *listing) error {
	watcher, err := q.cluster.Watcher()
	if err != nil {
		return err
	}
	shown := map[string]string{}
	if err := q.printChanges(shown, found, true); err != nil {
		return err
	}
	for {
		w, err := watcher.Watch(ctx, k.watched(), client.InNamespace(q.namespace))
		if ctx.Err() != nil {
			return nil // interrupted by the user
		}
		if err != nil {
			return apierror.Explain(q.session, q.cluster, "watching "+k.noun, err)
		}
		err = q.until(ctx, k, w, shown)
		w.Stop()
		if err != nil || ctx.Err() != nil {
			return err
		}
		if !pause(ctx, restartDelay) {
			return nil
		}
	}
}

// until lists again after every change, until the watch ends.
func (q *query) until(ctx context.Context, k *kind, w watch.Interface, shown map[string]string) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, open := <-w.ResultChan():
			if !open || event.Type == watch.Error {
				return nil
			}
		}
		if !gather(ctx, w) {
			return nil
		}
		found, err := q.list(ctx, k) // a named item may be deleted and created again
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			q.session.Say("warning: %v", err)
			continue
		}
		if err := q.printChanges(shown, found, false); err != nil {
			return err
		}
	}
}

// gather waits a moment for further events. It reports false when the context has
// ended.
func gather(ctx context.Context, w watch.Interface) bool {
	timer := time.NewTimer(settle)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case _, open := <-w.ResultChan():
			if !open {
				return true
			}
		}
	}
}

// printChanges prints the rows that are new or differ from those shown, and
// updates shown.
func (q *query) printChanges(shown map[string]string, found *listing, header bool) error {
	drawn, err := lines(q.table(found), q.session.Screen())
	if err != nil {
		return err
	}
	if !q.noHeaders && len(drawn) > 0 {
		if header && q.format.HumanReadable() {
			if err := printLine(q.session.Streams.Out, drawn[0]); err != nil {
				return err
			}
		}
		drawn = drawn[1:]
	}
	present := map[string]bool{}
	for row, i := range found.items {
		key := i.namespace + "/" + i.resource
		present[key] = true
		state := visibleState(i, found)
		if shown[key] == state {
			continue
		}
		shown[key] = state
		if err := q.printChange(i, found, drawn[row]); err != nil {
			return err
		}
	}
	for key := range shown {
		if !present[key] {
			delete(shown, key) // so that it is printed when it is created again
			q.session.Say("%s was deleted", key)
		}
	}
	return nil
}

func (q *query) printChange(i item, found *listing, row string) error {
	if q.format.HumanReadable() {
		return printLine(q.session.Streams.Out, row)
	}
	err := q.print(q.session.Streams.Out, &listing{items: []item{i}, list: found.list}, true)
	q.format.NoHeaders = true // one header is enough
	return err
}

// visibleState joins the cells of a row, except for its age.
func visibleState(i item, found *listing) string {
	text := ""
	for column, cell := range i.cells {
		if found.columns[column].Title != "AGE" {
			text += cell + "\x00"
		}
	}
	return text
}

// lines returns the lines of a table.
func lines(t *printer.Table, screen iostreams.Screen) ([]string, error) {
	var drawn bytes.Buffer
	if err := t.Write(&drawn, screen); err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(drawn.String(), "\n"), "\n"), nil
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
