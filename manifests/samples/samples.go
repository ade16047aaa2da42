// Package samples contains example manifests for documents and tests.
package samples

import _ "embed"

// The manifests of the walk-through with three masters: a Dataset named hbase, with
// placeholders for an endpoint and credentials, and a JindoRuntime named hadoop,
// which is bound to it by an annotation.
var (
	//go:embed dataset.yaml
	Dataset string
	//go:embed runtime.yaml
	Runtime string
)
