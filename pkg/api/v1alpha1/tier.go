package v1alpha1

import (
	"errors"
	"fmt"
	"math"
	"path"
	"strconv"
	"strings"
)

// Watermarks of a tier that gives none, and of the tier that a runtime gets
// when it gives none at all.
const (
	DefaultHigh = "0.95"
	DefaultLow  = "0.9"

	noTierHigh  = "0.8"
	noTierLow   = "0.6"
	noTierQuota = "1Gi"
	memoryPath  = "/dev/shm"
)

// minTierBytes is the least that a path of a tier can be of use with.
const minTierBytes = 1 << 20

// TierPath is one path of a tier and the bytes that may be used there.
type TierPath struct {
	Path  string
	Quota int64
}

// Paths of the tier, as written but for spaces and slashes at their ends.
func (l Level) Paths() []string {
	var paths []string
	for _, p := range strings.Split(l.Path, ",") {
		p = strings.TrimSpace(p)
		if trimmed := strings.TrimRight(p, "/"); trimmed != "" || p == "" {
			p = trimmed
		} else {
			p = "/"
		}
		paths = append(paths, p)
	}
	return paths
}

// TierPaths gives each path its bytes: the quota shared equally, or the entries
// of the quotaList in order. It fails as [Validate] does.
func (l Level) TierPaths() ([]TierPath, error) {
	paths := l.Paths()
	sizes, err := l.sizes(len(paths))
	if err != nil {
		return nil, err
	}
	tiers := make([]TierPath, 0, len(paths))
	for i, p := range paths {
		if !path.IsAbs(p) {
			return nil, fmt.Errorf("path %q is not absolute", p)
		}
		tiers = append(tiers, TierPath{Path: path.Clean(p), Quota: sizes[i]})
	}
	return tiers, nil
}

func (l Level) sizes(paths int) ([]int64, error) {
	switch {
	case l.Quota != "" && l.QuotaList != "":
		return nil, errors.New("quota and quotaList exclude each other")
	case l.QuotaList != "":
		sizes, err := byteSizes(l.QuotaList)
		if err != nil {
			return nil, fmt.Errorf("reading quotaList %q: %w", l.QuotaList, err)
		}
		if len(sizes) != paths {
			return nil, fmt.Errorf("quotaList has %d entries for %d paths", len(sizes), paths)
		}
		return sizes, nil
	default:
		total, err := l.Quota.Bytes()
		if err != nil {
			return nil, fmt.Errorf("reading quota %q: %w", string(l.Quota), err)
		}
		sizes := make([]int64, paths)
		for i := range sizes {
			sizes[i] = total / int64(paths)
		}
		return sizes, nil
	}
}

// Watermarks answers the parts of the quota between which eviction works, with
// the defaults for what is not given: 0 < low < high <= 1.
func (l Level) Watermarks() (high, low float64, err error) {
	if high, err = ratio(l.High, DefaultHigh); err != nil {
		return 0, 0, fmt.Errorf("reading high %q: %w", l.High, err)
	}
	if low, err = ratio(l.Low, DefaultLow); err != nil {
		return 0, 0, fmt.Errorf("reading low %q: %w", l.Low, err)
	}
	if low >= high {
		return 0, 0, fmt.Errorf("low %v is not below high %v", low, high)
	}
	return high, low, nil
}

// ratio reads a number in (0, 1].
func ratio(text, unset string) (float64, error) {
	if strings.TrimSpace(text) == "" {
		text = unset
	}
	value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(value) || value <= 0 || value > 1 {
		return 0, errors.New("is no ratio: write a number above 0 and at most 1, such as \"0.8\"")
	}
	return value, nil
}
