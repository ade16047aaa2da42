package jindocli

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// usageLines are the commands, each with the words that select it.
var usageLines = []string{
	"jindo jfs -metaStatus [-detail]       show the masters and the leader",
	"jindo jfs -report                     show capacity and use of the cache",
	"jindo fs -report                      show capacity and use of the cache",
	"jindo fs -ls [-R] [-h] [-d] PATH...   list directories",
	"jindo fs -stat [FORMAT] PATH...       show attributes",
	"jindo fs -cat PATH...                 print files",
	"jindo fs -get [-f] SOURCE [TARGET]    copy to this machine",
	"jindo fs -count [-h] PATH...          print DIRS FILES BYTES PATH",
	"jindo fs -du [-s] [-h] PATH...        print the bytes below",
	"jindo fs -test -e|-d|-f|-z PATH       exit with 0 if the test holds, with 1 if not",
	"jindo admin -report                   show capacity and use of the cache",
	"jindo admin -mount                    list the mounts",
	"jindo admin -mount PATH STORE-URI     mount a store [-o KEY=VALUE]... [-secret NAME] [-ro]",
	"jindo admin -umount|-unmount PATH     remove a mount",
	"jindo admin -refresh PATH             discard cached names of a mount",
	"jindo cache                           the commands of admin; jindocache is the same",
	"jindo raft -verify                    compare the logs and states of the masters",
	"jindo raft -removePeer MEMBER         remove a member that is lost for good",
	"jindo raft -recover MASTER [-yes]     continue with one master when a majority is lost",
	"jindo raft -saveSnapshot FILE [MASTER]   save the state of the masters",
	"jindo raft -inspectSnapshot FILE      verify a snapshot and show what it holds",
	"jindo raft -redactSnapshot FILE OUT   replace the names in a snapshot, for diagnosis by others",
	"jindo raft -restoreSnapshot FILE MASTER [-intoNewCluster]",
	"                                      start masters without state from a snapshot",
	"jindo -version                        print the version",
}

const usageSettings = `
PATH is jindo:///path or /path.

Settings, before the command:
  --roster FILE       members of the cluster: JINDO_ROSTER, else
                      /etc/jindo/roster.json, else that of the only runtime on
                      this machine
  --tls-dir DIR       directory of the certificate: JINDO_TLS_DIR, else
                      /etc/jindo/tls, else that of the same runtime
  --timeout DURATION  limit of a command that moves no data (default 30s)
`

// helpTopic returns the command that args begin with, "" for all commands.
func helpTopic(program string, args []string) string {
	if filepath.Base(program) == nameCache {
		return "admin"
	}
	if len(args) == 0 {
		return ""
	}
	switch args[0] {
	case "jfs", "fs", "admin", "raft":
		return args[0]
	case "cache":
		return "admin"
	}
	return ""
}

// helpName returns the words to which --help can be added.
func helpName(program string, args []string) string {
	if filepath.Base(program) == nameCache {
		return nameCache
	}
	if topic := helpTopic(program, args); topic != "" {
		return nameJindo + " " + args[0]
	}
	return nameJindo
}

// printHelp prints the usage of the command that args name, or of all commands.
func printHelp(w io.Writer, program string, args []string) error {
	topic := helpTopic(program, args)
	var out strings.Builder
	fmt.Fprintf(&out, "Usage: %s [SETTINGS] COMMAND\n", nameJindo)
	for _, line := range usageLines {
		if topic == "" || strings.HasPrefix(line, nameJindo+" "+topic+" ") {
			fmt.Fprintf(&out, "  %s\n", line)
		}
	}
	out.WriteString(usageSettings)
	if _, err := io.WriteString(w, out.String()); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}
