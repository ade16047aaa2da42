package v1alpha1

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// SetDefaults sets the defaults of a Dataset, JindoRuntime or DataLoad. Other
// objects, and fields that are set, do not change, so SetDefaults is idempotent.
func SetDefaults(object runtime.Object) {
	switch o := object.(type) {
	case *Dataset:
		defaultDataset(&o.Spec)
	case *JindoRuntime:
		defaultRuntime(&o.Spec)
	case *DataLoad:
		defaultDataLoad(&o.Spec)
	}
}

func defaultDataset(spec *DatasetSpec) {
	if len(spec.AccessModes) == 0 {
		spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany}
	}
	// A single mount without name and path is the whole tree, as in Fluid.
	if len(spec.Mounts) == 1 && spec.Mounts[0].Name == "" && spec.Mounts[0].Path == "" {
		spec.Mounts[0].Path = "/"
	}
	taken := map[string]bool{}
	for _, m := range spec.Mounts {
		taken[m.Name] = true
	}
	next := map[string]int{}
	for i := range spec.Mounts {
		m := &spec.Mounts[i]
		if m.Name == "" {
			m.Name = freeName(nameFromMountPoint(m.MountPoint), taken, next)
		}
		if m.Path == "" && mountName(m.Name) {
			m.Path = "/" + m.Name
		}
	}
}

// freeName returns the first of name, name-2, name-3 and so on that is not
// taken, and takes it. The map next holds the number to try next, by name, so that
// many mounts of one bucket take linear time.
func freeName(name string, taken map[string]bool, next map[string]int) string {
	free, n := name, max(next[name], 2)
	for ; taken[free]; n++ {
		free = fmt.Sprintf("%s-%d", name, n)
	}
	taken[free], next[name] = true, n
	return free
}

func defaultRuntime(spec *JindoRuntimeSpec) {
	if spec.Master.Replicas == nil {
		spec.Master.Replicas = new(int32(1))
	}
	if spec.Master.Snapshots != nil {
		defaultSnapshots(spec.Master.Snapshots)
	}
	if spec.Replicas == nil {
		spec.Replicas = new(int32(1))
	}
	if spec.Fuse.CleanPolicy == "" {
		spec.Fuse.CleanPolicy = OnRuntimeDeletedCleanPolicy
	}
	if len(spec.TieredStore.Levels) == 0 {
		spec.TieredStore.Levels = []Level{{
			MediumType: MediumMEM, Path: memoryPath, Quota: noTierQuota, High: noTierHigh, Low: noTierLow,
		}}
	}
	for i := range spec.TieredStore.Levels {
		defaultLevel(&spec.TieredStore.Levels[i])
	}
}

func defaultSnapshots(s *SnapshotSchedule) {
	if s.Prefix == "" {
		s.Prefix = "jindo-snapshots"
	}
	if s.Interval == "" {
		s.Interval = "1h"
	}
	if s.Keep == nil {
		s.Keep = new(int32(24))
	}
}

func defaultLevel(level *Level) {
	if level.VolumeType == "" {
		level.VolumeType = VolumeHostPath
	}
	if level.Path == "" && level.MediumType == MediumMEM {
		level.Path = memoryPath
	}
	if level.High == "" {
		level.High = DefaultHigh
	}
	if level.Low == "" {
		level.Low = DefaultLow
	}
}

func defaultDataLoad(spec *DataLoadSpec) {
	if spec.Policy == "" {
		spec.Policy = OncePolicy
	}
	if len(spec.Target) == 0 {
		spec.Target = []TargetPath{{Path: "/"}}
	}
	for i := range spec.Target {
		if spec.Target[i].Replicas == nil {
			spec.Target[i].Replicas = new(int32(1))
		}
	}
}
