package printer

import (
	"testing"
	"time"
)

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1<<20 - 1: "1.0 MiB", 1 << 20: "1.0 MiB", 10 << 40: "10.0 TiB", 1<<63 - 1: "8.0 EiB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
	if got := Bytes(uint64(1<<64 - 1)); got != "16.0 EiB" {
		t.Errorf("got %q", got)
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 8214903: "8,214,903", 1<<64 - 1: "9,223,372,036,854,775,807"} {
		if got := Count(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}

func TestTimes(t *testing.T) {
	for seconds, want := range map[float64]string{0: "0.0ms", 0.0006: "0.6ms", 0.011: "11ms", 1.25: "1.2s", 90: "90s", 7200: "120m"} {
		if got := Seconds(seconds); got != want {
			t.Errorf("%v: got %q, want %q", seconds, got, want)
		}
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for want, since := range map[string]time.Time{"41d": now.AddDate(0, 0, -41), "0s": now.Add(time.Hour), Unknown: {}} {
		if got := Age(since, now); got != want {
			t.Errorf("%v: got %q, want %q", since, got, want)
		}
	}
	if Plural(1, "mount") != "1 mount" || Plural(0, "mount") != "0 mounts" || Plural(3000, "object") != "3,000 objects" || Percent(0.7138) != "71.4%" {
		t.Error("plural or percent")
	}
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]uint64{"1.50GiB": 3 << 29, "0B": 0, "512 B": 512, "2TiB": 2 << 40} {
		if got, ok := ParseBytes(text); !ok || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "N/A", "[Calculating]", "-1GiB"} {
		if got, ok := ParseBytes(text); ok {
			t.Errorf("%q is parsed as %d", text, got)
		}
	}
}
