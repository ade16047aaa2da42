package v1alpha1

import (
	"errors"
	"fmt"
	"math"
	"path"
	"strconv"
	"strings"
)

// Watermarks of a tier that sets none, and the tier of a runtime that sets none.
const (
	DefaultHigh = "0.95"
	DefaultLow  = "0.9"

	noTierHigh  = "0.8"
	noTierLow   = "0.6"
	noTierQuota = "1Gi"
	memoryPath  = "/dev/shm"
)

// minTierBytes is the smallest useful quota of one path, in bytes.
const minTierBytes = 1 << 20

// TierPath is one path of a tier.
type TierPath struct {
	Path string
	// Quota of the path in bytes.
	Quota int64
}

// OnNode reports whether the paths of a tier whose defaults are set are directories
// of the node on Kubernetes. A tier in memory never is.
func (l Level) OnNode() bool { return l.MediumType != MediumMEM && l.VolumeType != VolumeEmptyDir }

// Paths returns the paths of the tier without surrounding spaces and trailing
// slashes.
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

// TierPaths returns the paths with their quotas: quota divided equally, or the
// entries of quotaList in order. It fails for a tier that [Validate] rejects.
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
		return nil, errors.New("quota and quotaList are mutually exclusive")
	case l.QuotaList != "":
		sizes, err := byteSizes(l.QuotaList)
		if err != nil {
			return nil, fmt.Errorf("parse quotaList %q: %w", l.QuotaList, err)
		}
		if len(sizes) != paths {
			return nil, fmt.Errorf("quotaList has %d entries for %d paths", len(sizes), paths)
		}
		return sizes, nil
	default:
		total, err := l.Quota.Bytes()
		if err != nil {
			return nil, fmt.Errorf("parse quota %q: %w", string(l.Quota), err)
		}
		sizes := make([]int64, paths)
		for i := range sizes {
			sizes[i] = total / int64(paths)
		}
		return sizes, nil
	}
}

// Watermarks returns the fractions of the quota at which eviction starts and
// stops, 0 < low < high <= 1. Watermarks that are not set have their defaults.
func (l Level) Watermarks() (high, low float64, err error) {
	if high, err = ratio(l.High, DefaultHigh); err != nil {
		return 0, 0, fmt.Errorf("parse high %q: %w", l.High, err)
	}
	if low, err = ratio(l.Low, DefaultLow); err != nil {
		return 0, 0, fmt.Errorf("parse low %q: %w", l.Low, err)
	}
	if low >= high {
		return 0, 0, fmt.Errorf("low %v is not below high %v", low, high)
	}
	return high, low, nil
}

// ratio parses a number in (0, 1]. An empty text has the value unset.
func ratio(text, unset string) (float64, error) {
	if strings.TrimSpace(text) == "" {
		text = unset
	}
	value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(value) || value <= 0 || value > 1 {
		return 0, errors.New("not a valid ratio: write a number above 0 and at most 1, such as \"0.8\"")
	}
	return value, nil
}
