// Package install has only tests, which install the manifests on a kube-apiserver
// and check validation, permissions and policies. They need KUBEBUILDER_ASSETS, which
// `make kube-test` sets.
package install
