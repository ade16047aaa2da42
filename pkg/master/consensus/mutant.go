//go:build mutant

package consensus

import "os"

// Broken variants, compiled in only under the build tag, which the directed
// tests must detect. JINDO_MUTANT selects one.
var (
	// mutantVerifyLeader lets a read succeed on the library's own check, which
	// a response to an older heartbeat satisfies.
	mutantVerifyLeader = os.Getenv("JINDO_MUTANT") == "verifyleader"
	// mutantAckEarly acknowledges a command before it is committed.
	mutantAckEarly = os.Getenv("JINDO_MUTANT") == "ackearly"
	// mutantOneMeta accepts a log of format 1 with one valid meta page, which may
	// have lost a transaction.
	mutantOneMeta = os.Getenv("JINDO_MUTANT") == "onemeta"
	// mutantIgnoreTail does not compare the disk with its tail record.
	mutantIgnoreTail = os.Getenv("JINDO_MUTANT") == "ignoretail"
	// mutantIgnoreEntrySum does not compare log entries with their checksums.
	mutantIgnoreEntrySum = os.Getenv("JINDO_MUTANT") == "ignoreentrysum"
	// mutantKeepID gives the id of a damaged directory to its replacement.
	mutantKeepID = os.Getenv("JINDO_MUTANT") == "keepid"
	// mutantReadyEarly takes a follower for caught up that nothing is replicated
	// to.
	mutantReadyEarly = os.Getenv("JINDO_MUTANT") == "readyearly"
	// mutantVoteUnproved lets a member vote before its peers have confirmed
	// that its disk is current.
	mutantVoteUnproved = os.Getenv("JINDO_MUTANT") == "voteunproved"
)
