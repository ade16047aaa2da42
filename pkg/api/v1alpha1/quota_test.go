package v1alpha1

import (
	"encoding/json"
	"math"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestQuotaBytes(t *testing.T) {
	tests := []struct {
		text string
		want int64 // 0: refused
	}{
		{"2G", 2_000_000_000},
		{"2Gi", 2 << 30},
		{"290G", 290_000_000_000},
		{"1Ti", 1 << 40},
		{"2g", 2_000_000_000},
		{"2gi", 2 << 30},
		{"1ti", 1 << 40},
		{"1tI", 1 << 40},
		{"1K", 1000},
		{"1k", 1000},
		{"1Ki", 1024},
		{"5M", 5_000_000},
		{"5Mi", 5 << 20},
		{"512m", 512_000_000},
		{"1P", 1_000_000_000_000_000},
		{"1Pi", 1 << 50},
		{"1E", 1_000_000_000_000_000_000},
		{"1Ei", 1 << 60},
		{"1", 1},
		{"1048576", 1 << 20},
		{" 2G ", 2_000_000_000},
		{"0.5Ki", 512},
		{"1.5G", 1_500_000_000},
		{"1.0001", 1},
		{"9223372036854775807", math.MaxInt64},
		{"7.9999Ei", 9223256744704315123},

		{"", 0},
		{" ", 0},
		{"0", 0},
		{"0G", 0},
		{"0.5", 0},
		{"-1G", 0},
		{"+1G", 0},
		{"G", 0},
		{"Gi", 0},
		{"i", 0},
		{"2i", 0},
		{"2GB", 0},
		{"2GiB", 0},
		{"2 G", 0},
		{"2X", 0},
		{"1e9", 0},
		{"0x10", 0},
		{"1_000", 0},
		{"1.", 0},
		{".5G", 0},
		{"1.2.3", 0},
		{"1/2", 0},
		{"NaN", 0},
		{"Inf", 0},
		{"9223372036854775808", 0},
		{"8Ei", 0},
		{"999999E", 0},
		{strings.Repeat("9", 65), 0},
		{"２G", 0},
	}
	for _, test := range tests {
		got, err := Quota(test.text).Bytes()
		if got != test.want || (err == nil) != (test.want > 0) {
			t.Errorf("%q is %d bytes, error %v, want %d", test.text, got, err, test.want)
		}
		if err != nil && !strings.Contains(err.Error(), "write") {
			t.Errorf("%q: %q does not name a valid value", test.text, err)
		}
	}
}

func TestQuotaJSON(t *testing.T) {
	tests := []struct{ raw, want string }{
		{`"2G"`, "2G"},
		{`1048576`, "1048576"},
		{` "1Gi" `, "1Gi"},
		{`null`, ""},
	}
	for _, test := range tests {
		var q Quota
		if err := json.Unmarshal([]byte(test.raw), &q); err != nil || string(q) != test.want {
			t.Errorf("%s is read as %q, error %v, want %q", test.raw, q, err, test.want)
		}
	}
	for _, raw := range []string{`{}`, `[]`, `true`, `"\ud800`} {
		var q Quota
		if err := json.Unmarshal([]byte(raw), &q); err == nil {
			t.Errorf("%s is read as %q", raw, q)
		}
	}
}

// The rule of the schema and the parser agree, except for sizes that are zero, too large
// or too long.
func TestQuotaPattern(t *testing.T) {
	pattern := regexp.MustCompile(`^[0-9]+(\.[0-9]+)?([KkMmGgTtPpEe][iI]?)?$`)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[-+.0-9eEkKmMgGiIbB ]{0,8}`).Draw(t, "text")
		_, err := Quota(text).Bytes()
		matches := pattern.MatchString(strings.TrimSpace(text))
		if err == nil && !matches {
			t.Fatalf("%q is read but does not match", text)
		}
		if err != nil && matches && !strings.Contains(err.Error(), "at least") && !strings.Contains(err.Error(), "more than") && !strings.Contains(err.Error(), "larger than") {
			t.Fatalf("%q matches but is refused: %v", text, err)
		}
	})
}

func TestTierPathsShareTheQuota(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(t, "paths")
		total := rapid.Int64Range(1<<20, math.MaxInt64).Draw(t, "total")
		var paths []string
		for i := range n {
			paths = append(paths, "/"+strings.Repeat("d", i+1))
		}
		raw, err := json.Marshal(total)
		if err != nil {
			t.Fatal(err)
		}
		level := Level{MediumType: MediumSSD, Path: strings.Join(paths, ","), Quota: Quota(raw)}
		tiers, err := level.TierPaths()
		if err != nil || len(tiers) != n {
			t.Fatalf("%d tiers, error %v", len(tiers), err)
		}
		sum := int64(0)
		for i, tier := range tiers {
			if tier.Path != paths[i] || tier.Quota != tiers[0].Quota {
				t.Fatalf("tier %d is %+v, the first %+v", i, tier, tiers[0])
			}
			sum += tier.Quota
		}
		if sum > total || total-sum >= int64(n) {
			t.Fatalf("%d paths share %d of %d bytes", n, sum, total)
		}
	})
}

// TierPaths and Watermarks accept every tier that the validator accepts.
func FuzzLevel(f *testing.F) {
	f.Add("HDD", "/mnt/disk1", "2G", "", "0.8", "0.7")
	f.Add("MEM", "/a,/b", "", "1Gi, 2gi", "", "")
	f.Add("SSD", ",", "9e9", ",", "NaN", "-0")
	f.Fuzz(func(t *testing.T, medium, path, quota, list, high, low string) {
		runtime := &JindoRuntime{}
		runtime.Name = "hadoop"
		runtime.Spec.TieredStore.Levels = []Level{{
			MediumType: MediumType(medium), Path: path, Quota: Quota(quota), QuotaList: list, High: high, Low: low,
		}}
		SetDefaults(runtime)
		errs, _ := Validate(runtime)
		level := runtime.Spec.TieredStore.Levels[0]
		tiers, tierErr := level.TierPaths()
		highMark, lowMark, markErr := level.Watermarks()
		if len(errs) > 0 {
			return
		}
		if tierErr != nil || markErr != nil {
			t.Fatalf("accepted but not read: %v, %v", tierErr, markErr)
		}
		for _, tier := range tiers {
			if tier.Quota < minTierBytes || !strings.HasPrefix(tier.Path, "/") {
				t.Fatalf("accepted a tier %+v", tier)
			}
		}
		if !(0 < lowMark && lowMark < highMark && highMark <= 1) {
			t.Fatalf("accepted watermarks %v and %v", highMark, lowMark)
		}
	})
}
