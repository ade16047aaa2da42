package v1alpha1

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestReplicas(t *testing.T) {
	master := func(n string) []string {
		return []string{"spec.master.replicas: Invalid value: " + n + ": must be 1 or 3"}
	}
	checkRules(t, JindoRuntimeKind, []rule{
		{name: "none given", spec: "{}"},
		{name: "1 master", spec: "master: {replicas: 1}"},
		{name: "3 masters", spec: "master: {replicas: 3}"},
		{name: "null masters are none given", spec: "master: {replicas: null}"},
		{name: "0 masters", spec: "master: {replicas: 0}", want: master("0")},
		{name: "2 masters", spec: "master: {replicas: 2}", want: master("2")},
		{name: "4 masters", spec: "master: {replicas: 4}", want: master("4")},
		{name: "5 masters", spec: "master: {replicas: 5}", want: master("5")},
		{name: "-1 masters", spec: "master: {replicas: -1}", want: master("-1")},
		{name: "3 workers", spec: "replicas: 3"},
		{name: "0 workers", spec: "replicas: 0", want: []string{"spec.replicas: Invalid value: 0"}},
		{name: "-1 workers", spec: "replicas: -1", want: []string{"spec.replicas: Invalid value: -1"}},
		{name: "500 workers", spec: "replicas: 500"},
		{name: "501 workers", spec: "replicas: 501", want: []string{"spec.replicas: Invalid value: 501: more workers"}},
		{name: "workers in the ignored place", spec: "worker: {replicas: 2}"},
		{name: "0 workers in the ignored place", spec: "worker: {replicas: 0}", want: []string{"spec.worker.replicas: Invalid value: 0"}},
	})
}

func TestSnapshotSchedules(t *testing.T) {
	with := func(fields string) string { return "master: {snapshots: {" + fields + "}}" }
	const at = "spec.master.snapshots."
	invalid := func(field, value, reason string) []string {
		return []string{at + field + ": Invalid value: " + value + ": " + reason}
	}
	checkRules(t, JindoRuntimeKind, []rule{
		{name: "only a mount", spec: with("mount: data")},
		{name: "everything", spec: with("mount: data, prefix: a/b.c/D_e-f, interval: 1h30m, keep: 1")},
		{name: "no mount", spec: with(`mount: ""`), want: invalid("mount", `""`, "not a valid name")},
		{name: "a path", spec: with("mount: /data"), want: invalid("mount", `"/data"`, "not a valid name")},
		{name: "parent prefix", spec: with(`mount: data, prefix: a/../b`), want: invalid("prefix", `"a/../b"`, "not a valid prefix")},
		{name: "only dots", spec: with(`mount: data, prefix: ".."`), want: invalid("prefix", `".."`, "not a valid prefix")},
		{name: "absolute prefix", spec: with(`mount: data, prefix: /a`), want: invalid("prefix", `"/a"`, "not a valid prefix")},
		{name: "slash at the end", spec: with(`mount: data, prefix: a/`), want: invalid("prefix", `"a/"`, "not a valid prefix")},
		{name: "empty element", spec: with(`mount: data, prefix: a//b`), want: invalid("prefix", `"a//b"`, "not a valid prefix")},
		{name: "only a slash", spec: with(`mount: data, prefix: /`), want: invalid("prefix", `"/"`, "not a valid prefix")},
		{name: "space", spec: with(`mount: data, prefix: "a b"`), want: invalid("prefix", `"a b"`, "not a valid prefix")},
		{name: "control characters", spec: with(`mount: data, prefix: "a\n"`), want: invalid("prefix", `"a\n"`, "not a valid prefix")},
		{name: "letters that look alike", spec: with(`mount: data, prefix: "bаckup"`), want: invalid("prefix", `"bаckup"`, "not a valid prefix")},
		{name: "shortest interval", spec: with("mount: data, interval: 600s")},
		{name: "longest interval", spec: with("mount: data, interval: 8784h")},
		{name: "short interval", spec: with("mount: data, interval: 9m59s"), want: invalid("interval", `"9m59s"`, "not a valid interval")},
		{name: "too long an interval", spec: with("mount: data, interval: 8784h1s"), want: invalid("interval", `"8784h1s"`, "not a valid interval")},
		{name: "negative interval", spec: with("mount: data, interval: -1h"), want: invalid("interval", `"-1h"`, "not a valid interval")},
		{name: "days", spec: with("mount: data, interval: 1d"), want: invalid("interval", `"1d"`, "not a valid interval")},
		{name: "huge interval", spec: with("mount: data, interval: 999999999h"), want: invalid("interval", `"999999999h"`, "not a valid interval")},
		{name: "1 kept", spec: with("mount: data, keep: 1000")},
		{name: "none kept", spec: with("mount: data, keep: 0"), want: invalid("keep", "0", "must be 1 to 1000")},
		{name: "too many kept", spec: with("mount: data, keep: 1001"), want: invalid("keep", "1001", "must be 1 to 1000")},
	})
}

