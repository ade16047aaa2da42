// Package e2e tests the product on a real Kubernetes cluster: the one of KUBECONFIG,
// or the one of make cluster-up. Its tests use kubectl and manifests, as users do,
// and inject failures.
//
// Files with the build tag full run in make test-full, and not in make test.
package e2e
