package v1alpha1

import (
	"fmt"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Bounds of tiers, which the schema has too. The record of the applied tiers is in a
// ConfigMap that users may edit, so it is not validated by the schema.
const (
	maxLevels   = 6
	maxTierPath = 4096 // bytes
	maxPaths    = 128  // of all levels
)

func (f *findings) tieredStore(at *field.Path, store TieredStore) {
	if len(store.Levels) > maxLevels {
		f.errs = append(f.errs, field.TooMany(at, len(store.Levels), maxLevels))
		return
	}
	paths := 0
	for i := range store.Levels {
		if len(store.Levels[i].Path) > maxTierPath {
			f.errs = append(f.errs, field.TooLong(at.Index(i).Child("path"), "", maxTierPath))
			return
		}
		paths += len(store.Levels[i].Paths())
	}
	if paths > maxPaths {
		f.errs = append(f.errs, field.TooMany(at, paths, maxPaths))
		return
	}
	taken := map[string]*field.Path{}
	for i := range store.Levels {
		level := store.Levels[i]
		defaultLevel(&level)
		f.level(at.Index(i), level)
		f.tierPaths(at.Index(i).Child("path"), level, taken)
	}
}

func (f *findings) level(at *field.Path, level Level) {
	oneOf(f, at.Child("mediumtype"), level.MediumType, MediumMEM, MediumSSD, MediumHDD)
	oneOf(f, at.Child("volumeType"), level.VolumeType, VolumeHostPath, VolumeEmptyDir)
	f.quota(at, level)
	f.watermarks(at, level)
}

func (f *findings) quota(at *field.Path, level Level) {
	paths := len(level.Paths())
	switch {
	case level.Quota != "" && level.QuotaList != "":
		f.forbidden(at.Child("quotaList"), "quota and quotaList are mutually exclusive: write quota to share it equally among the paths, or quotaList for each path its own")
	case level.Quota == "" && level.QuotaList == "":
		f.required(at.Child("quota"), "a tier requires a quota: write quota: 100Gi, or a quotaList with an entry for each path")
	case level.QuotaList != "":
		sizes, err := byteSizes(level.QuotaList)
		if err != nil {
			f.invalid(at.Child("quotaList"), level.QuotaList, "%v", err)
			return
		}
		if len(sizes) != paths {
			f.invalid(at.Child("quotaList"), level.QuotaList, "has %s for %s in path: write an entry for each path, with commas between them",
				count(len(sizes), "entry", "entries"), count(paths, "path", "paths"))
			return
		}
		for i, size := range sizes {
			f.plausibleSize(at.Child("quotaList"), level.MediumType, size)
			if size < minTierBytes {
				f.invalid(at.Child("quotaList"), level.QuotaList, "entry %[2]d has %[1]d bytes, which is too small: write at least 1Mi", size, i+1)
			}
		}
	default:
		total, err := level.Quota.Bytes()
		if err != nil {
			f.invalid(at.Child("quota"), string(level.Quota), "%v", err)
			return
		}
		f.plausibleSize(at.Child("quota"), level.MediumType, total/int64(paths))
		if total/int64(paths) < minTierBytes {
			f.invalid(at.Child("quota"), string(level.Quota), "too small for %s: write at least %dMi", count(paths, "path", "paths"), paths)
		}
	}
}

// Sizes in bytes of one path of a tier, above which the unit is likely wrong: no
// node has that much memory, or a file system of that size.
const (
	maxMemoryBytes = 24 << 40
	maxDiskBytes   = 100 << 40
)

// plausibleSize warns of a size that no node can provide.
func (f *findings) plausibleSize(path *field.Path, medium MediumType, size int64) {
	limit, thing := int64(maxDiskBytes), "a file system"
	if medium == MediumMEM {
		limit, thing = maxMemoryBytes, "memory"
	}
	if size > limit {
		f.warn(path, "more than %dTi for one path, and nodes hardly have %s of that size: check the unit", limit>>40, thing)
	}
}

func count(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

func (f *findings) watermarks(at *field.Path, level Level) {
	high, errHigh := ratio(level.High, DefaultHigh)
	if errHigh != nil {
		f.invalid(at.Child("high"), level.High, "%v", errHigh)
	}
	low, errLow := ratio(level.Low, DefaultLow)
	if errLow != nil {
		f.invalid(at.Child("low"), level.Low, "%v", errLow)
	}
	if errHigh == nil && errLow == nil && low >= high {
		f.invalid(at.Child("low"), level.Low, "is not below high, %q: write a low below high, such as high: \"0.8\" and low: \"0.7\"", level.High)
	}
}

// tierPaths checks that paths are absolute, and that no path of any tier equals or
// contains another, because both would count the same bytes.
func (f *findings) tierPaths(at *field.Path, level Level, taken map[string]*field.Path) {
	if level.Path == "" {
		f.required(at, "a tier of medium %s needs a directory: write path: /mnt/disk1", level.MediumType)
		return
	}
	for _, p := range level.Paths() {
		switch {
		case p == "":
			f.invalid(at, level.Path, "contains an empty path: write paths such as /mnt/disk1,/mnt/disk2")
		case p != cleanPath(p):
			f.invalid(at, level.Path, "%q is not a clean absolute path: write %s", p, cleanPath(p))
		case p == "/":
			f.invalid(at, level.Path, "the root of the file system cannot be a tier: write a directory for the cache alone, such as /mnt/disk1")
		case strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || r == ':' }):
			f.invalid(at, level.Path, "%q contains a colon or a control character: write a path such as /mnt/disk1", p)
		default:
			f.separateTier(at, level, p, taken)
		}
	}
}

func (f *findings) separateTier(at *field.Path, level Level, p string, taken map[string]*field.Path) {
	for other, where := range sorted(taken) {
		if Nested(p, other) {
			f.invalid(at, level.Path, "%q overlaps with %[3]q of %[2]s: write directories that do not contain each other", p, where, other)
			return
		}
	}
	taken[p] = at
	// A warning, not an error: a runtime of an earlier version may have such a
	// tier, and must not be abandoned. On Kubernetes the webhook refuses the path,
	// and the controller does not use it.
	if reserved := ReservedDirectory(p); reserved != "" && level.OnNode() {
		f.warn(at, "%q is not used on Kubernetes, because %s belongs to the system of the node: write a directory for the cache alone, such as /mnt/disk1", p, reserved)
	}
}

// inside reports whether p is below dir.
func inside(p, dir string) bool {
	return p != dir && strings.HasPrefix(p, strings.TrimSuffix(path.Clean(dir), "/")+"/")
}

// memoryTiers warns of a memory limit of workers below the quotas of tiers in memory: it
// is one of the process alone.
func (f *findings) memoryTiers(at *field.Path, spec *JindoRuntimeSpec) {
	limit, limited := spec.Worker.Resources.Limits[corev1.ResourceMemory]
	limit, err := ParseQuantity(limit.String())
	if !limited || err != nil || len(f.errs) > 0 {
		return
	}
	sum := resource.NewQuantity(0, resource.BinarySI)
	for _, level := range spec.TieredStore.Levels {
		defaultLevel(&level)
		paths, err := level.TierPaths()
		if err != nil || level.MediumType != MediumMEM {
			continue
		}
		for _, p := range paths {
			sum.Add(*resource.NewQuantity(p.Quota, resource.BinarySI))
		}
	}
	if limit.Cmp(*sum) < 0 {
		total := sum.DeepCopy()
		total.Add(limit)
		f.warn(at, "%s is less than the %s of tiers in memory: the limit is one of the process alone, and pods get the sum of both, %s, on Kubernetes", &limit, sum, &total)
	}
}
