package plan

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// EffectiveVersion is the version of the effective specs that this package writes and
// reads.
const EffectiveVersion = 1

// ErrNewer is the error of an effective spec of a newer version.
var ErrNewer = errors.New("it was written by a newer version of the controller")

// Declared is what users have declared, and what the controller would use for it.
type Declared struct {
	// Runtime is valid and has its defaults.
	Runtime *v1alpha1.JindoRuntime
	// Dataset is the Dataset that the runtime serves, valid and with its defaults;
	// nil if it serves none.
	Dataset *v1alpha1.Dataset
	// DatasetInvalid reports that there is such a Dataset and that it is not valid.
	DatasetInvalid bool
	// Images are the images that new pods would get.
	Images v1alpha1.RuntimeImages
	// Renderer is the image of the controller.
	Renderer string
	// Updates is the value of [v1alpha1.UpdatesAnnotation].
	Updates string
	// Secret is the name of the Secret of the runtime's credentials, and SecretKey
	// the key in it of an option of a mount.
	Secret    string
	SecretKey func(mount, option string) string
}

// Progress is what has been carried out of the current effective spec. It determines
// which changes can be carried out now.
type Progress struct {
	// Started reports that pods may exist.
	Started bool
	// Masters is what is known of the masters.
	Masters MastersProgress
	// Mounted reports that the mounts of the Dataset have been created.
	Mounted bool
	// Worked reports whether the store of the mount at a path has been available,
	// so that files of it may be open.
	Worked func(path string) bool
	// Users returns a message that names the pods that use the Dataset, "" if none
	// does. It is called only if files may disappear that pods use.
	Users func(dataset string) (string, error)
	// RefInUse reports whether masters or workers may use credentials.
	RefInUse func(secretRef string) bool
}

// Next returns the effective spec that follows current, which may be nil, and a message
// for each declared change that it does not contain. It returns current itself if
// nothing changes. Next does not modify its arguments.
func Next(current *v1alpha1.EffectiveSpec, d Declared, p Progress) (*v1alpha1.EffectiveSpec, []string, error) {
	next := &v1alpha1.EffectiveSpec{
		Version: EffectiveVersion, Revision: 1, Runtime: *d.Runtime.Spec.DeepCopy(), Dataset: d.recordDataset(),
		Images: d.Images, Renderer: d.Renderer,
	}
	if current == nil {
		return next, nil, nil
	}
	next.Revision = current.Revision
	var kept []string
	if p.Started {
		kept = append(nextMasters(current, next, p.Masters), keepFixed(current.Runtime, &next.Runtime)...)
	}
	more, err := keepDataset(current.Dataset, next, d, p)
	if err != nil {
		return nil, nil, err
	}
	kept = append(kept, more...)
	if p.Started {
		keepRenderer(current, next, d)
	}
	if equality.Semantic.DeepEqual(current, next) {
		return current, kept, nil
	}
	next.Revision++
	return next, kept, nil
}

// Restore returns the runtime and the Dataset, nil if none, that an effective spec of a
// runtime stands for. [Build] validates them. It returns an error that wraps [ErrNewer]
// for a version that it does not know.
func Restore(e *v1alpha1.EffectiveSpec, of *v1alpha1.JindoRuntime) (*v1alpha1.JindoRuntime, *v1alpha1.Dataset, error) {
	if e.Version != EffectiveVersion {
		return nil, nil, fmt.Errorf("read effective spec of version %d: %w", e.Version, ErrNewer)
	}
	runtime := &v1alpha1.JindoRuntime{TypeMeta: of.TypeMeta, ObjectMeta: *of.ObjectMeta.DeepCopy(), Spec: *e.Runtime.DeepCopy()}
	if e.Dataset == nil {
		return runtime, nil, nil
	}
	runtime.Annotations = maps.Clone(of.Annotations)
	if runtime.Annotations == nil {
		runtime.Annotations = map[string]string{}
	}
	runtime.Annotations[v1alpha1.DatasetAnnotation] = e.Dataset.Name
	dataset := &v1alpha1.Dataset{
		ObjectMeta: metav1.ObjectMeta{Namespace: of.Namespace, Name: e.Dataset.Name}, Spec: *e.Dataset.Spec.DeepCopy(),
	}
	return runtime, dataset, nil
}

// keepFixed replaces the fields of a spec that cannot be changed while pods exist by
// those of the current one, and returns a message for each change.
func keepFixed(current v1alpha1.JindoRuntimeSpec, next *v1alpha1.JindoRuntimeSpec) []string {
	current = *current.DeepCopy()
	var kept []string
	for _, refused := range fixedEdits(current, *next) {
		kept = append(kept, refused.Field+" is unchanged: "+refused.String())
	}
	next.Master.StorageClassName, next.Master.Disabled = current.Master.StorageClassName, current.Master.Disabled
	if MasterTier(current) != MasterTier(*next) {
		next.TieredStore = current.TieredStore
	}
	next.Worker.Disabled, next.Fuse.Disabled = current.Worker.Disabled, current.Fuse.Disabled
	return kept
}

