package status

import (
	"fmt"
	"strings"

	"github.com/jindo-io/jindo/pkg/cli/printer"
)

// withoutPassthrough are the reasons for which the kernel does not read the files of a
// mount itself.
//
//nolint:gochecknoglobals // A constant table.
var withoutPassthrough = map[string]string{
	"away":        "the holder of the mount does not respond",
	"busy":        "too many open files",
	"holder":      "the holder of the mount does not register files",
	"immutable":   "the mount is immutable",
	"kernel":      "refused by the kernel",
	"limit":       "too many open files",
	"off":         "disabled",
	"permission":  "the holder of the mount lacks CAP_SYS_ADMIN",
	"refused":     "files outside the tiers",
	"stack_depth": "tiers on a stacked file system",
	"unsupported": "no FUSE passthrough in the kernel",
}

// kernel prints on how many mounts the kernel reads complete cached files itself, and
// why not on the others.
func (d *dashboard) kernel() {
	p := d.report.Passthrough
	if p == nil {
		return
	}
	text := fmt.Sprintf("reads cached files itself on %d of %s", p.Enabled, printer.Plural(p.Mounts, "mount"))
	if p.Files > 0 {
		text += ", " + printer.Plural(int(p.Files), "file") + " now"
	}
	var without []string
	for _, r := range p.Reasons {
		reason := withoutPassthrough[r.Reason]
		if reason == "" {
			reason = r.Reason
		}
		if len(p.Reasons) > 1 || r.Mounts < p.Mounts-p.Enabled {
			reason = fmt.Sprintf("%s (%d)", reason, r.Mounts)
		}
		without = append(without, reason)
	}
	switch {
	case len(without) == 0:
		d.line("Kernel", text)
		return
	case p.Enabled == 0:
		text = "reads no cached files itself: "
	default:
		text += "; not on others: "
	}
	d.wrapped(fmt.Sprintf("%-*s", label, "Kernel"), text+strings.Join(without, ", "), label)
}
