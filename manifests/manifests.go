// Package manifests holds what people apply to a cluster, as kustomize renders
// it from the folders here: the CRDs, which outlive an uninstall, and the rest.
package manifests

import _ "embed"

var (
	// CRDs are crds.yaml.
	//go:embed crds.yaml
	CRDs string
	// Install is install.yaml.
	//go:embed install.yaml
	Install string
	// Settings is settings.yaml, the one place for what clusters differ in.
	//go:embed settings.yaml
	Settings string
)
