package v1alpha1

// Unsupported is a part of a spec that is accepted, because Fluid accepts it, and that
// does not work yet.
type Unsupported struct {
	// Path of the field.
	Path string
	// Message says what happens instead, and what to write if it is to work.
	Message string
}

// NotSupportedYet returns what of a runtime's spec does not work yet. Fields that have no
// effect, and on which nothing depends, are those of [FieldsWithoutEffect].
func (s *JindoRuntimeSpec) NotSupportedYet() []Unsupported {
	var all []Unsupported
	if s.NetworkMode == HostNetworkMode {
		all = append(all, Unsupported{"spec.networkmode", "HostNetwork is not supported yet: pods have a network of their own, as with ContainerNetwork"})
	}
	if s.Master.Disabled && s.Worker.Disabled {
		all = append(all, Unsupported{"spec.worker.disabled", FuseOnlyUnsupported})
	}
	return all
}

// FuseOnlyUnsupported is the message about a runtime without masters and workers.
const FuseOnlyUnsupported = "mounts without masters and workers are not supported yet: nothing is mounted; omit master.disabled and worker.disabled, and create the runtime again"

// DataLoadUnsupported is the message about a DataLoad of a Dataset that a JindoRuntime
// serves.
const DataLoadUnsupported = "preloading is not supported yet: nothing is loaded, and files are cached when they are read"
