package get

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/cli/apierror"
)

const (
	// settle is how long changes are gathered before they are shown.
	settle = 200 * time.Millisecond
	// again is how long after a watch has ended the next begins.
	again = time.Second
)

// follow prints what there is, and then what changes, until somebody has seen
// enough. A row is printed again when a person would see a difference.
func (q *query) follow(ctx context.Context, k *kind, found *listing) error {
	watcher, err := q.cluster.Watcher()
	if err != nil {
		return err
	}
	shown := map[string]string{}
	if err := q.changes(shown, found, true); err != nil {
		return err
	}
	for {
		options := []client.ListOption{client.InNamespace(q.namespace)}
		w, err := watcher.Watch(ctx, k.watched(), options...)
		if ctx.Err() != nil {
			return nil // Ctrl-C is how one leaves
		}
		if err != nil {
			return apierror.Explain(q.session, q.cluster, "watching "+k.noun, err)
		}
		err = q.until(ctx, k, w, shown)
		w.Stop()
		if err != nil || ctx.Err() != nil {
			return err
		}
		if !pause(ctx, again) {
			return nil
		}
	}
}

// until the watch ends, look again whenever something has changed.
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
		now := *q
		now.names = nil // what was named may go and come back
		found, err := now.look(ctx, k)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			q.session.Say("warning: %v", err)
			continue
		}
		if err := q.changes(shown, q.only(k, found), false); err != nil {
			return err
		}
	}
}

// gather events that come close together.
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

// only what was named, if anything was.
func (q *query) only(k *kind, found *listing) *listing {
	if len(q.names) == 0 {
		return found
	}
	kept := found.items[:0]
	for _, i := range found.items {
		for _, name := range q.names {
			if k.named(i, name) {
				kept = append(kept, i)
				break
			}
		}
	}
	found.items = kept
	return found
}

// changes prints the rows that are new or different.
func (q *query) changes(shown map[string]string, found *listing, titles bool) error {
	t := q.table(found)
	drawn, err := lines(t, q.session.Screen())
	if err != nil {
		return err
	}
	if !q.noHeaders && len(drawn) > 0 {
		if titles && q.format.ForPeople() && q.custom == nil {
			if err := printLine(q.session.Streams.Out, drawn[0]); err != nil {
				return err
			}
		}
		drawn = drawn[1:]
	}
	there := map[string]bool{}
	for row, i := range found.items {
		key := i.namespace + "/" + i.resource
		there[key] = true
		state := q.state(i, found)
		if shown[key] == state {
			continue
		}
		shown[key] = state
		if !q.format.ForPeople() || q.custom != nil {
			if err := q.print(q.session.Streams.Out, &listing{items: []item{i}, list: found.list}, true); err != nil {
				return err
			}
			continue
		}
		if err := printLine(q.session.Streams.Out, drawn[row]); err != nil {
			return err
		}
	}
	for key := range shown {
		if !there[key] {
			delete(shown, key) // so that it is shown when it comes back
			q.session.Say("%s is gone", key)
		}
	}
	return nil
}

// state of a row without what changes by itself.
func (q *query) state(i item, found *listing) string {
	text := ""
	for column, cell := range i.cells {
		if found.columns[column].Title != "AGE" {
			text += cell + "\x00"
		}
	}
	return text
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
