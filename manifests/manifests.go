// Package manifests contains the manifests to apply to a cluster, which kustomize
// renders from the directories here: the CRDs, which remain after an uninstall, and
// everything else.
package manifests

import _ "embed"

var (
	// CRDs is crds.yaml.
	//go:embed crds.yaml
	CRDs string
	// Install is install.yaml.
	//go:embed install.yaml
	Install string
	// Settings is settings.yaml, which contains all settings that differ between
	// clusters.
	//go:embed settings.yaml
	Settings string
)
