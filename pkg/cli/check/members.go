package check

import (
	"context"
	"strings"

	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/cli/report"
)

// quorum compares the masters' own views.
func quorum(ctx context.Context, w *checkContext) outcome {
	r, err := w.runtimeReport(ctx)
	if err != nil {
		return w.memberErr(err)
	}
	if !hasMasterViews(r) && len(r.Notes) > 0 {
		return skip("%s", strings.Join(r.Notes, "; "))
	}
	responding := 0
	var missing []string
	for _, m := range r.Masters {
		if m.Error != "" {
			missing = append(missing, m.Name+" ("+m.Error+")")
			continue
		}
		responding++
	}
	all := len(r.Masters)
	leader := r.Leader()
	switch {
	case leader == nil:
		return bad("no master leads: %d of %s reachable%s", responding, printer.Plural(all, "master"), tail(missing))
	case responding <= all/2:
		return bad("only %d of %s reachable%s", responding, printer.Plural(all, "master"), tail(missing))
	case responding < all:
		return warn("%d of %s reachable%s; %s leads", responding, printer.Plural(all, "master"), tail(missing), leader.Name)
	}
	return good("%s of %d agree, %s leads", printer.Plural(responding, "master"), all, leader.Name)
}

// hasMasterViews reports whether a master's own view, or the reason for its absence,
// is known.
func hasMasterViews(r *report.Runtime) bool {
	for _, m := range r.Masters {
		if m.Term > 0 || m.Error != "" {
			return true
		}
	}
	return false
}

func tail(missing []string) string {
	if len(missing) == 0 {
		return ""
	}
	return ", not " + several(missing)
}

func workersLive(ctx context.Context, w *checkContext) outcome {
	r, err := w.runtimeReport(ctx)
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
		return warn("no workers: every read goes to the store")
	case len(lost) == all:
		return bad("none of %s is reachable: %s", printer.Plural(all, "worker"), several(lost))
	case len(lost) > 0:
		return warn("%d of %s lost: %s", len(lost), printer.Plural(all, "worker"), several(lost))
	case len(full) > 0:
		return warn("tiers that cache nothing now: %s", several(full))
	}
	return good("%d/%d workers", all, all)
}

// bucket checks the stores of the mounts as the workers report them.
func bucket(ctx context.Context, w *checkContext) outcome {
	r, err := w.runtimeReport(ctx)
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
		return skip("no worker is reachable")
	}
	var refused, fine []string
	for _, m := range r.Mounts {
		if m.Error != "" {
			refused = append(refused, m.URI+": "+m.Error)
			continue
		}
		text := m.URI
		if m.Objects != nil {
			atLeast := ""
			if m.AtLeast {
				atLeast = "at least "
			}
			text += " (" + atLeast + printer.Plural(int(*m.Objects), "object") + ")"
		}
		fine = append(fine, text)
	}
	switch {
	case len(refused) > 0:
		return bad("the store refuses the workers: %s", several(refused))
	case len(fine) == 0:
		return warn("nothing is mounted yet")
	}
	return good("workers reach %s", several(fine))
}

func staleMounts(ctx context.Context, w *checkContext) outcome {
	r, err := w.runtimeReport(ctx)
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
		return warn("no FUSE server serves the mounts of %s", several(stale))
	}
	return good("mounted by %s, all served", printer.Plural(len(r.Consumers), "pod"))
}
