package inject

import (
	"github.com/spf13/cobra"

	"github.com/jindo-io/jindo/pkg/cli/session"
)

func newExplain(s *session.Session) *cobra.Command {
	return &cobra.Command{Use: "explain", Hidden: true, RunE: func(*cobra.Command, []string) error { return nil }}
}
