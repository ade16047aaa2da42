package v1alpha1

import (
	"fmt"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (f *findings) tieredStore(at *field.Path, store TieredStore) {
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
		f.forbidden(at.Child("quotaList"), "quota and quotaList exclude each other: write quota to share it equally among the paths, or quotaList for each path its own")
	case level.Quota == "" && level.QuotaList == "":
		f.required(at.Child("quota"), "a tier needs to know how much it may use: write quota: 100Gi, or a quotaList with an entry for each path")
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
			if size < minTierBytes {
				f.invalid(at.Child("quotaList"), level.QuotaList, "has %d bytes as entry %d, too few to cache anything: write at least 1Mi", size, i+1)
			}
		}
	default:
		total, err := level.Quota.Bytes()
		if err != nil {
			f.invalid(at.Child("quota"), string(level.Quota), "%v", err)
			return
		}
		if total/int64(paths) < minTierBytes {
			f.invalid(at.Child("quota"), string(level.Quota), "leaves too few bytes for each of %s to cache anything: write at least %dMi", count(paths, "path", "paths"), paths)
		}
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

// tierPaths refuses paths that are not absolute, and paths of any tier that
// are the same or lie inside each other, because two tiers there would count
// the same bytes twice.
func (f *findings) tierPaths(at *field.Path, level Level, taken map[string]*field.Path) {
	if level.Path == "" {
		f.required(at, "a tier of medium %s needs a directory: write path: /mnt/disk1", level.MediumType)
		return
	}
	for _, p := range level.Paths() {
		switch {
		case p == "":
			f.invalid(at, level.Path, "has an empty path between its commas: write paths such as /mnt/disk1,/mnt/disk2")
		case p != cleanPath(p):
			f.invalid(at, level.Path, "has %q, which is no clean absolute path: write %s", p, cleanPath(p))
		case p == "/":
			f.invalid(at, level.Path, "is the root of the file system: write a directory for the cache alone, such as /mnt/disk1")
		case strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || r == ':' }):
			f.invalid(at, level.Path, "has %q with a colon or a character that no path has: write a path such as /mnt/disk1", p)
		default:
			f.separateTier(at, level, p, taken)
		}
	}
}

func (f *findings) separateTier(at *field.Path, level Level, p string, taken map[string]*field.Path) {
	for other, where := range sorted(taken) {
		if p == other || inside(p, other) || inside(other, p) {
			f.invalid(at, level.Path, "has %q, and %s has %q: write directories of which none is or contains another", p, where, other)
			return
		}
	}
	taken[p] = at
}

// inside holds for a path below dir.
func inside(p, dir string) bool {
	return p != dir && strings.HasPrefix(p, strings.TrimSuffix(path.Clean(dir), "/")+"/")
}
