package netlimit

import (
	"container/list"
	"net/netip"
)

// class separates pending connections that have sent nothing from those that
// have sent something.
type class int

const (
	silent class = iota
	speaking
	classes
)

// queue holds pending connections, the oldest of each class first.
type queue [classes]list.List

func (q *queue) len() int { return q[silent].Len() + q[speaking].Len() }

// oldest returns the connection that has been in its class for longest; nil
// when there is none.
func (q *queue) oldest(in class) *conn {
	if front := q[in].Front(); front != nil {
		c, _ := front.Value.(*conn)
		return c
	}
	return nil
}

// pending holds the connections that are not authenticated. Each is either in a
// reserved slot of its address or among the others. The caller of each method
// holds the lock of the Listener.
type pending struct {
	limits    Limits
	addresses *Addresses
	// drop closes a connection that has been removed.
	drop func(*conn)

	others queue
	// shares holds the others by address.
	shares map[netip.Addr]*queue
	// reserved holds those in reserved slots, by address; inReserve is their
	// number.
	reserved  map[netip.Addr]*queue
	inReserve int
}

// place is where a pending connection is.
type place struct {
	class    class
	reserved bool
	// in is its element of a queue of reserved, or of others; share is that of a
	// queue of shares.
	in, share *list.Element
}

func newPending(limits Limits, addresses *Addresses, drop func(*conn)) *pending {
	return &pending{
		limits: limits, addresses: addresses, drop: drop,
		shares: map[netip.Addr]*queue{}, reserved: map[netip.Addr]*queue{},
	}
}

func (p *pending) len() int { return p.others.len() + p.inReserve }

// add adds a connection, and closes the oldest of its class when the bound is
// reached.
func (p *pending) add(c *conn, in class) {
	if !mutantNoReserve && p.addresses.Contains(c.address) {
		p.reserve(c, in)
		return
	}
	p.addOther(c, in)
}

// reserve puts a connection into a reserved slot of its address. The newest
// connections of an address hold them; older ones join the others.
func (p *pending) reserve(c *conn, in class) {
	q := queueOf(p.reserved, c.address)
	if q[in].Len() >= half(p.limits.Reserved) || p.inReserve >= p.limits.Pending {
		oldest := q.oldest(in)
		if oldest == nil {
			p.tidy(p.reserved, c.address)
			p.addOther(c, in)
			return
		}
		p.remove(oldest)
		p.addOther(oldest, in)
		q = queueOf(p.reserved, c.address)
	}
	p.inReserve++
	c.place = &place{class: in, reserved: true, in: q[in].PushBack(c)}
}

func (p *pending) addOther(c *conn, in class) {
	share := queueOf(p.shares, c.address)
	if !p.exempt(c.address) && share[in].Len() >= half(p.limits.PerAddress) && !p.makeRoom(share, in, c) {
		return
	}
	if p.others[in].Len() >= half(p.limits.Pending) && !p.makeRoom(&p.others, in, c) {
		return
	}
	share = queueOf(p.shares, c.address)
	c.place = &place{class: in, in: p.others[in].PushBack(c), share: share[in].PushBack(c)}
}

// makeRoom closes the oldest connection of a class. It reports whether the
// newcomer may be added.
func (p *pending) makeRoom(q *queue, in class, newcomer *conn) bool {
	if mutantCloseNewest {
		p.tidy(p.shares, newcomer.address)
		p.drop(newcomer)
		return false
	}
	if oldest := q.oldest(in); oldest != nil {
		p.remove(oldest)
		p.drop(oldest)
	}
	return true
}

// exempt reports whether the share of one address does not apply.
func (p *pending) exempt(address netip.Addr) bool {
	return !address.IsValid() || address.IsLoopback() || p.addresses.Contains(address)
}

// spoke moves a connection that has sent its first byte to its new class.
func (p *pending) spoke(c *conn) {
	if c.place == nil || c.place.class == speaking {
		return
	}
	reserved := c.place.reserved
	p.remove(c)
	if reserved {
		p.reserve(c, speaking)
		return
	}
	p.addOther(c, speaking)
}

// remove removes a connection. It does nothing for one that is not pending.
func (p *pending) remove(c *conn) {
	at := c.place
	if at == nil {
		return
	}
	c.place = nil
	if at.reserved {
		p.inReserve--
		p.reserved[c.address][at.class].Remove(at.in)
		p.tidy(p.reserved, c.address)
		return
	}
	p.others[at.class].Remove(at.in)
	p.shares[c.address][at.class].Remove(at.share)
	p.tidy(p.shares, c.address)
}

// oldest returns a connection to close when the process has no more files: the
// oldest silent one of those without a reserved slot, if there is one.
func (p *pending) oldest() *conn {
	for in := range classes {
		if c := p.others.oldest(in); c != nil {
			return c
		}
	}
	for _, q := range p.reserved {
		for in := range classes {
			if c := q.oldest(in); c != nil {
				return c
			}
		}
	}
	return nil
}

// all returns every pending connection.
func (p *pending) all() []*conn {
	var all []*conn
	collect := func(q *queue) {
		for in := range classes {
			for e := q[in].Front(); e != nil; e = e.Next() {
				if c, ok := e.Value.(*conn); ok {
					all = append(all, c)
				}
			}
		}
	}
	collect(&p.others)
	for _, q := range p.reserved {
		collect(q)
	}
	return all
}

// tidy removes an empty queue, so that the maps hold only addresses with
// connections.
func (p *pending) tidy(queues map[netip.Addr]*queue, address netip.Addr) {
	if q := queues[address]; q != nil && q.len() == 0 {
		delete(queues, address)
	}
}

func queueOf(queues map[netip.Addr]*queue, address netip.Addr) *queue {
	q := queues[address]
	if q == nil {
		q = &queue{}
		queues[address] = q
	}
	return q
}

// half returns the slots of one of the two classes, one at least.
func half(slots int) int { return max(1, slots/2) }