func TestDisabled(t *testing.T) {
	checkRules(t, JindoRuntimeKind, []rule{
		{name: "fuse only", spec: "{master: {disabled: true}, worker: {disabled: true}}"},
		{name: "no fuse", spec: "{fuse: {disabled: true}}"},
		{name: "workers without masters", spec: "{master: {disabled: true}}", want: []string{"spec.master.disabled: Invalid value: true: leaves the workers without masters"}},
		{name: "masters without workers", spec: "{worker: {disabled: true}}", want: []string{"spec.worker.disabled: Invalid value: true: leaves the masters without workers"}},
		{name: "nothing", spec: "{master: {disabled: true}, worker: {disabled: true}, fuse: {disabled: true}}", want: []string{"spec.fuse.disabled: Invalid value: true"}},
	})
}

func TestTiers(t *testing.T) {
	level := func(fields string) string { return "tieredstore: {levels: [{" + fields + "}]}" }
	const at = "spec.tieredstore.levels[0]."
	checkRules(t, JindoRuntimeKind, []rule{
		{name: "none", spec: "{}"},
		{name: "no levels", spec: "tieredstore: {levels: []}"},
		{name: "the seed's", spec: level(`mediumtype: HDD, path: /mnt/disk1, quota: 2G, high: "0.8", low: "0.7"`)},
		{name: "memory needs no path", spec: level("mediumtype: MEM, quota: 1Gi")},
		{name: "a disk needs a path", spec: level("mediumtype: SSD, quota: 1Gi"), want: []string{at + "path: Required value"}},
		{name: "emptyDir", spec: level("mediumtype: SSD, volumeType: emptyDir, path: /cache, quota: 1Gi")},
		{name: "another volume", spec: level("mediumtype: SSD, volumeType: pvc, path: /cache, quota: 1Gi"), want: []string{at + `volumeType: Invalid value: "pvc"`}},
		{name: "another medium", spec: level("mediumtype: TAPE, path: /cache, quota: 1Gi"), want: []string{at + `mediumtype: Invalid value: "TAPE"`}},
		{name: "no medium", spec: level("path: /cache, quota: 1Gi"), want: []string{at + `mediumtype: Invalid value: ""`}},

		{name: "no quota", spec: level("mediumtype: SSD, path: /a"), want: []string{at + "quota: Required value"}},
		{name: "both quotas", spec: level(`mediumtype: SSD, path: /a, quota: 1Gi, quotaList: 1Gi`), want: []string{at + "quotaList: Forbidden"}},
		{name: "two paths and one quota", spec: level(`mediumtype: SSD, path: "/a,/b", quota: 2Gi`)},
		{name: "two paths and two quotas", spec: level(`mediumtype: MEM, path: "/a,/b", quotaList: "1Gi, 2Gi"`)},
		{name: "two paths and one in the list", spec: level(`mediumtype: SSD, path: "/a,/b", quotaList: 1Gi`), want: []string{at + `quotaList: Invalid value: "1Gi": has 1 entry for 2 paths`}},
		{name: "one path and two in the list", spec: level(`mediumtype: SSD, path: /a, quotaList: "1Gi,1Gi"`), want: []string{at + `quotaList: Invalid value: "1Gi,1Gi": has 2 entries for 1 path`}},
		{name: "an empty entry", spec: level(`mediumtype: SSD, path: "/a,/b", quotaList: "1Gi,"`), want: []string{at + `quotaList: Invalid value: "1Gi,": entry 2: must not be empty`}},
		{name: "a small entry", spec: level(`mediumtype: SSD, path: "/a,/b", quotaList: "1Gi,1K"`), want: []string{at + `quotaList: Invalid value: "1Gi,1K": entry 2 has 1000 bytes`}},
		{name: "a number of bytes", spec: level("mediumtype: SSD, path: /a, quota: 1073741824")},
		{name: "too small", spec: level("mediumtype: SSD, path: /a, quota: 1023Ki"), want: []string{at + `quota: Invalid value: "1023Ki"`}},
		{name: "too small for two", spec: level(`mediumtype: SSD, path: "/a,/b", quota: 1Mi`), want: []string{at + `quota: Invalid value: "1Mi": too small for 2 paths`}},
		{name: "just enough for two", spec: level(`mediumtype: SSD, path: "/a,/b", quota: 2Mi`)},
		{name: "no amount", spec: level("mediumtype: SSD, path: /a, quota: lots"), want: []string{at + `quota: Invalid value: "lots"`}},
		{name: "negative", spec: level("mediumtype: SSD, path: /a, quota: -1"), want: []string{at + `quota: Invalid value: "-1"`}},

		{name: "only high", spec: level(`mediumtype: SSD, path: /a, quota: 1Gi, high: "0.99"`)},
		{name: "only high, below the default low", spec: level(`mediumtype: SSD, path: /a, quota: 1Gi, high: "0.5"`), want: []string{at + `low: Invalid value: "0.9"`}},
		{name: "only low", spec: level(`mediumtype: SSD, path: /a, quota: 1Gi, low: "0.1"`)},
		{name: "high of 1", spec: level(`mediumtype: SSD, path: /a, quota: 1Gi, high: "1"`)},
		{name: "high above 1", spec: level(`mediumtype: SSD, path: /a, quota: 1Gi, high: "1.1"`), want: []string{at + `high: Invalid value: "1.1"`}},
		{name: "high in percent", spec: level(`mediumtype: SSD, path: /a, quota: 1Gi, high: "80%"`), want: []string{at + `high: Invalid value: "80%"`}},
		{name: "high of NaN", spec: level(`mediumtype: SSD, path: /a, quota: 1Gi, high: "NaN"`), want: []string{at + `high: Invalid value: "NaN"`}},
		{name: "low of 0", spec: level(`mediumtype: SSD, path: /a, quota: 1Gi, low: "0"`), want: []string{at + `low: Invalid value: "0"`}},
		{name: "low below 0", spec: level(`mediumtype: SSD, path: /a, quota: 1Gi, low: "-0.5"`), want: []string{at + `low: Invalid value: "-0.5"`}},
		{name: "low is high", spec: level(`mediumtype: SSD, path: /a, quota: 1Gi, high: "0.7", low: "0.7"`), want: []string{at + `low: Invalid value: "0.7": is not below high`}},
		{name: "low above high", spec: level(`mediumtype: SSD, path: /a, quota: 1Gi, high: "0.7", low: "0.8"`), want: []string{at + `low: Invalid value: "0.8": is not below high`}},

		{name: "a slash at the end", spec: level("mediumtype: SSD, path: /a/, quota: 1Gi")},
		{name: "spaces around commas", spec: level(`mediumtype: SSD, path: "/a , /b", quota: 1Gi`)},
		{name: "a relative path", spec: level("mediumtype: SSD, path: cache, quota: 1Gi"), want: []string{at + `path: Invalid value: "cache": "cache" is not a clean absolute path: write /cache`}},
		{name: "a path with dots", spec: level("mediumtype: SSD, path: /a/../b, quota: 1Gi"), want: []string{at + `path: Invalid value: "/a/../b": "/a/../b" is not a clean absolute path: write /b`}},
		{name: "the root", spec: level("mediumtype: SSD, path: /, quota: 1Gi"), want: []string{at + `path: Invalid value: "/": the root of the file system`}},
		{name: "slashes only", spec: level(`mediumtype: SSD, path: "//", quota: 1Gi`), want: []string{at + `path: Invalid value: "//": the root of the file system`}},
		{name: "a colon", spec: level(`mediumtype: SSD, path: "/a:b", quota: 1Gi`), want: []string{at + `path: Invalid value: "/a:b"`}},
		{name: "an empty path", spec: level(`mediumtype: SSD, path: "/a,", quota: 2Gi`), want: []string{at + `path: Invalid value: "/a,": contains an empty path`}},
		{name: "one path twice", spec: level(`mediumtype: SSD, path: "/a,/a/", quota: 2Gi`), want: []string{at + `path: Invalid value: "/a,/a/"`}},
		{name: "a path inside another", spec: level(`mediumtype: SSD, path: "/a/b,/a", quota: 2Gi`), want: []string{at + `path: Invalid value: "/a/b,/a"`}},
		{name: "paths that only look alike", spec: level(`mediumtype: SSD, path: "/a,/ab", quota: 2Gi`)},
		{name: "two levels", spec: "tieredstore: {levels: [{mediumtype: MEM, quota: 1Gi}, {mediumtype: SSD, path: /a, quota: 2G}]}"},
		{name: "one path for two levels", spec: "tieredstore: {levels: [{mediumtype: SSD, path: /a, quota: 1Gi}, {mediumtype: HDD, path: /a/b, quota: 2G}]}", want: []string{`spec.tieredstore.levels[1].path: Invalid value: "/a/b"`}},
	})
}

