package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// clockTicks is the unit of processor times in /proc, per second (USER_HZ, which
// is 100 on every architecture that Go supports).
const clockTicks = 100

// processorSeconds returns the processor time of processes, in seconds: user and
// system time, with that of their children that have ended. Processes that have
// ended count nothing.
func processorSeconds(pids []int) float64 {
	var ticks float64
	for _, pid := range pids {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		// The fields follow the name, which can contain any character and ends
		// with ")".
		fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
		const utime, cstime = 11, 14 // utime, stime, cutime, cstime
		for i := utime; i <= cstime && i < len(fields); i++ {
			n, _ := strconv.ParseFloat(fields[i], 64)
			ticks += n
		}
	}
	return ticks / clockTicks
}

// forgetPeaks resets the peak memory of processes.
func forgetPeaks(pids []int) {
	for _, pid := range pids {
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0) // it may have ended
	}
}

// peakMemory returns the sum of the peak resident sets of processes since
// forgetPeaks, in MiB.
func peakMemory(pids []int) float64 {
	var mib float64
	for _, pid := range pids {
		kib, err := statusField(pid, "VmHWM:")
		if err == nil {
			mib += kib / 1024
		}
	}
	return mib
}

// residentMemory returns the sum of the resident sets of processes, in bytes.
func residentMemory(pids []int) float64 {
	var bytes float64
	for _, pid := range pids {
		kib, err := statusField(pid, "VmRSS:")
		if err == nil {
			bytes += kib * 1024
		}
	}
	return bytes
}

// statusField returns a number of /proc/PID/status.
func statusField(pid int, field string) (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of %d: %w", pid, err)
	}
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(line, field); ok {
			var n float64
			if _, err := fmt.Sscan(value, &n); err != nil {
				return 0, fmt.Errorf("read the memory of %d: %w", pid, err)
			}
			return n, nil
		}
	}
	return 0, fmt.Errorf("process %d does not report %s", pid, field)
}
