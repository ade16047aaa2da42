// Package admission has no code: its tests have a kube-apiserver ask the webhook,
// with the configurations and the policy of the manifests. They need
// KUBEBUILDER_ASSETS, which `make kube-test` sets.
package admission