func TestRuntimeWords(t *testing.T) {
	checkRules(t, JindoRuntimeKind, []rule{
		{name: "container network", spec: "networkmode: ContainerNetwork"},
		{name: "host network", spec: "networkmode: HostNetwork"},
		{name: "default network", spec: `networkmode: ""`},
		{name: "another network", spec: "networkmode: hostnetwork", want: []string{`spec.networkmode: Invalid value: "hostnetwork": unsupported value: write ContainerNetwork or HostNetwork, or omit it`}},
		{name: "clean on demand", spec: "fuse: {cleanPolicy: OnDemand}"},
		{name: "clean with the runtime", spec: "fuse: {cleanPolicy: OnRuntimeDeleted}"},
		{name: "clean on change", spec: "fuse: {cleanPolicy: OnFuseChanged}"},
		{name: "clean never", spec: "fuse: {cleanPolicy: Never}", want: []string{`spec.fuse.cleanPolicy: Invalid value: "Never"`}},
		{name: "pull policies", spec: "{jindoVersion: {imagePullPolicy: Always}, fuse: {imagePullPolicy: IfNotPresent}}"},
		{name: "other pull policies", spec: "{jindoVersion: {imagePullPolicy: always}, fuse: {imagePullPolicy: Sometimes}}", want: []string{`spec.fuse.imagePullPolicy: Invalid value: "Sometimes"`, `spec.jindoVersion.imagePullPolicy: Invalid value: "always"`}},
		{name: "a Secret", spec: "secret: sts.1"},
		{name: "no name of a Secret", spec: "secret: My Secret", want: []string{`spec.secret: Invalid value: "My Secret"`}},
		{name: "a ConfigMap", spec: "hadoopConfig: hdfs-conf"},
		{name: "no name of a ConfigMap", spec: "hadoopConfig: HDFS", want: []string{`spec.hadoopConfig: Invalid value: "HDFS"`}},
		{name: "a user", spec: "runAs: {uid: 1000, gid: 1000, user: a, group: a}"},
		{name: "no user", spec: "runAs: {uid: -1, gid: 1000, user: a, group: a}", want: []string{"spec.runAs.uid: Invalid value: -1"}},
		{name: "clean cache", spec: "cleanCachePolicy: {gracePeriodSeconds: 0, maxRetryAttempts: 5}"},
		{name: "clean cache below zero", spec: "cleanCachePolicy: {gracePeriodSeconds: -1, maxRetryAttempts: -5}", want: []string{"spec.cleanCachePolicy.gracePeriodSeconds: Invalid value: -1", "spec.cleanCachePolicy.maxRetryAttempts: Invalid value: -5"}},
		{name: "environment", spec: "{master: {env: {A_B: c}}, fuse: {env: {D: e}}}"},
		{name: "no names of variables", spec: "{master: {env: {'A=B': c}}, fuse: {env: {'': e}}}", want: []string{`spec.master.env[A=B]: Invalid value: "A=B"`, `spec.fuse.env[]: Invalid value: ""`}},
		{name: "scrape targets", spec: "fuse: {metrics: {enabled: true, scrapeTarget: 'MountPod, Sidecar'}}"},
		{name: "another scrape target", spec: "fuse: {metrics: {scrapeTarget: 'Everything'}}", want: []string{`spec.fuse.metrics.scrapeTarget: Invalid value: "Everything"`}},
		{name: "a volume mounted", spec: "{volumes: [{name: meta, persistentVolumeClaim: {claimName: c}}], master: {volumeMounts: [{name: meta, mountPath: /m}]}}"},
		{name: "an unknown volume mounted", spec: "{volumes: [{name: meta, persistentVolumeClaim: {claimName: c}}], master: {volumeMounts: [{name: data, mountPath: /m}]}}", want: []string{`spec.master.volumeMounts[0].name: Invalid value: "data"`}},
	})
}

