// Command kubectl-jindo is the kubectl plugin for Datasets and JindoRuntimes.
package main

import (
	"os"

	"github.com/jindo-io/jindo/pkg/cli/root"
)

func main() { os.Exit(root.Main()) }
