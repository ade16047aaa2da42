// Package v1alpha1 defines the kinds Dataset, JindoRuntime and DataLoad of the API
// group data.fluid.io. Their JSON fields are compatible with those of Fluid's
// JindoRuntime.
//
// The same rules apply in the command line, the admission webhook and the
// reconcilers, and all of them use this package:
//
//   - [Decode] decodes manifests strictly: an unknown field is an error.
//   - [SetDefaults] sets the fields that were omitted. It never changes a field
//     that is set, and it is idempotent.
//   - [Validate] returns errors for objects that cannot work, each with the field,
//     the value and what to write instead, and warnings about fields that are
//     accepted and have no effect. It never panics and never repeats a credential.
//     [ValidateUnclaimed] does the same for a Dataset that may belong to another
//     runtime of Fluid, and returns warnings only.
//   - [FieldsWithoutEffect] lists the fields that are accepted for compatibility
//     and have no effect. docs/reference/fields.md is generated from it.
//
// Quotas and watermarks keep the text that was written, so that messages can
// repeat it.
//
// +kubebuilder:object:generate=true
// +groupName=data.fluid.io
package v1alpha1
