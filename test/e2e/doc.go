// Package e2e tests the product on a real Kubernetes: the one that KUBECONFIG
// names, or the one of make cluster-up. Its tests do what people do, through
// kubectl and manifests, and break what can break.
//
// Files with the build tag full are left out of make test and run in
// make test-full.
package e2e