// MasterTier returns the path of nodes below which the masters' volumes are: that of the
// first level that is a directory of nodes. It is empty if they are of a storage class.
func MasterTier(spec v1alpha1.JindoRuntimeSpec) string {
	if spec.Master.Disabled || spec.Master.StorageClassName != nil {
		return ""
	}
	for _, level := range spec.TieredStore.Levels {
		if paths := level.Paths(); level.OnNode() && len(paths) > 0 {
			return paths[0]
		}
	}
	return ""
}

func replicasOf(masters v1alpha1.JindoCompTemplateSpec) int32 {
	if masters.Replicas == nil {
		return 1
	}
	return *masters.Replicas
}

// keepRenderer keeps images and templates of the current effective spec if the
// controller was replaced and nothing requests new pods.
func keepRenderer(current, next *v1alpha1.EffectiveSpec, d Declared) {
	if current.Renderer == d.Renderer || d.Updates == v1alpha1.UpdatesAutomatic {
		return
	}
	if !equality.Semantic.DeepEqual(podFields(current), podFields(next)) || namesOtherImage(current, d) {
		return
	}
	next.Images, next.Renderer = current.Images, current.Renderer
}

// podFields returns the fields of an effective spec that pod templates contain.
func podFields(e *v1alpha1.EffectiveSpec) v1alpha1.EffectiveSpec {
	fields := v1alpha1.EffectiveSpec{Runtime: *e.Runtime.DeepCopy()}
	fields.Runtime.Replicas, fields.Runtime.Secret, fields.Runtime.NetworkMode = nil, "", ""
	fields.Runtime.Master.Snapshots = nil // in the topology, which pods read again
	if e.Dataset != nil {
		dataset := e.Dataset.Spec.DeepCopy()
		dataset.Mounts = nil
		fields.Dataset = &v1alpha1.EffectiveDataset{Spec: *dataset}
	}
	return fields
}

// ReplacesPods reports whether the pod templates of two effective specs may differ.
func ReplacesPods(a, b *v1alpha1.EffectiveSpec) bool {
	return a.Images != b.Images || a.Renderer != b.Renderer || !equality.Semantic.DeepEqual(podFields(a), podFields(b))
}

// namesOtherImage reports whether the declared spec names an image that is not in use.
func namesOtherImage(current *v1alpha1.EffectiveSpec, d Declared) bool {
	version, fuse := d.Runtime.Spec.JindoVersion, d.Runtime.Spec.Fuse
	return cmp.Or(version.Image, version.ImageTag) != "" && current.Images.Jindo != d.Images.Jindo ||
		cmp.Or(fuse.Image, fuse.ImageTag) != "" && current.Images.Fuse != d.Images.Fuse
}

// recordDataset returns the declared Dataset as it is recorded.
func (d *Declared) recordDataset() *v1alpha1.EffectiveDataset {
	if d.Dataset == nil {
		return nil
	}
	spec := d.Dataset.Spec.DeepCopy()
	for i := range spec.Mounts {
		spec.Mounts[i].Options, spec.Mounts[i].EncryptOptions = d.recordOptions(spec, spec.Mounts[i])
	}
	spec.SharedOptions, spec.SharedEncryptOptions, spec.Runtimes, spec.DataRestoreLocation = nil, nil, nil, nil
	return &v1alpha1.EffectiveDataset{Name: d.Dataset.Name, Spec: *spec}
}

// recordOptions returns the options of a mount without credentials in plain text.
func (d *Declared) recordOptions(spec *v1alpha1.DatasetSpec, m v1alpha1.Mount) (map[string]string, []v1alpha1.EncryptOption) {
	options := spec.EffectiveOptions(m)
	var plain map[string]string
	var encrypted []v1alpha1.EncryptOption
	for _, name := range slices.Sorted(maps.Keys(options)) {
		value := options[name]
		switch {
		case v1alpha1.ForeignOption(name, v1alpha1.Scheme(m.MountPoint)):
		case value.Secret != nil:
			encrypted = append(encrypted, encryptOption(name, *value.Secret))
		case v1alpha1.SecretOption(name):
			encrypted = append(encrypted, encryptOption(name, v1alpha1.SecretKeySelector{Name: d.Secret, Key: d.SecretKey(m.Name, name)}))
		default:
			if plain == nil {
				plain = map[string]string{}
			}
			plain[name] = value.Text
		}
	}
	return plain, encrypted
}

func encryptOption(name string, ref v1alpha1.SecretKeySelector) v1alpha1.EncryptOption {
	return v1alpha1.EncryptOption{Name: name, ValueFrom: v1alpha1.EncryptOptionSource{SecretKeyRef: ref}}
}
