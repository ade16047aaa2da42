package netlimit

import (
	"container/list"
	"fmt"
	"net/netip"
)

// open holds the authenticated connections. The caller of each method holds the
// lock of the Listener.
type open struct {
	limits    Limits
	addresses *Addresses
	// drop closes a connection that has been removed.
	drop   func(*conn)
	count  int
	owners map[string]*owned
}

// owned holds the connections of one owner, the oldest first.
type owned struct {
	all       list.List
	byAddress map[netip.Addr]*list.List
}

// membership is where an authenticated connection is.
type membership struct {
	owner   string
	all, at *list.Element
}

func newOpen(limits Limits, addresses *Addresses, drop func(*conn)) *open {
	return &open{limits: limits, addresses: addresses, drop: drop, owners: map[string]*owned{}}
}

// add adds a connection of an owner, or returns an error that states which limit
// is reached.
func (o *open) add(c *conn, owner string) error {
	if err := o.admit(c, owner); err != nil {
		return err
	}
	own := o.owners[owner]
	if own == nil {
		own = &owned{byAddress: map[netip.Addr]*list.List{}}
		o.owners[owner] = own
	}
	at := own.byAddress[c.address]
	if at == nil {
		at = list.New()
		own.byAddress[c.address] = at
	}
	o.count++
	c.member = &membership{owner: owner, all: own.all.PushBack(c), at: at.PushBack(c)}
	return nil
}

func (o *open) admit(c *conn, owner string) error {
	here := 0
	if own := o.owners[owner]; own != nil {
		at := own.byAddress[c.address]
		if at != nil {
			here = at.Len()
		}
		switch {
		case here >= o.limits.PerOwnerAddress:
			if !o.limits.Replace {
				return fmt.Errorf("%s has %d connections from %s: this is the limit", owner, here, c.address)
			}
			o.replace(at)
		case own.all.Len() >= o.limits.PerOwner:
			if !o.limits.Replace {
				return fmt.Errorf("%s has %d connections: this is the limit", owner, own.all.Len())
			}
			o.replace(&own.all)
		}
	}
	if o.count >= o.limits.Open && (here >= ownShare || !o.addresses.Contains(c.address)) {
		return fmt.Errorf("this port has %d connections: this is the limit", o.count)
	}
	return nil
}

// replace closes the oldest connection of a list.
func (o *open) replace(l *list.List) {
	if front := l.Front(); front != nil {
		if oldest, ok := front.Value.(*conn); ok {
			o.remove(oldest)
			o.drop(oldest)
		}
	}
}

// remove removes a connection. It does nothing for one that is not
// authenticated.
func (o *open) remove(c *conn) {
	m := c.member
	if m == nil {
		return
	}
	c.member = nil
	o.count--
	own := o.owners[m.owner]
	own.all.Remove(m.all)
	at := own.byAddress[c.address]
	at.Remove(m.at)
	if at.Len() == 0 {
		delete(own.byAddress, c.address)
	}
	if own.all.Len() == 0 {
		delete(o.owners, m.owner)
	}
}
