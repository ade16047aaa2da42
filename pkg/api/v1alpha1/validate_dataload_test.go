package v1alpha1

import "testing"

func TestDataLoads(t *testing.T) {
	load := func(more string) string { return "dataset: {name: hbase}\n" + more }
	checkRules(t, DataLoadKind, []rule{
		{name: "all of a Dataset", spec: load("")},
		{name: "paths", spec: load("target: [{path: /a, replicas: 2}, {path: '/b c:d'}]")},
		{name: "directories with a slash behind them", spec: load("target: [{path: /}, {path: /a/}]")},
		{name: "two slashes", spec: load("target: [{path: /a//}]"), want: []string{`spec.target[0].path: Invalid value: "/a/"`}},
		{name: "a directory with a slash and without", spec: load("target: [{path: /a}, {path: /a/}]"), want: []string{`spec.target[1].path: Invalid value: "/a/"`}},
		{name: "no Dataset", spec: "{}", want: []string{"spec.dataset.name: Required value"}},
		{name: "no name of a Dataset", spec: "dataset: {name: H}", want: []string{`spec.dataset.name: Invalid value: "H"`}},
		{name: "its own namespace", spec: "dataset: {name: hbase, namespace: default}"},
		{name: "another namespace", spec: "dataset: {name: hbase, namespace: other}", want: []string{`spec.dataset.namespace: Invalid value: "other": not the namespace of the DataLoad: write default`}},
		{name: "a relative path", spec: load("target: [{path: a}]"), want: []string{`spec.target[0].path: Invalid value: "a"`}},
		{name: "a path twice", spec: load("target: [{path: /a}, {path: /a}]"), want: []string{`spec.target[1].path: Invalid value: "/a"`}},
		{name: "no replicas", spec: load("target: [{path: /a, replicas: 0}]"), want: []string{"spec.target[0].replicas: Invalid value: 0"}},
		{name: "options", spec: load("options: {loadMemorydata: 'true', atomicCache: 'false', threadNum: '10', filter: '*.log'}")},
		{name: "no boolean", spec: load("options: {dryrun: maybe}"), want: []string{`spec.options[dryrun]: Invalid value: "maybe"`}},
		{name: "no number", spec: load("options: {cacheThread: '0'}"), want: []string{`spec.options[cacheThread]: Invalid value: "0"`}},
		{name: "an unknown option", spec: load("options: {speed: high}")},
		{name: "once", spec: load("policy: Once")},
		{name: "on an event", spec: load("policy: OnEvent")},
		{name: "another policy", spec: load("policy: Twice"), want: []string{`spec.policy: Invalid value: "Twice"`}},
		{name: "by a schedule", spec: load("policy: Cron\nschedule: '*/5 0-6,22 1 jan-mar MON'")},
		{name: "by a nickname", spec: load("policy: Cron\nschedule: '@daily'")},
		{name: "without a schedule", spec: load("policy: Cron"), want: []string{"spec.schedule: Required value"}},
		{name: "a schedule without the policy", spec: load("schedule: '0 3 * * *'"), want: []string{`spec.schedule: Invalid value: "0 3 * * *": has no effect without the policy Cron`}},
		{name: "four fields", spec: load("policy: Cron\nschedule: '0 3 * *'"), want: []string{`spec.schedule: Invalid value: "0 3 * *"`}},
		{name: "hour 24", spec: load("policy: Cron\nschedule: '0 24 * * *'"), want: []string{`spec.schedule: Invalid value: "0 24 * * *"`}},
		{name: "step 0", spec: load("policy: Cron\nschedule: '*/0 1 * * *'"), want: []string{`spec.schedule: Invalid value: "*/0 1 * * *"`}},
		{name: "backwards", spec: load("policy: Cron\nschedule: '9-5 1 * * *'"), want: []string{`spec.schedule: Invalid value: "9-5 1 * * *"`}},
		{name: "after another", spec: load("runAfter: {kind: DataLoad, name: a, affinityStrategy: {policy: Prefer, prefers: [{name: z, weight: 1}]}}")},
		{name: "after something else", spec: load("runAfter: {kind: Pod, name: ''}"), want: []string{`spec.runAfter.kind: Invalid value: "Pod"`, "spec.runAfter.name: Required value"}},
		{name: "kept for a while", spec: load("ttlSecondsAfterFinished: 0")},
		{name: "kept below zero", spec: load("ttlSecondsAfterFinished: -1"), want: []string{"spec.ttlSecondsAfterFinished: Invalid value: -1"}},
	})
}
