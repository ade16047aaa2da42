// Package v1alpha1 holds the words in which people say what they want: the
// kinds Dataset, JindoRuntime and DataLoad of the API group data.fluid.io, with
// the JSON fields that users of Fluid's JindoRuntime already write.
//
// It is the one place that knows these rules, whoever applies them (a command
// on a laptop, an admission webhook, a reconciler):
//
//   - [Decode] reads manifests strictly: a field that is not known is refused,
//     not dropped.
//   - [SetDefaults] fills in what was left out. It never changes what was
//     written, and doing it twice is doing it once.
//   - [Validate] refuses what cannot work, each time naming the field, the value
//     and what to write instead, and warns of what is accepted but does nothing.
//     It never panics and never repeats a credential.
//   - [FieldsWithoutEffect] lists the fields that are accepted for
//     compatibility and do nothing yet; docs/reference/fields.md is made of it.
//
// Fields keep the text a person wrote where its form carries meaning (quotas,
// watermarks), so that every message can repeat it.
//
// +kubebuilder:object:generate=true
// +groupName=data.fluid.io
package v1alpha1
