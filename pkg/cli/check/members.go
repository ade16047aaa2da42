package check

import (
	"context"
	"strings"

	"github.com/jindo-io/jindo/pkg/cli/printer"

	"github.com/jindo-io/jindo/pkg/cli/report"
)

// quorum asks each master for its own view.
func quorum(ctx context.Context, w *world) outcome {
	r, err := w.answers(ctx)
	if err != nil {
		return w.memberErr(err)
	}
	if !masterSpoke(r) && len(r.Notes) > 0 {
		return skip("%s", strings.Join(r.Notes, "; "))
	}
	answering := 0
	var silent []string
	for _, m := range r.Masters {
		if m.Error != "" {
			silent = append(silent, m.Name+" ("+m.Error+")")
			continue
		}
		answering++
	}
	all := len(r.Masters)
	leader := r.Leader()
	switch {
	case leader == nil:
		return bad("no master leads: %d of %s answer%s", answering, printer.Plural(all, "master"), tail(silent))
	case answering <= all/2:
		return bad("only %d of %s answer%s", answering, printer.Plural(all, "master"), tail(silent))
	case answering < all:
		return warn("%d of %s answer%s; %s leads", answering, printer.Plural(all, "master"), tail(silent), leader.Name)
	}
	return good("%s of %d agree, %s leads", printer.Plural(answering, "master"), all, leader.Name)
}

// masterSpoke: at least one said something of itself, or why it did not.
func masterSpoke(r *report.Runtime) bool {
	for _, m := range r.Masters {
		if m.Term > 0 || m.Error != "" {
			return true
		}
	}
	return false
}

func tail(silent []string) string {
	if len(silent) == 0 {
		return ""
	}
	return ", not " + several(silent)
}

func workersLive(ctx context.Context, w *world) outcome {
	r, err := w.answers(ctx)
	if err != nil {
		return w.memberErr(err)
	}
	var lost, full []string
	for _, k := range r.Workers {
		if k.Error != "" {
			lost = append(lost, k.Name+" ("+k.Error+")")
		} else if k.Pod != nil && !k.Pod.Ready {
			lost = append(lost, k.Name+" ("+k.Pod.State+")")
		}
		for _, t := range k.Tiers {
			if t.Error != "" {
				full = append(full, k.Name+": "+t.Medium+": "+t.Error)
			}
		}
	}
	all := len(r.Workers)
	switch {
	case all == 0:
		return warn("there are no workers: every read goes to the store")
	case len(lost) == all:
		return bad("none of %s answers: %s", printer.Plural(all, "worker"), several(lost))
	case len(lost) > 0:
		return warn("%d of %s lost: %s", len(lost), printer.Plural(all, "worker"), several(lost))
	case len(full) > 0:
		return warn("tiers that cache nothing now: %s", several(full))
	}
	return good("%d/%d workers", all, all)
}

// bucket is what the workers say of the stores.
func bucket(ctx context.Context, w *world) outcome {
	r, err := w.answers(ctx)
	if err != nil {
		return w.memberErr(err)
	}
	var from string
	for _, k := range r.Workers {
		if k.Error == "" && k.Started != nil {
			from = k.Name
			break
		}
	}
	if from == "" {
		return skip("no worker answers")
	}
	var refused, fine []string
	for _, m := range r.Mounts {
		if m.Error != "" {
			refused = append(refused, m.URI+": "+m.Error)
			continue
		}
		said := m.URI
		if m.Objects != nil {
			said += " (" + printer.Plural(int(*m.Objects), "object") + ")"
		}
		fine = append(fine, said)
	}
	switch {
	case len(refused) > 0:
		return bad("the store refuses the workers: %s", several(refused))
	case len(fine) == 0:
		return warn("nothing is mounted yet")
	}
	return good("workers reach %s", several(fine))
}

func staleMounts(ctx context.Context, w *world) outcome {
	r, err := w.answers(ctx)
	if err != nil {
		return w.memberErr(err)
	}
	var stale []string
	for _, c := range r.Consumers {
		if c.Stale {
			stale = append(stale, c.Name)
		}
	}
	if len(stale) > 0 {
		return warn("nobody serves the mounts of %s", several(stale))
	}
	return good("%s mount it, all served", printer.Plural(len(r.Consumers), "pod"))
}
