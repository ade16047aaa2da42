package v1alpha1

import (
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (f *findings) dataLoad(spec *DataLoadSpec, namespace string) {
	path := field.NewPath("spec")
	f.targetDataset(path.Child("dataset"), spec.Dataset, namespace)
	seen := map[string]int{}
	for i, target := range spec.Target {
		at := path.Child("target").Index(i)
		wanted := target.Path
		if len(wanted) > 1 { // a directory may be written as /dir/
			wanted = strings.TrimSuffix(wanted, "/")
		}
		f.absolutePath(at.Child("path"), wanted)
		if first, twice := seen[wanted]; twice {
			f.invalid(at.Child("path"), target.Path, "duplicate of target[%d]: write it once", first)
		}
		seen[wanted] = i
		if n := target.Replicas; n != nil && *n < 1 {
			f.invalid(at.Child("replicas"), *n, "not a valid number of replicas: write 1 or more, or omit it for 1")
		}
	}
	f.loadOptions(path.Child("options"), spec.Options)
	f.schedule(path, spec)
	f.runAfter(path.Child("runAfter"), spec.RunAfter)
	f.notNegative(path.Child("ttlSecondsAfterFinished"), spec.TTLSecondsAfterFinished)
}

func (f *findings) targetDataset(path *field.Path, target TargetDataset, namespace string) {
	switch {
	case target.Name == "":
		f.required(path.Child("name"), "write the name of the Dataset to load")
	case len(validation.IsDNS1035Label(target.Name)) > 0:
		f.invalid(path.Child("name"), target.Name, "not a valid Dataset name: write lower-case letters, digits and '-', starting with a letter")
	}
	own := namespace
	if own == "" {
		own = "default"
	}
	if target.Namespace != "" && target.Namespace != own {
		f.invalid(path.Child("namespace"), target.Namespace, "not the namespace of the DataLoad: write %s, or omit it", own)
	}
}

// loadOptions checks the known options and warns of others.
func (f *findings) loadOptions(path *field.Path, options map[string]string) {
	booleans := []string{"loadMemorydata", "loadMetadataOnly", "atomicCache", "forceload", "dryrun", "cacheListLocationEnable"}
	numbers := []string{"cacheListReplica", "threadNum", "cacheThread"}
	others := []string{"filter", "accessKeyId", "accessKeySecret", "endpoint", "url", "hdfsConfig"}
	for name, value := range sorted(options) {
		switch {
		case slices.Contains(booleans, name):
			oneOf(f, path.Key(name), value, "true", "false")
		case slices.Contains(numbers, name):
			if n, err := strconv.Atoi(value); err != nil || n < 1 {
				f.invalid(path.Key(name), value, "not a number: write a whole number of at least 1, such as \"10\"")
			}
		case SecretOption(name):
			f.warn(path.Key(name), "a credential in plain text, which has no effect: remove it, since workers use the Dataset's credentials")
		case !slices.Contains(others, name):
			f.warn(path.Key(name), "unknown option: write one of %s", enumerate(slices.Concat(booleans, numbers, others)))
		}
	}
}

func (f *findings) schedule(path *field.Path, spec *DataLoadSpec) {
	oneOf(f, path.Child("policy"), spec.Policy, OncePolicy, CronPolicy, OnEventPolicy, "")
	switch {
	case spec.Policy == CronPolicy && spec.Schedule == "":
		f.required(path.Child("schedule"), "the policy Cron needs a schedule: write schedule: \"0 3 * * *\"")
	case spec.Policy != CronPolicy && spec.Schedule != "":
		f.invalid(path.Child("schedule"), spec.Schedule, "has no effect without the policy Cron: write policy: Cron, or omit it")
	case spec.Schedule != "" && !cronForm(spec.Schedule):
		f.invalid(path.Child("schedule"), spec.Schedule, "not a valid schedule: write minute, hour, day of the month, month and day of the week, such as \"0 3 * * *\"")
	}
}

// cronForm reports whether a schedule has the five fields of a crontab, or is one
// of the nicknames such as @daily.
func cronForm(schedule string) bool {
	if slices.Contains([]string{"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}, schedule) {
		return true
	}
	fields := strings.Fields(schedule)
	bounds := [][2]int{{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 7}}
	names := []string{"", "", "", "jan feb mar apr may jun jul aug sep oct nov dec", "sun mon tue wed thu fri sat"}
	if len(fields) != len(bounds) {
		return false
	}
	for i, list := range fields {
		for _, item := range strings.Split(list, ",") {
			if !cronItem(item, bounds[i][0], bounds[i][1], strings.Fields(names[i])) {
				return false
			}
		}
	}
	return true
}

// cronItem reports whether an item has the form "*", "5" or "1-5", optionally
// followed by a step such as "/2".
func cronItem(item string, low, high int, names []string) bool {
	span, step, stepped := strings.Cut(item, "/")
	if stepped {
		if n, err := strconv.Atoi(step); err != nil || n < 1 {
			return false
		}
	}
	if span == "*" || span == "?" {
		return true
	}
	first, last, isRange := strings.Cut(span, "-")
	if !isRange {
		last = first
	}
	a, okA := cronValue(first, low, high, names)
	b, okB := cronValue(last, low, high, names)
	return okA && okB && a <= b
}

func cronValue(text string, low, high int, names []string) (int, bool) {
	if i := slices.Index(names, strings.ToLower(text)); i >= 0 {
		if names[0] == "jan" {
			i++
		}
		return i, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= low && n <= high
}

func (f *findings) runAfter(path *field.Path, ref *OperationRef) {
	if ref == nil {
		return
	}
	oneOf(f, path.Child("kind"), ref.Kind, "DataLoad", "DataBackup", "DataMigrate", "DataProcess")
	if ref.Name == "" {
		f.required(path.Child("name"), "write the name of the operation to wait for")
	}
	oneOf(f, path.Child("affinityStrategy", "policy"), ref.AffinityStrategy.Policy, RequireAffinityPolicy, PreferAffinityPolicy, DefaultAffinityPolicy)
}
