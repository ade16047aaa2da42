package printer

import (
	"fmt"
	"math"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
	"k8s.io/apimachinery/pkg/util/duration"
)

const (
	// Unknown is printed for a value that could not be obtained.
	Unknown = "?"
	// None is printed for a value that does not apply.
	None = "-"
)

// Bytes formats a size with one decimal and an IEC unit: "9.4 TiB", or "512 B"
// below one KiB.
//
// humanize.IBytesN counts significant digits and not decimals, so that the
// figures of one column would not align and 10.5 GiB would lose its fraction.
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
		// 1023.95 would be printed as 1024.0.
		if value < step-0.05 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}

// ParseBytes parses a size such as "1.50GiB". It reports false for a text that is
// not a size.
func ParseBytes(text string) (uint64, bool) {
	n, err := humanize.ParseBytes(text)
	return n, err == nil
}

// Count formats n with a comma after every three digits: "8,214,903". Values
// above the largest int64 are printed as that.
func Count(n uint64) string { return humanize.Comma(int64(min(n, math.MaxInt64))) }

// Percent formats a share between 0 and 1: "71.4%".
func Percent(share float64) string { return fmt.Sprintf("%.1f%%", 100*share) }

// Age formats the time from since to now as kubectl does: "41d". It returns
// Unknown for the zero time, and 0s when since is in the future.
func Age(since, now time.Time) string {
	if since.IsZero() {
		return Unknown
	}
	return duration.HumanDuration(max(0, now.Sub(since)))
}

// Seconds formats a latency: "0.6ms", "11ms", "1.2s". Ten seconds and more are
// formatted as an age.
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

// Plural formats a count with its noun: "1 worker", "3,000 objects". A negative count
// is printed as 0.
func Plural(n int, noun string) string {
	return Count(uint64(max(0, n))) + " " + english.PluralWord(n, noun, "")
}
