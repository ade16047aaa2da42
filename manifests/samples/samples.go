// Package samples holds manifests as people write them, for documents and
// programs that run them.
package samples

import _ "embed"

// The pair of the three-master walk-through: a Dataset called hbase, with
// places for an endpoint and credentials, and a JindoRuntime called hadoop that
// is bound to it by the annotation.
var (
	//go:embed dataset.yaml
	Dataset string
	//go:embed runtime.yaml
	Runtime string
)
