package session

import (
	"testing"

	"github.com/spf13/cobra"
)

func TestSuggest(t *testing.T) {
	s := &Session{Name: "kubectl jindo"}
	cmd := &cobra.Command{Use: "test", Run: func(cmd *cobra.Command, _ []string) { s.SetCommand(cmd) }}
	s.AddFlags(cmd.PersistentFlags())
	cmd.SetArgs([]string{"--context", "prod eu", "--kubeconfig=/tmp/config", "--token=secret", "-n", "vision"})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	const flags = " --context='prod eu' --kubeconfig=/tmp/config"
	for command, want := range map[string]string{
		"kubectl jindo status -A":                     "kubectl jindo status -A" + flags,
		"kubectl jindo check hbase   # explains more": "kubectl jindo check hbase" + flags + "   # explains more",
		"kubectl auth whoami":                         "kubectl auth whoami" + flags,
		"kubectl jindo get --help":                    "kubectl jindo get --help",
		"kubectl jindo local status":                  "kubectl jindo local status",
		"kubectl jindo raft status hbase --local":     "kubectl jindo raft status hbase --local",
		"kubectl config use-context test":             "kubectl config use-context test",
		"--dry-run=client":                            "--dry-run=client",
	} {
		if got := s.Suggest(command); got != want {
			t.Errorf("%s: got %s, want %s", command, got, want)
		}
	}
}
