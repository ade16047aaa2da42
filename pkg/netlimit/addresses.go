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
	// resolve is replaced by tests.
	resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// changed receives a value when hosts has changed.
	changed chan struct{}

	mu sync.RWMutex
	// hosts are the names to resolve.
	hosts []string
	// byHost holds the result of the last lookup that succeeded, and all its
	// values.
	byHost map[string][]netip.Addr
	all    map[netip.Addr]struct{}
}

// NewAddresses returns the addresses of hosts, which are names or addresses.
// Names are unknown until Run has resolved them.
func NewAddresses(hosts ...string) *Addresses {
	a := &Addresses{changed: make(chan struct{}, 1), resolve: func(ctx context.Context, host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}}
	a.Set(hosts...)
	return a
}

// Set replaces the hosts. A name that remains keeps its addresses; a new one is
// unknown until Run has resolved it.
func (a *Addresses) Set(hosts ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.byHost
	a.hosts, a.byHost = nil, make(map[string][]netip.Addr, len(hosts))
	for _, host := range hosts {
		if address, err := netip.ParseAddr(host); err == nil {
			a.byHost[host] = []netip.Addr{address.Unmap().WithZone("")}
			continue
		}
		if host == "" || slices.Contains(a.hosts, host) {
			continue
		}
		a.hosts = append(a.hosts, host)
		if known, ok := before[host]; ok {
			a.byHost[host] = known
		}
	}
	a.collect()
	select {
	case a.changed <- struct{}{}:
	default:
	}
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

// collect sets all from byHost. The caller holds mu.
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
	ticker := time.NewTicker(refreshEvery)
	defer ticker.Stop()
	for {
		a.refresh(ctx)
		select {
		case <-ctx.Done():
			return
		case <-a.changed:
		case <-ticker.C:
		}
	}
}

// refresh resolves every name once. A name that cannot be resolved keeps its
// last addresses: its member, or the name server, may be restarting.
func (a *Addresses) refresh(ctx context.Context) {
	var wait sync.WaitGroup
	slots := make(chan struct{}, lookups)
	a.mu.RLock()
	hosts := a.hosts
	a.mu.RUnlock()
	for _, host := range hosts {
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
			if slices.Contains(a.hosts, host) {
				a.byHost[host] = found
			}
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
