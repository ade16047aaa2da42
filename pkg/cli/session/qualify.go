package session

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// connectionFlags are the global flags that name a cluster and who reads it. The
// value of --token is a secret and is not repeated.
var connectionFlags = []string{"kubeconfig", "context", "cluster", "user", "server", "as"}

// connectionOf returns the connection flags that were given, as they are typed.
func connectionOf(cmd *cobra.Command) string {
	var given strings.Builder
	cmd.Root().PersistentFlags().VisitAll(func(flag *pflag.Flag) {
		if flag.Changed && slices.Contains(connectionFlags, flag.Name) {
			given.WriteString(" --" + flag.Name + "=" + quote(flag.Value.String()))
		}
	})
	return given.String()
}

// quote returns a word as a shell reads it.
func quote(word string) string {
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !strings.ContainsRune(plainLetters, r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

const plainLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+,="

// Suggest returns a suggested command with the flags of this one that name its
// cluster, so that it is read from the same cluster. A comment stays at the end.
func (s *Session) Suggest(command string) string {
	if s.connection == "" || !s.usesCluster(command) {
		return command
	}
	line, comment, found := strings.Cut(command, "   # ")
	if found {
		comment = "   # " + comment
	}
	return line + s.connection + comment
}

// usesCluster reports whether a suggested command reads a cluster.
func (s *Session) usesCluster(command string) bool {
	if strings.HasSuffix(command, " --help") || strings.Contains(command, " --local") || strings.HasPrefix(command, "kubectl config ") {
		return false
	}
	if rest, ours := strings.CutPrefix(command, s.Name+" "); ours {
		word, _, _ := strings.Cut(rest, " ")
		return word != "local" && word != "completion"
	}
	return strings.HasPrefix(command, "kubectl ")
}
