// Package admission contains tests in which a kube-apiserver calls the webhook, with
// the webhook configurations and the policy of the manifests. They require
// KUBEBUILDER_ASSETS, which `make kube-test` sets.
package admission
