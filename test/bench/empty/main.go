// Command empty is a kubectl plugin with kubectl's flags that does nothing: the
// baseline of the row plugin of test/bench.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

func main() {
	cmd := &cobra.Command{Use: "empty", Short: "Do nothing", SilenceUsage: true}
	genericclioptions.NewConfigFlags(true).AddFlags(cmd.PersistentFlags())
	version := &cobra.Command{Use: "version", Short: "Print a version", Run: func(cmd *cobra.Command, _ []string) {
		fmt.Fprintln(cmd.OutOrStdout(), "v0.0.0")
	}}
	version.Flags().Bool("client", false, "do not contact a cluster")
	cmd.AddCommand(version)
	if err := cmd.Execute(); err != nil {
		os.Exit(1)
	}
}
