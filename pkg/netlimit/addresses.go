package netlimit

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// refreshEvery is how often the names are resolved again. Addresses change
	// when pods are replaced.
	refreshEvery = 5 * time.Second
	// lookupTimeout bounds one lookup.
	lookupTimeout = 3 * time.Second
	// lookups is how many lookups run at the same time.
	lookups = 8
)

// Addresses are the addresses of the members of a topology, which have reserved
// slots. Names are resolved in the background, never while a connection is
// accepted. It is safe for concurrent use. A nil *Addresses contains none.
type Addresses struct {
	hosts []string
	// resolve is replaced by tests.
	resolve func(ctx context.Context, host string) ([]netip.Addr, error)

	mu sync.RWMutex
	// byHost holds the result of the last lookup that succeeded, and all its
	// values.
	byHost map[string][]netip.Addr
	all    map[netip.Addr]struct{}
}

// NewAddresses returns the addresses of hosts, which are names or addresses.
// Names are unknown until Run has resolved them.
func NewAddresses(hosts ...string) *Addresses {
	a := &Addresses{byHost: map[string][]netip.Addr{}, resolve: func(ctx context.Context, host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}}
	for _, host := range hosts {
		if address, err := netip.ParseAddr(host); err == nil {
			a.byHost[host] = []netip.Addr{address.Unmap().WithZone("")}
		} else if host != "" && !slices.Contains(a.hosts, host) {
			a.hosts = append(a.hosts, host)
		}
	}
	a.collect()
	return a
}

// Contains reports whether an address is that of a member.
func (a *Addresses) Contains(address netip.Addr) bool {
	if a == nil {
		return false
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	_, ok := a.all[address]
	return ok
}

// collect sets all from byHost. The caller holds mu, or has the only reference.
func (a *Addresses) collect() {
	a.all = make(map[netip.Addr]struct{}, len(a.byHost))
	for _, addresses := range a.byHost {
		for _, address := range addresses {
			a.all[address] = struct{}{}
		}
	}
}

// Run keeps the addresses up to date until ctx is done.
func (a *Addresses) Run(ctx context.Context) {
	if len(a.hosts) == 0 {
		return
	}
	ticker := time.NewTicker(refreshEvery)
	defer ticker.Stop()
	for {
		a.refresh(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// refresh resolves every name once. A name that cannot be resolved keeps its
// last addresses: its member, or the name server, may be restarting.
func (a *Addresses) refresh(ctx context.Context) {
	var wait sync.WaitGroup
	slots := make(chan struct{}, lookups)
	for _, host := range a.hosts {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			limited, cancel := context.WithTimeout(ctx, lookupTimeout)
			defer cancel()
			found, err := a.resolve(limited, host)
			if err != nil || len(found) == 0 {
				return
			}
			for i := range found {
				found[i] = found[i].Unmap().WithZone("")
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			a.byHost[host] = found
		})
	}
	wait.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.collect()
}

// addressOf returns the IP address of a peer; the zero Addr for a peer of
// another kind.
func addressOf(peer net.Addr) netip.Addr {
	if tcp, ok := peer.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