func TestLabels(t *testing.T) {
	checkRules(t, JindoRuntimeKind, []rule{
		{name: "in the old place", spec: "{labels: {a: b}, master: {labels: {a: b}}}"},
		{name: "in the new place", spec: "{podMetadata: {labels: {a: b}}, fuse: {podMetadata: {labels: {a: b}}}}"},
		{name: "annotations beside", spec: "{labels: {a: b}, podMetadata: {annotations: {a: b}}}"},
		{name: "in different components", spec: "{labels: {a: b}, master: {podMetadata: {labels: {a: b}}}}"},
		{
			name: "in both places",
			spec: "{labels: {a: b}, podMetadata: {labels: {a: b}}, master: {labels: {a: b}, podMetadata: {labels: {a: b}}}, worker: {labels: {a: b}, podMetadata: {labels: {a: b}}}, fuse: {labels: {a: b}, podMetadata: {labels: {a: b}}}}",
			want: []string{"spec.master.labels: Forbidden", "spec.worker.labels: Forbidden", "spec.fuse.labels: Forbidden", "spec.labels: Forbidden"},
		},
	})
}

func TestFuseArgsRules(t *testing.T) {
	checkRules(t, JindoRuntimeKind, []rule{
		{name: "Fluid's defaults", spec: "fuse: {args: [-okernel_cache, -oro, -oattr_timeout=7200, -oentry_timeout=7200, -onegative_timeout=7200]}"},
		{name: "fractions", spec: "fuse: {args: ['-oattr_timeout=0.5,entry_timeout=0']}"},
		{name: "two words", spec: "fuse: {args: [-o, 'uid=1000,gid=1000']}"},
		{name: "no time", spec: "fuse: {args: [-oattr_timeout=soon]}", want: []string{`spec.fuse.args: Invalid value: "-oattr_timeout=soon"`}},
		{name: "a negative time", spec: "fuse: {args: [-oentry_timeout=-1]}", want: []string{`spec.fuse.args: Invalid value: "-oentry_timeout=-1"`}},
		{name: "NaN", spec: "fuse: {args: [-onegative_timeout=NaN]}", want: []string{`spec.fuse.args: Invalid value: "-onegative_timeout=NaN"`}},
		{name: "no id", spec: "fuse: {args: [-ouid=root]}", want: []string{`spec.fuse.args: Invalid value: "-ouid=root"`}},
		{name: "a negative id", spec: "fuse: {args: [-ogid=-1]}", want: []string{`spec.fuse.args: Invalid value: "-ogid=-1"`}},
		{name: "never replaced", spec: "fuse: {args: ['-oimmutable,uid=1000', '-o', immutable]}"},
		{name: "a value of immutable", spec: "fuse: {args: ['-ouid=7,immutable=no']}", want: []string{`spec.fuse.args: Invalid value: "-ouid=7,immutable=no"`}},
		{name: "nothing behind -o", spec: "fuse: {args: [-o]}", want: []string{`spec.fuse.args: Invalid value: "-o"`}},
	})
}

