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

// Fit lowers limits so that their listeners and own, the files that the process
// needs for other purposes, fit into a number of files: first the authenticated
// connections, then the pending ones, each in proportion. It returns an error
// when too few remain for use.
func Fit(files, own int, limits ...*Limits) error {
	least := own
	for _, l := range limits {
		least += l.with(minPending, minOpen).Files()
	}
	if files < least {
		return fmt.Errorf("this process may open %d files, and needs %d: raise the limit of open files (ulimit -n, or LimitNOFILE of the container runtime)", files, least)
	}
	full, fewOpen := own, own
	for _, l := range limits {
		full += l.Files()
		fewOpen += l.with(l.Pending, minOpen).Files()
	}
	for _, l := range limits {
		switch {
		case files >= full:
		case files >= fewOpen:
			*l = l.with(l.Pending, share(minOpen, l.Open, files-fewOpen, full-fewOpen))
		default:
			*l = l.with(share(minPending, l.Pending, files-least, fewOpen-least), minOpen)
		}
	}
	return nil
}

// share returns lowest and, of what value has more, the part a/b.
func share(lowest, value, a, b int) int {
	if value <= lowest {
		return value
	}
	return lowest + (value-lowest)*a/b
}

// with returns limits with at most the given numbers of pending and authenticated
// connections, and the others in proportion.
func (l Limits) with(pending, open int) Limits {
	pending, open = min(pending, l.Pending), min(open, l.Open)
	if pending < l.Pending {
		l.PerAddress, l.Reserved = max(1, l.PerAddress*pending/l.Pending), max(1, min(l.Reserved, pending/2))
	}
	if open < l.Open {
		l.PerOwner = max(ownShare, l.PerOwner*open/l.Open)
		l.PerOwnerAddress = max(ownShare, min(l.PerOwnerAddress, l.PerOwner))
	}
	l.Pending, l.Open = pending, open
	return l
}
