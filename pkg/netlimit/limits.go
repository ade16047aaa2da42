package netlimit

import (
	"fmt"
	"time"
)

// Limits bounds the connections of one listener. Counts of 0 admit none, except
// that a listener without a handshake needs only the first four fields.
type Limits struct {
	// Pending is the maximum number of connections that are not authenticated,
	// apart from those in reserved slots. Half of them may be silent.
	Pending int
	// PerAddress is the share of Pending that one address may use. It does not
	// apply to reserved addresses, nor to loopback addresses, which all
	// processes of a machine share.
	PerAddress int
	// Reserved is the number of slots of each reserved address. All of them
	// together are at most Pending.
	Reserved int
	// Handshake is how long a connection may take to authenticate.
	Handshake time.Duration
	// Open is the maximum number of authenticated connections.
	Open int
	// PerOwner and PerOwnerAddress are the maximum numbers of authenticated
	// connections of one owner, and of one owner from one address.
	PerOwner, PerOwnerAddress int
	// Replace closes the owner's oldest connection for one beyond PerOwner or
	// PerOwnerAddress. Otherwise the newcomer is closed.
	Replace bool
}

// ownShare is the number of authenticated connections that each owner may have
// from a reserved address even when Open is reached.
const ownShare = 4

// minPending and minOpen are what a listener needs to be of use.
const (
	minPending = 32
	minOpen    = 64
)

// Files returns the number of files that a listener with these limits may have
// open.
func (l Limits) Files() int { return 2*l.Pending + l.Open + 1 }

// Fit lowers limits in proportion, so that their listeners and own, the files
// that the process needs for other purposes, fit into a number of files. It
// returns an error when too few remain for use.
func Fit(files, own int, limits ...*Limits) error {
	need, least := own, own
	for _, l := range limits {
		need += l.Files()
		least += 2*min(l.Pending, minPending) + min(l.Open, minOpen) + 1
	}
	if files >= need {
		return nil
	}
	if files < least {
		return fmt.Errorf("this process may open %d files, and needs %d: raise the limit of open files (ulimit -n, or LimitNOFILE of the container runtime)", files, least)
	}
	// share is what remains above the least, of what was asked above it.
	scale := func(value, lowest int) int {
		if value <= lowest {
			return value
		}
		return lowest + (value-lowest)*(files-least)/(need-least)
	}
	for _, l := range limits {
		open := l.Open
		l.Pending, l.Open = scale(l.Pending, minPending), scale(l.Open, minOpen)
		l.PerAddress = max(1, min(l.PerAddress, l.Pending/4))
		l.Reserved = min(l.Reserved, l.Pending)
		if open > 0 {
			l.PerOwner = max(ownShare, l.PerOwner*l.Open/open)
			l.PerOwnerAddress = max(ownShare, min(l.PerOwnerAddress, l.PerOwner))
		}
	}
	return nil
}
