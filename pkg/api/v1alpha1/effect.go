package v1alpha1

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// FieldWithoutEffect is a field that is accepted and has no effect.
type FieldWithoutEffect struct {
	Kind string
	// Path of the field, with [] after a list and [KEY] for a key of a map:
	// spec.mounts[].options[locks].
	Path string
	// Reason why it has no effect, and the alternative if there is one.
	Reason string
	// NotYet is true if a later version will support the field.
	NotYet bool
}

// FieldsWithoutEffect returns the fields of the three kinds that are accepted and
// have no effect, including those that a later version will support, ordered by
// kind and path. An entry covers all fields below its path.
func FieldsWithoutEffect() []FieldWithoutEffect {
	never := func(kind, path, reason string) FieldWithoutEffect {
		return FieldWithoutEffect{Kind: kind, Path: path, Reason: reason}
	}
	later := func(kind, path, reason string) FieldWithoutEffect {
		return FieldWithoutEffect{Kind: kind, Path: path, Reason: reason, NotYet: true}
	}
	const (
		engine  = "it configures the engine that this one replaces"
		logging = "run a component with --debug instead"
	)
	table := []FieldWithoutEffect{
		never(DatasetKind, "spec.mounts[].shared", "every mount is shared"),
		never(DatasetKind, "spec.runtimes", "a runtime names its Dataset, by its own name or the annotation "+DatasetAnnotation),
		never(DatasetKind, "spec.dataRestoreLocation", "the store is the source of truth for files, so there is no metadata to restore"),
		never(DatasetKind, "spec.owner.user", "write uid"),
		never(DatasetKind, "spec.owner.group", "write gid"),

		never(JindoRuntimeKind, "spec.properties", engine),
		never(JindoRuntimeKind, "spec.master.properties", engine),
		never(JindoRuntimeKind, "spec.worker.properties", engine),
		never(JindoRuntimeKind, "spec.fuse.properties", engine),
		never(JindoRuntimeKind, "spec.master.ports", "masters listen on 18004, 18006 and 18008"),
		never(JindoRuntimeKind, "spec.worker.ports", "workers listen on 18005 and 18008"),
		never(JindoRuntimeKind, "spec.worker.replicas", "write spec.replicas"),
		never(JindoRuntimeKind, "spec.worker.storageClassName", "only masters have volumes"),
		never(JindoRuntimeKind, "spec.worker.snapshots", "write spec.master.snapshots"),
		never(JindoRuntimeKind, "spec.runAs", "servers do not need a particular user"),
		never(JindoRuntimeKind, "spec.user", "servers do not need a particular user"),
		later(JindoRuntimeKind, "spec.hadoopConfig", "hdfs:// is not supported yet"),
		never(JindoRuntimeKind, "spec.logConfig", logging),
		never(JindoRuntimeKind, "spec.fuse.logConfig", logging),
		later(JindoRuntimeKind, "spec.tieredstore.levels[].volumeSource", "the size limit of an emptyDir is the quota, and its medium is the node's"),
		later(JindoRuntimeKind, "spec.cleanCachePolicy", "directories are removed after the pods are deleted, with three attempts"),
		never(JindoRuntimeKind, "spec.fuse.tolerations", "FUSE servers run on every node that runs a pod with the volume"),
		later(JindoRuntimeKind, "spec.fuse.metrics", "metrics are always available on the health port"),

		later(DataLoadKind, "spec", DataLoadUnsupported),
	}
	for _, options := range []string{"spec.mounts[].options", "spec.sharedOptions"} {
		table = append(table,
			later(DatasetKind, options+"["+OptionCacheStrategy+"]", "objects are placed by hashing, as under DISTRIBUTED"),
			later(DatasetKind, options+"["+OptionReadCacheReplica+"]", "each object is cached once"),
			never(DatasetKind, options+"["+OptionWriteCacheReplica+"]", "written files are kept in the store"),
			never(DatasetKind, options+"["+OptionWritePolicy+"]", "files are in the store before close returns, as under WRITE_THROUGH"),
			later(DatasetKind, options+"["+OptionPosixMetadata+"]", "mounts are read-only for now"),
			later(DatasetKind, options+"["+OptionLocks+"]", "locks are local to each kernel for now"),
		)
	}
	slices.SortStableFunc(table, func(a, b FieldWithoutEffect) int {
		if a.Kind != b.Kind {
			return strings.Compare(a.Kind, b.Kind)
		}
		return strings.Compare(a.Path, b.Path)
	})
	return table
}

// withoutEffect warns of the fields in the table that are set in an object.
func (f *findings) withoutEffect(kind string, object any) {
	raw, err := json.Marshal(object)
	if err != nil {
		return // an object that cannot be encoded was not decoded from a manifest
	}
	var tree map[string]any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return
	}
	for _, entry := range FieldsWithoutEffect() {
		if entry.Kind != kind {
			continue
		}
		for _, path := range setPaths(tree, strings.Split(entry.Path, "."), "") {
			word := "has no effect"
			if entry.NotYet {
				word = "has no effect yet"
			}
			f.warnings = append(f.warnings, path+": "+word+": "+entry.Reason)
		}
	}
}

// setPaths returns the paths in tree, with indexes, of the non-empty values that
// a path of the table matches.
func setPaths(tree any, path []string, at string) []string {
	if len(path) == 0 {
		if isEmpty(tree) {
			return nil
		}
		return []string{strings.TrimPrefix(at, ".")}
	}
	object, ok := tree.(map[string]any)
	if !ok {
		return nil
	}
	name, list := strings.CutSuffix(path[0], "[]")
	name, key, keyed := strings.Cut(name, "[")
	at += "." + name
	switch {
	case list:
		var paths []string
		items, _ := object[name].([]any)
		for i, item := range items {
			paths = append(paths, setPaths(item, path[1:], at+index(i))...)
		}
		return paths
	case keyed:
		key = strings.TrimSuffix(key, "]")
		inner, _ := object[name].(map[string]any)
		return setPaths(inner[key], path[1:], at+"["+key+"]")
	default:
		return setPaths(object[name], path[1:], at)
	}
}

func index(i int) string { return "[" + strconv.Itoa(i) + "]" }

// isEmpty reports whether a value is nil, zero, or a map or list without
// non-empty values.
func isEmpty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, inner := range v {
			if !isEmpty(inner) {
				return false
			}
		}
		return true
	}
	return false
}
