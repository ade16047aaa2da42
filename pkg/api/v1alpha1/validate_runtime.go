package v1alpha1

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (f *findings) runtime(spec *JindoRuntimeSpec) {
	path := field.NewPath("spec")
	f.masterReplicas(path.Child("master"), &spec.Master)
	f.snapshots(path.Child("master", "snapshots"), spec.Master.Snapshots)
	f.snapshots(path.Child("worker", "snapshots"), spec.Worker.Snapshots)
	f.workerReplicas(path, spec)
	f.disabled(path, spec)
	f.component(path.Child("master"), &spec.Master, spec)
	f.component(path.Child("worker"), &spec.Worker, spec)
	f.fuse(path.Child("fuse"), &spec.Fuse)
	f.tieredStore(path.Child("tieredstore", "levels"), spec.TieredStore)
	f.memoryTiers(path.Child("worker", "resources", "limits").Key("memory"), spec)
	f.labels(path, spec.Labels, spec.PodMetadata)
	f.pullPolicy(path.Child("jindoVersion", "imagePullPolicy"), spec.JindoVersion.ImagePullPolicy)
	f.user(path.Child("runAs"), spec.RunAs)
	f.secretName(path.Child("secret"), spec.Secret, false)
	f.secretName(path.Child("hadoopConfig"), spec.HadoopConfig, false)
	oneOf(f, path.Child("networkmode"), spec.NetworkMode, ContainerNetworkMode, HostNetworkMode, DefaultNetworkMode)
	for _, u := range spec.NotSupportedYet() {
		f.warnings = append(f.warnings, u.Path+": "+u.Message)
	}
	f.notNegative(path.Child("cleanCachePolicy", "gracePeriodSeconds"), spec.CleanCachePolicy.GracePeriodSeconds)
	f.notNegative(path.Child("cleanCachePolicy", "maxRetryAttempts"), spec.CleanCachePolicy.MaxRetryAttempts)
}

// masterReplicas allows 1 and 3 masters. Of 2 masters both are required for a
// quorum, and more than 3 have no benefit for the small replicated state.
func (f *findings) masterReplicas(path *field.Path, master *JindoCompTemplateSpec) {
	if n := master.Replicas; n != nil && *n != 1 && *n != 3 {
		f.invalid(path.Child("replicas"), *n, "must be 1 or 3: write 3 so that one master may fail, or 1, or omit it for 1")
	}
}

// MaxWorkers is the maximum number of workers of one runtime. A Secret holds a
// certificate for each of them, and the size of a Secret is limited to 1 MiB.
const MaxWorkers = 500

func (f *findings) workerReplicas(path *field.Path, spec *JindoRuntimeSpec) {
	if n := spec.Replicas; n != nil && *n < 1 {
		f.invalid(path.Child("replicas"), *n, "not a valid number of workers: write 1 or more, or write worker.disabled: true and master.disabled: true for mounts without a cache")
	}
	if n := spec.Replicas; n != nil && *n > MaxWorkers {
		f.invalid(path.Child("replicas"), *n, "more workers than one runtime may have: write 500 or fewer, with larger quotas, or create several runtimes")
	}
	if n := spec.Worker.Replicas; n != nil && *n < 1 {
		f.invalid(path.Child("worker", "replicas"), *n, "not a valid number of workers: omit it and write spec.replicas")
	}
}

// disabled checks that masters and workers are disabled together.
func (f *findings) disabled(path *field.Path, spec *JindoRuntimeSpec) {
	if spec.Master.Disabled != spec.Worker.Disabled {
		on, off := "worker", "master"
		if spec.Worker.Disabled {
			on, off = off, on
		}
		f.invalid(path.Child(off, "disabled"), true, "leaves the %ss without %ss: write %s.disabled: true too, for mounts that read the store directly, or omit both", on, off, on)
	}
	if spec.Master.Disabled && spec.Worker.Disabled && spec.Fuse.Disabled {
		f.invalid(path.Child("fuse", "disabled"), true, "leaves no component enabled: omit it, or delete the runtime")
	}
}

func (f *findings) component(path *field.Path, c *JindoCompTemplateSpec, spec *JindoRuntimeSpec) {
	f.labels(path, c.Labels, c.PodMetadata)
	f.env(path.Child("env"), c.Env)
	if len(c.VolumeMounts) > MaxVolumeMounts {
		f.errs = append(f.errs, field.TooMany(path.Child("volumeMounts"), len(c.VolumeMounts), MaxVolumeMounts))
		return
	}
	for i, mount := range c.VolumeMounts {
		known := false
		for _, volume := range spec.Volumes {
			known = known || volume.Name == mount.Name
		}
		if known && ReservedVolume(mount.Name) {
			f.invalid(path.Child("volumeMounts").Index(i).Child("name"), mount.Name, "reserved for a volume of the component: give the volume of spec.volumes another name")
		}
		if !known {
			f.invalid(path.Child("volumeMounts").Index(i).Child("name"), mount.Name, "volume not found: write the name of a volume of spec.volumes, or add it there")
		}
	}
}

// MaxVolumeMounts is the maximum number of volumeMounts of one component.
const MaxVolumeMounts = 256

// ReservedVolume reports whether a volume of that name belongs to a component itself. A
// mount of such a name would show that volume, such as the one with the credentials of
// the stores, and not the one that spec.volumes declares.
func ReservedVolume(name string) bool {
	return strings.HasPrefix(name, "tier-") || slices.Contains([]string{"config", "tls", "data", "credentials", "sockets", "session"}, name)
}

func (f *findings) fuse(path *field.Path, fuse *JindoFuseSpec) {
	f.labels(path, fuse.Labels, fuse.PodMetadata)
	f.env(path.Child("env"), fuse.Env)
	f.pullPolicy(path.Child("imagePullPolicy"), fuse.ImagePullPolicy)
	oneOf(f, path.Child("cleanPolicy"), fuse.CleanPolicy, OnRuntimeDeletedCleanPolicy, OnDemandCleanPolicy, OnFuseChangedCleanPolicy, "")
	if fuse.CleanPolicy == OnFuseChangedCleanPolicy {
		f.warn(path.Child("cleanPolicy"), "OnFuseChanged has the effect of OnRuntimeDeleted: a FUSE server that changes takes over the mount, so that there is nothing to clean")
	}
	args, err := ParseFuseArgs(fuse.Args)
	if err != nil {
		f.invalid(path.Child("args"), strings.Join(fuse.Args, " "), "%v", err)
	}
	for _, ignored := range args.Ignored {
		f.warn(path.Child("args"), "%q has no effect: the supported options are attr_timeout, entry_timeout, negative_timeout, read_timeout, immutable, uid, gid and ro", ignored)
	}
	for _, target := range strings.Split(fuse.Metrics.ScrapeTarget, ",") {
		if target = strings.TrimSpace(target); !slices.Contains([]string{"", "MountPod", "Sidecar", "All", "None"}, target) {
			f.invalid(path.Child("metrics", "scrapeTarget"), target, "unsupported scrape target: write MountPod, Sidecar, All or None, with commas between several")
		}
	}
}

func (f *findings) notNegative(path *field.Path, n *int32) {
	if n != nil && *n < 0 {
		f.invalid(path, *n, "must not be negative: write 0 or more, or omit it")
	}
}
