package jindocli

import (
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jindo-io/jindo/pkg/cli/report"
)

// startedLayout is the format of Java's Date.toString, which programs expect.
const startedLayout = "Mon Jan 2 15:04:05 2006"

// formatReport returns the lines that Fluid and scripts parse.
func formatReport(r *report.Runtime) string {
	address, port, started := namespaceAddress(r)
	live, draining := 0, 0
	for _, w := range r.Workers {
		if w.Live {
			live++
		}
		if w.Draining {
			draining++
		}
	}
	var disk, memory report.Tier
	for _, tier := range r.Cache.Tiers {
		sum := &disk
		if tier.Medium == "MEM" {
			sum = &memory
		}
		sum.Capacity += tier.Capacity
		sum.Used += tier.Used
	}
	var out strings.Builder
	fmt.Fprintf(&out, "Namespace Address: %s\n", address)
	fmt.Fprintf(&out, "Rpc Port: %s\n", port)
	fmt.Fprintf(&out, "Started: %s\n", started)
	fmt.Fprintf(&out, "Version: %s\n", r.Version)
	fmt.Fprintf(&out, "Live Nodes: %d\n", live)
	fmt.Fprintf(&out, "Decommission Nodes: %d\n", draining)
	fmt.Fprintf(&out, "Total Disk Capacity: %s\n", size(disk.Capacity))
	fmt.Fprintf(&out, "Used Disk Capacity: %s\n", size(disk.Used))
	fmt.Fprintf(&out, "Total MEM Capacity: %s\n", size(memory.Capacity))
	fmt.Fprintf(&out, "Used MEM Capacity: %s\n", size(memory.Used))
	return out.String()
}

// namespaceAddress returns the address, port and start time of the leader, or of
// the first master if there is no leader.
func namespaceAddress(r *report.Runtime) (address, port, started string) {
	if len(r.Masters) == 0 {
		return "N/A", "N/A", "N/A"
	}
	shown := &r.Masters[0]
	if leader := r.Leader(); leader != nil {
		shown = leader
	}
	_, port, err := net.SplitHostPort(shown.Address)
	if err != nil {
		port = "N/A"
	}
	started = "N/A"
	if shown.Started != nil {
		started = shown.Started.In(time.Local).Format(startedLayout)
	}
	return shown.Address, port, started
}

// size formats bytes in the units that Fluid parses: a value above 5120 is
// divided by 1024, and bytes have no decimals.
func size(bytes uint64) string {
	const step, most = 1024, 5 * 1024
	if bytes <= most {
		return fmt.Sprintf("%dB", bytes)
	}
	value := float64(bytes)
	unit := ""
	for _, unit = range []string{"KB", "MB", "GB", "TB"} {
		value /= step
		if value <= most {
			break
		}
	}
	return fmt.Sprintf("%.2f%s", value, unit)
}
