package status

import (
	"fmt"
	"strings"

	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/cli/report"
)

func (d *dashboard) cache() {
	r := d.report
	if len(r.Workers) == 0 {
		return
	}
	d.raw("")
	d.line("Cache", d.hot())
	if c := r.Cache; len(c.Tiers) == 0 && c.Capacity > 0 {
		share := float64(c.Used) / float64(c.Capacity)
		d.line("  full", fmt.Sprintf("%s  %6s   %s of %s", d.screen.Bar(share, d.barWidth()), printer.Percent(share), printer.Bytes(c.Used), printer.Bytes(c.Capacity)))
	}
	for _, tier := range r.Cache.Tiers {
		share := 0.0
		if tier.Capacity > 0 {
			share = float64(tier.Used) / float64(tier.Capacity)
		}
		d.line("  "+tier.Medium, join("   ", fmt.Sprintf("%s  %6s   %s of %s",
			d.screen.Bar(share, d.barWidth()), printer.Percent(share), printer.Bytes(tier.Used), printer.Bytes(tier.Capacity)), d.details(tier)))
	}
}

// details returns what a tier holds, what was read from it, and what is wrong with it;
// on a narrow screen only the last of these.
func (d *dashboard) details(tier report.Tier) string {
	files := printer.Plural(int(tier.Files), "file")
	read := pick(tier.HitBytes > 0, printer.Bytes(tier.HitBytes)+" read", "")
	failing := d.failing(tier)
	if d.screen.Width == 0 || d.screen.Width >= narrow {
		return join("   ", files, read, failing)
	}
	return pick(failing != "", failing, pick(read != "", read, files))
}

// failing names the directories of a tier that cache nothing new; "" if there are none.
func (d *dashboard) failing(tier report.Tier) string {
	if tier.Failing == 0 {
		return ""
	}
	return fmt.Sprintf("%s %d not caching", d.screen.Mark(iostreams.Bad), tier.Failing)
}

// hot compares the cached bytes with the bytes of the store.
func (d *dashboard) hot() string {
	total := d.inStore()
	if total <= 0 {
		return join(" of ", printer.Bytes(d.report.Cache.Used)+" cached", pick(len(d.report.Cache.Tiers) == 0 && d.report.Cache.Capacity > 0, printer.Bytes(d.report.Cache.Capacity), ""))
	}
	// Cached files take a little more space than the objects they hold.
	cached := min(d.report.Cache.Used, uint64(total))
	share := float64(cached) / float64(total)
	return fmt.Sprintf("%s  %6s   %s of %s hot", d.screen.Bar(share, d.barWidth()), printer.Percent(share),
		printer.Bytes(cached), printer.Bytes(total))
}

// inStore returns the bytes of all mounts, or 0 while they are unknown.
func (d *dashboard) inStore() int64 {
	var total int64
	for _, m := range d.report.Mounts {
		if m.Bytes == nil {
			if d.report.Dataset.Bytes != nil {
				return *d.report.Dataset.Bytes
			}
			return 0
		}
		total += *m.Bytes
	}
	return total
}

func (d *dashboard) barWidth() int {
	if d.screen.Width > 0 && d.screen.Width < narrow {
		return 20
	}
	return 38
}

func (d *dashboard) workers() {
	r := d.report
	if len(r.Workers) == 0 {
		return
	}
	live := 0
	var troubled []string
	for _, w := range r.Workers {
		if w.Error == "" {
			live++
			continue
		}
		troubled = append(troubled, d.screen.Mark(iostreams.Bad)+" "+w.Name+stateSuffix(w.Pod))
	}
	d.line("Workers", join("   ", fmt.Sprintf("%d/%d %s", live, len(r.Workers), pick(r.Workers[0].Pod != nil, "ready", "live")), strings.Join(troubled, "  ")))
	if d.wide {
		d.workerTable()
	}
}

// stateSuffix returns the state of a pod that is not ready, in parentheses.
func stateSuffix(pod *report.Pod) string {
	if pod == nil || pod.Ready {
		return ""
	}
	return " (" + pod.State + ")"
}

func (d *dashboard) workerTable() {
	t := printer.Table{Wide: true, Indent: "  ", Columns: []printer.Column{
		{Title: "WORKER"},
		{Title: "ADDRESS"},
		{Title: "USED", Right: true},
		{Title: "CAPACITY", Right: true},
		{Title: "HIT", Right: true},
		{Title: "MISS", Right: true},
		{Title: "STORE", Right: true},
		{Title: "RING", Right: true},
	}}
	for _, w := range d.report.Workers {
		var used, capacity uint64
		for _, tier := range w.Tiers {
			used, capacity = used+tier.Used, capacity+tier.Capacity
		}
		t.Add(w.Name, w.Address, printer.Bytes(used), printer.Bytes(capacity), printer.Bytes(w.HitBytes),
			printer.Bytes(w.MissBytes), printer.Bytes(w.StoreBytes), printer.Count(w.RingEpoch))
	}
	d.table(t)
}

func (d *dashboard) traffic() {
	c := d.report.Cache
	if len(d.report.Workers) == 0 {
		return
	}
	if !d.report.MemberViews && d.report.Created != nil {
		recent := ""
		if c.RecentHitRatio != nil {
			recent = fmt.Sprintf("hit %s in the last minutes", printer.Percent(*c.RecentHitRatio))
		}
		if c.HitRatio != nil {
			d.line("I/O", join("   ", recent, fmt.Sprintf("hit %s since the workers started", printer.Percent(*c.HitRatio))))
		}
		return
	}
	if c.HitRatio == nil {
		d.line("I/O", fmt.Sprintf("nothing read yet   %s from the store", printer.Bytes(c.StoreBytes)))
		return
	}
	name := "I/O"
	if recent := recentReads(&c); recent != "" {
		d.line(name, recent)
		name = ""
	}
	d.line(name, fmt.Sprintf("hit %s of %s since start   %s from the store",
		printer.Percent(*c.HitRatio), printer.Bytes(c.HitBytes+c.MissBytes), printer.Bytes(c.StoreBytes)))
}

// recentReads returns the hit ratio of the last minutes, which the total hides on
// a cache that has been filled since; "" when the workers do not report it.
func recentReads(c *report.Cache) string {
	if c.RecentSeconds <= 0 {
		return ""
	}
	window := printer.Seconds(c.RecentSeconds)
	if c.RecentHitRatio == nil {
		return "no reads in the last " + window
	}
	return fmt.Sprintf("hit %s of %s in the last %s", printer.Percent(*c.RecentHitRatio), printer.Bytes(c.RecentHitBytes+c.RecentMissBytes), window)
}
