package fault

import (
	"errors"
	"io/fs"
	"net/http"
	"syscall"
	"time"

	"github.com/jindo-io/jindo/test/ossserver"
)

// row is one fault and its effect on readers. Wrong bytes are never allowed.
type row struct {
	// name of the fault. It is also the directory of the files that are first
	// read in this row.
	name string
	// expected is the effect on readers, for the document.
	expected string
	// allowed reports whether reads may fail with an error; nil means none.
	allowed func(error) bool
	// inject injects the fault, waits while readers continue, and repairs it.
	inject func(*breaking) error
}

// rows returns the rows in the order in which they run. Those that kill processes are
// first, so that the faults of the store affect a system that was restarted.
func rows() []row {
	return []row{
		{"leader killed", "nothing", nil, leaderKilled},
		{"leader stopped", "nothing", nil, leaderStopped},
		{"flood and leader killed", "nothing; the flood holds silent connections to every port of masters and workers", nil, silentConnectionsAndLeaderKilled},
		{"follower returns after 20 s", "nothing", nil, followerReturns},
		{"older copy of a master's disk", "nothing; the master joins as a new one", nil, olderCopy},
		{"master disk full", "nothing; the master accepts no commands until it has space, the others do", nil, masterDiskFull},
		{"masters and fuse killed", "a pause until a FUSE server, started without masters, has taken over", nil, mastersAndFuseKilled},
		{"master log flipped", "nothing; a master whose log has a flipped bit joins as a new one", nil, masterLogFlipped},
		{"worker killed", "nothing", nil, workerKilled},
		{"worker stopped", "some reads take until the deadline of one source, then continue", nil, workerStopped},
		{"worker down while stripes are read", "nothing; other workers serve the stripes that it owns", nil, workerDownWithStripes},
		{"workers killed", "a pause until a worker runs again", nil, workersKilled},
		{"fuse killed 20 times", "pauses; open handles and requests in flight continue", nil, fuseKilled},
		{"fuse killed with many files known", "pauses; every name and size remains as it was", nil, fuseKilledWithManyFiles},
		{"names that are not text", "nothing; unusual names are read like others, and absent ones do not exist", nil, hostileNames},
		{"worker disk full", "nothing; the worker stops caching", nil, workerDiskFull},
		{"cached files removed", "nothing; open files keep their bytes, also those that the kernel reads itself, and the others are fetched again", nil, cachedFilesRemoved},
		{"one of two tiers hangs", "reads of what is on that tier take until its deadline once, then continue", nil, tierHangs},
		{"object larger than the cache", "nothing", nil, largeObject},
		{"object replaced", "through a handle opened before: its own bytes or ESTALE; the next open after the listing is renewed: the new version", nil, objectReplaced},
		{"object deleted", "through a handle opened before: its own bytes or ESTALE; the name does not exist once the listing is renewed", nil, objectDeleted},
		{"store 403", "EACCES for what is not cached; cached files remain readable", isAny(fs.ErrPermission), store(ossserver.Fault{Status: http.StatusForbidden, Code: "AccessDenied"})},
		{"store 404", "ESTALE or ENOENT for what is not cached: the object was deleted; cached files remain readable", isAny(syscall.ESTALE, fs.ErrNotExist), store(ossserver.Fault{Status: http.StatusNotFound, Code: "NoSuchKey"})},
		{"store NoSuchBucket", "EIO immediately for uncached data; cached files remain readable", isAny(syscall.EIO), store(ossserver.Fault{Status: http.StatusNotFound, Code: "NoSuchBucket"})},
		{"store 412", "ESTALE for what is not cached: the version was replaced; cached files remain readable", isAny(syscall.ESTALE, fs.ErrNotExist), store(ossserver.Fault{Status: http.StatusPreconditionFailed, Code: "PreconditionFailed"})},
		{"store 429", "slow reads", nil, store(ossserver.Fault{Status: http.StatusTooManyRequests, Code: "TooManyRequests", RetryAfter: time.Second})},
		{"store 500", "slow reads", nil, store(ossserver.Fault{Status: http.StatusInternalServerError, Code: "InternalError"})},
		{"store 503", "slow reads", nil, store(ossserver.Fault{Status: http.StatusServiceUnavailable, Code: "ServiceUnavailable"})},
		{"store drops connections", "slow reads", nil, store(ossserver.Fault{Drop: true})},
		{"store truncates bodies", "slow reads", nil, store(ossserver.Fault{Cut: true, CutAfter: 1000})},
		{"store is slow", "slow reads", nil, store(ossserver.Fault{Delay: 500 * time.Millisecond, BytesPerSecond: 1 << 20})},
		{"150 readers wait for a store that hangs", "nothing for cached files; the readers wait until the store responds", nil, hungReaders},
		{"store hangs", "slow reads", nil, store(ossserver.Fault{Hang: true})},
		{"store sends other bytes", "slow reads; never those bytes", nil, store(ossserver.Fault{Shift: 1})},
		{"store sends weak tags", "nothing", nil, store(ossserver.Fault{WeakTags: true})},
		{"store lists without a token", "listings that are not cached wait for a complete one; no name is missing", nil, listsWithoutToken},
	}
}

func isAny(targets ...error) func(error) bool {
	return func(err error) bool {
		for _, target := range targets {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	}
}
