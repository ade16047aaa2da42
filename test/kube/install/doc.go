// Package install has no code: its tests install the manifests on a
// kube-apiserver and hold it to what they promise. They need KUBEBUILDER_ASSETS,
// which `make kube-test` sets.
package install