func TestParseFuseArgs(t *testing.T) {
	args, err := ParseFuseArgs([]string{"-o", "attr_timeout=1,ro", "-oattr_timeout=2.5", "-ogid=7", "--verbose", "-oallow_other", "-oentry_timeout=1e300", "-oread_timeout=20"})
	if err != nil {
		t.Fatal(err)
	}
	if args.AttrTimeout == nil || args.AttrTimeout.String() != "2.5s" {
		t.Errorf("AttrTimeout is %v, want that of the last argument", args.AttrTimeout)
	}
	if args.EntryTimeout == nil || *args.EntryTimeout != maxTimeout {
		t.Errorf("EntryTimeout is %v, want the maximum for a larger value", args.EntryTimeout)
	}
	if args.ReadTimeout == nil || *args.ReadTimeout != 20*time.Second {
		t.Errorf("ReadTimeout is %v", args.ReadTimeout)
	}
	for _, arg := range []string{"-oread_timeout=0", "-oread_timeout=soon"} {
		if _, err := ParseFuseArgs([]string{arg}); err == nil || !strings.Contains(err.Error(), "write -oread_timeout=60") {
			t.Errorf("%s: %v", arg, err)
		}
	}
	if immutable, err := ParseFuseArgs([]string{"-oro,immutable"}); err != nil || !immutable.Immutable || args.Immutable {
		t.Errorf("-oimmutable: %v, without it %v, error %v", immutable.Immutable, args.Immutable, err)
	}
	if _, err := ParseFuseArgs([]string{"-oimmutable=false"}); err == nil || !strings.Contains(err.Error(), "write -oimmutable, or omit") {
		t.Errorf("-oimmutable=false: %v", err)
	}
	if args.NegativeTimeout != nil || args.UID != nil || args.GID == nil || *args.GID != 7 || !args.ReadOnly {
		t.Errorf("got %+v", args)
	}
	if want := []string{"--verbose", "-oallow_other"}; !slices.Equal(args.Ignored, want) {
		t.Errorf("Ignored is %v, want %v", args.Ignored, want)
	}
}

