package health

// Reasons of the conditions that the controllers set. They are part of the API:
// a value never changes.
const (
	// Dataset.
	ReasonDatasetReady         = "DatasetReady"
	ReasonDatasetFailedToSetup = "DatasetFailedToSetup"
	ReasonSpecInvalid          = "SpecInvalid"
	ReasonMountsNotReady       = "MountsNotReady"
	ReasonRuntimeNotReady      = "RuntimeNotReady"
	ReasonVolumeConflict       = "VolumeConflict"
	ReasonVolumeNotBound       = "VolumeNotBound"
	ReasonNotSupportedYet      = "NotSupportedYet"
	ReasonPodsMountIt          = "PodsMountIt"

	// Dataset and JindoRuntime.
	ReasonValid            = "Valid"
	ReasonNotBound         = "NotBound"
	ReasonMountUnsupported = "MountUnsupported"

	// JindoRuntime.
	ReasonReady          = "Ready"
	ReasonNotReady       = "NotReady"
	ReasonPartialReady   = "PartialReady"
	ReasonComingUp       = "ComingUp"
	ReasonInvalidSpec    = "InvalidSpec"
	ReasonFailed         = "Failed"
	ReasonDeleting       = "Deleting"
	ReasonBound          = "Bound"
	ReasonDatasetInvalid = "DatasetInvalid"
	ReasonDatasetClaimed = "DatasetClaimed"
	ReasonMade           = "Made"
	ReasonSecretMissing  = "SecretMissing"
	ReasonStoreRefuses   = "StoreRefuses"
	// ReasonSomeStoresRefuse is that of a runtime whose other mounts are served.
	ReasonSomeStoresRefuse = "SomeStoresRefuse"
	ReasonMounted          = "Mounted"
	ReasonMountsPending    = "MountsPending"
	ReasonSpecEdited       = "SpecEdited"
	ReasonOlderTemplate    = "OlderTemplate"
	ReasonUpdating         = "ReplacingPods"
	ReasonUpdatesPaused    = "UpdatesPaused"
	ReasonFirstPodFailed   = "FirstPodFailed"
	ReasonLaterPodFailed   = "LaterPodFailed"
	ReasonTooFewNodes      = "TooFewNodes"
	ReasonUnschedulable    = "Unschedulable"
	ReasonPodSecurity      = "PodSecurity"
	ReasonHostPathRefused  = "HostPathRefused"
	ReasonScheduleUnmet    = "ScheduleUnmet"
	ReasonDeletionBlocked  = "DeletionBlocked"
	ReasonScaledOut        = "ScaledOut"
	ReasonScaledIn         = "ScaledIn"
)
