// Package figure writes numbers as people read them: GiB with one decimal,
// ages of two units, thousands parted by commas.
package figure

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// Unknown stands for what nobody knows, None for what does not apply.
const (
	Unknown = "?"
	None    = "-"
)

// Bytes as "9.4 TiB"; less than a KiB as "512 B".
func Bytes[T ~int64 | ~uint64](n T) string {
	const step = 1024
	if n < step {
		return fmt.Sprintf("%d B", n)
	}
	value := float64(n)
	units := []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	unit := ""
	for _, unit = range units {
		value /= step
		// 1023.95 would be written 1024.0.
		if value < step-0.05 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}

// Count as "8,214,903".
func Count(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	var out strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			out.WriteByte(',')
		}
		out.WriteRune(digit)
	}
	return out.String()
}

// Percent of a share between 0 and 1: "71.4%".
func Percent(share float64) string { return fmt.Sprintf("%.1f%%", 100*share) }

// Age between two times: "41d".
func Age(since, now time.Time) string {
	if since.IsZero() {
		return Unknown
	}
	return duration.HumanDuration(max(0, now.Sub(since)))
}

// Seconds of something short: "0.6ms", "11ms", "1.2s"; longer times as an Age.
func Seconds(seconds float64) string {
	switch {
	case seconds < 0.010:
		return fmt.Sprintf("%.1fms", 1000*seconds)
	case seconds < 1:
		return fmt.Sprintf("%.0fms", 1000*seconds)
	case seconds < 10:
		return fmt.Sprintf("%.1fs", seconds)
	}
	return duration.HumanDuration(time.Duration(seconds * float64(time.Second)))
}

// Plural is "1 worker", "3 workers".
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