func TestWorkersWarnings(t *testing.T) {
	object := decodeOne(t, manifest(JindoRuntimeKind, "", "{worker: {replicas: 2, ports: {rpc: 1}}, fuse: {args: [-oauto_cache]}, master: {labels: {a: b}}}"))
	_, warnings := Validate(object)
	got := strings.Join(warnings, "\n")
	for _, want := range []string{
		"spec.worker.replicas: has no effect: write spec.replicas",
		"spec.worker.ports: has no effect",
		`spec.fuse.args: "-oauto_cache" has no effect`,
		"spec.master.labels: deprecated: write podMetadata.labels",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no warning %q in\n%s", want, got)
		}
	}
}

func TestUnsupportedFieldsAreWarnedOf(t *testing.T) {
	for spec, want := range map[string]string{
		"networkmode: HostNetwork":                             "spec.networkmode: HostNetwork is not supported yet",
		"networkmode: ContainerNetwork":                        "",
		"{master: {disabled: true}, worker: {disabled: true}}": "spec.worker.disabled: " + FuseOnlyUnsupported,
		"fuse: {cleanPolicy: OnFuseChanged}":                   "spec.fuse.cleanPolicy: OnFuseChanged has the effect of OnRuntimeDeleted",
		"fuse: {cleanPolicy: OnDemand}":                        "",
		"{worker: {resources: {limits: {memory: 1Gi}}}, tieredstore: {levels: [{mediumtype: MEM, quota: 10Gi}]}}":                         "spec.worker.resources.limits[memory]: 1Gi is less than the 10Gi of tiers in memory: the limit is one of the process alone, and pods get the sum of both, 11Gi",
		"{worker: {resources: {limits: {memory: 1Gi}}}, tieredstore: {levels: [{mediumtype: MEM, path: '/a,/b', quotaList: '1Gi,1Mi'}]}}": "less than the 1025Mi of tiers in memory",
		"{worker: {resources: {limits: {memory: 10Gi}}}, tieredstore: {levels: [{mediumtype: MEM, quota: 10Gi}]}}":                        "",
		"{worker: {resources: {requests: {memory: 1Gi}}}, tieredstore: {levels: [{mediumtype: MEM, quota: 10Gi}]}}":                       "",
	} {
		errs, warnings := Validate(decodeOne(t, manifest(JindoRuntimeKind, "", spec)))
		got := strings.Join(warnings, "\n")
		if len(errs) > 0 || (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: errors %v, warnings %q, want %q", spec, errs, got, want)
		}
	}
	_, warnings := Validate(decodeOne(t, manifest(DataLoadKind, "", "dataset: {name: hbase}")))
	if !strings.Contains(strings.Join(warnings, "\n"), DataLoadUnsupported) {
		t.Errorf("a DataLoad: warnings %q", warnings)
	}
}
