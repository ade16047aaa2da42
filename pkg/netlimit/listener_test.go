package netlimit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// waitTimeout bounds waits. Tests assert nothing about time.
const waitTimeout = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// named is a handshake in which the peer sends its name and a newline, and
// receives "ok".
func named(ctx context.Context, raw net.Conn) (net.Conn, string, error) {
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	owner, err := bufio.NewReader(raw).ReadString('\n')
	if err != nil {
		return nil, "", err
	}
	if owner == "stranger\n" {
		return nil, "", errors.New("not a member")
	}
	return raw, strings.TrimSpace(owner), nil
}

// port is a Listener whose server sends "ok" to each connection that it
// receives, and closes it when the peer does.
type port struct {
	*Listener
	t testing.TB
}

func serve(t testing.TB, config Config) *port {
	t.Helper()
	if config.Limits.Handshake == 0 {
		config.Limits.Handshake = waitTimeout
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &port{Listener: Listen(inner, config), t: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := p.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.WriteString(c, "ok")
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			}()
		}
	}()
	t.Cleanup(func() { _ = p.Close(); <-done })
	return p
}

// dial connects from a loopback address, and sends greeting.
func (p *port) dial(from, greeting string) net.Conn {
	p.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: waitTimeout}
	c, err := dialer.Dial("tcp", p.Addr().String())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Close() })
	_, _ = io.WriteString(c, greeting)
	return c
}

// served reports whether the connection reaches the server, as opposed to being
// closed.
func (p *port) served(c net.Conn) bool {
	p.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(waitTimeout))
	got := make([]byte, 2)
	_, err := io.ReadFull(c, got)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		p.t.Fatal("the connection was neither served nor closed")
	}
	return err == nil
}

func (p *port) eventually(what string, holds func() bool) {
	p.t.Helper()
	for end := time.Now().Add(waitTimeout); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("timeout waiting for: %s", what)
		}
	}
}

func small() Limits {
	return Limits{Pending: 16, PerAddress: 16, Reserved: 4, Open: 8, PerOwner: 4, PerOwnerAddress: 4}
}

// TestTheOldestMakesRoom: strangers that send nothing hold every slot. A
// newcomer is admitted, and the oldest of them is closed.
func TestTheOldestMakesRoom(t *testing.T) {
	p := serve(t, Config{Limits: small(), Handshake: named})
	oldest := p.dial("127.0.0.1", "")
	for range 100 {
		p.dial("127.0.0.1", "")
	}
	if !p.served(p.dial("127.0.0.1", "m-1\n")) {
		t.Fatal("a peer that completes its handshake was closed")
	}
	if p.served(oldest) {
		t.Fatal("the oldest stranger was served")
	}
	if got := p.Pending(); got > small().Pending {
		t.Fatalf("%d connections are pending, at most %d are allowed", got, small().Pending)
	}
}

// TestSilenceDoesNotEndAHandshake: a handshake takes its time while others that
// send nothing come and go.
func TestSilenceDoesNotEndAHandshake(t *testing.T) {
	for name, noise := range map[string]string{"silent": "", "half a greeting": "m"} {
		t.Run(name, func(t *testing.T) {
			p := serve(t, Config{Limits: small(), Handshake: named})
			slow := p.dial("127.0.0.1", "")
			if noise == "" {
				_, _ = io.WriteString(slow, "m-")
				p.eventually("its first bytes are read", func() bool { return p.speaking() == 1 })
			}
			for range small().Pending/2 - 1 {
				p.dial("127.0.0.1", noise)
			}
			if noise == "" {
				for range 100 {
					p.dial("127.0.0.1", noise)
				}
			} else {
				p.eventually("the noise is read", func() bool { return p.speaking() == small().Pending/2-1 })
			}
			_, _ = io.WriteString(slow, "m-1\n")
			if !p.served(slow) {
				t.Fatal("a handshake in progress was closed")
			}
		})
	}
}

func (p *port) speaking() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pending.others[speaking].Len()
}

// TestSlotsOfTheTopology: strangers of other addresses hold every slot and
// return at once, while a member is slow.
func TestSlotsOfTheTopology(t *testing.T) {
	p := serve(t, Config{Limits: small(), Handshake: named, Addresses: NewAddresses("127.0.0.9")})
	member := p.dial("127.0.0.9", "")
	p.eventually("the member is accepted", func() bool { return p.Pending() == 1 })
	for range 10 * small().Pending {
		p.dial("127.0.0.1", "")
	}
	_, _ = io.WriteString(member, "m-1\n")
	if !p.served(member) {
		t.Fatal("a member's connection made room for strangers")
	}
	// A stranger at a member's address cannot keep the member out either.
	for range 10 * small().Pending {
		p.dial("127.0.0.9", "")
	}
	if !p.served(p.dial("127.0.0.9", "m-2\n")) {
		t.Fatal("the member was closed")
	}
	if got, most := p.Pending(), 2*small().Pending; got > most {
		t.Fatalf("%d connections are pending, at most %d are allowed", got, most)
	}
}

// TestADeadlineThatNoByteExtends: a byte now and then does not keep a connection.
func TestADeadlineThatNoByteExtends(t *testing.T) {
	limits := small()
	limits.Handshake = 200 * time.Millisecond
	p := serve(t, Config{Limits: limits, Handshake: named})
	slow := p.dial("127.0.0.1", "")
	p.eventually("the connection is closed", func() bool {
		_, err := io.WriteString(slow, "m")
		return err != nil
	})
}

func TestLimitsOfOwners(t *testing.T) {
	p := serve(t, Config{Limits: small(), Handshake: named, Addresses: NewAddresses("127.0.0.9")})
	for i := range small().PerOwner {
		if !p.served(p.dial("127.0.0.1", "w-1\n")) {
			t.Fatalf("connection %d of an owner was closed", i)
		}
	}
	last := p.dial("127.0.0.2", "w-1\n")
	if p.served(last) {
		t.Fatal("an owner has more connections than it may have")
	}
	for i := range small().Open - small().PerOwner {
		if !p.served(p.dial("127.0.0.1", "w-2\n")) {
			t.Fatalf("connection %d of another owner was closed", i)
		}
	}
	if p.served(p.dial("127.0.0.1", "w-3\n")) {
		t.Fatal("the port has more connections than it may have")
	}
	if !p.served(p.dial("127.0.0.9", "m-1\n")) {
		t.Fatal("the port is full, and a member of the topology was closed")
	}
}

// TestConnectionsThatEndAreNotCounted: an owner at its limit may connect again
// after it has closed a connection.
func TestConnectionsThatEndAreNotCounted(t *testing.T) {
	p := serve(t, Config{Limits: small(), Handshake: named})
	for range 5 * small().PerOwner {
		c := p.dial("127.0.0.1", "w-1\n")
		if !p.served(c) {
			t.Fatal("closed connections count")
		}
		_ = c.Close()
		p.eventually("the end is noticed", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.open.count == 0 })
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.open.owners) != 0 || len(p.pending.shares) != 0 || len(p.pending.reserved) != 0 {
		t.Fatalf("records of %d owners and %d addresses remain", len(p.open.owners), len(p.pending.shares))
	}
}

// TestReplace: the newest connections of an owner replace its oldest.
func TestReplace(t *testing.T) {
	limits := small()
	limits.Replace = true
	p := serve(t, Config{Limits: limits, Handshake: named})
	var all []net.Conn
	for range 3 * limits.PerOwner {
		c := p.dial("127.0.0.1", "m-1\n")
		if !p.served(c) {
			t.Fatal("a newcomer was closed")
		}
		all = append(all, c)
	}
	if p.served(all[0]) {
		t.Fatal("the oldest connection is still open")
	}
}

// TestPortWithoutHandshake: health checks succeed while idle connections hold
// every slot.
func TestPortWithoutHandshake(t *testing.T) {
	p := serve(t, Config{Limits: small()})
	oldest := p.dial("127.0.0.1", "GET")
	if !p.served(oldest) {
		t.Fatal("the first connection was closed")
	}
	for range 100 {
		p.dial("127.0.0.1", "GET")
	}
	if !p.served(p.dial("127.0.0.1", "GET")) {
		t.Fatal("a newcomer was closed")
	}
	if p.served(oldest) {
		t.Fatal("the oldest connection is still open")
	}
	if got := p.Pending(); got > small().Pending {
		t.Fatalf("%d connections are pending, at most %d are allowed", got, small().Pending)
	}
}

// TestShareOfOneAddress: one address that is not of the topology holds only its
// share, so that another stranger keeps its slot.
func TestShareOfOneAddress(t *testing.T) {
	limits := small()
	limits.PerAddress = 4
	var dropped []*conn
	p := newPending(limits, nil, func(c *conn) { dropped = append(dropped, c) })
	quiet := &conn{address: netip.MustParseAddr("10.0.0.1")}
	p.add(quiet, silent)
	for range 50 {
		p.add(&conn{address: netip.MustParseAddr("10.0.0.2")}, silent)
	}
	if quiet.place == nil || p.len() != 1+limits.PerAddress/2 {
		t.Fatalf("%d connections are pending, the quiet one is kept: %t", p.len(), quiet.place != nil)
	}
	if len(dropped) != 50-limits.PerAddress/2 {
		t.Fatalf("%d connections were closed", len(dropped))
	}
}

func TestAddressesFollowNames(t *testing.T) {
	a := NewAddresses("m-0.example", "127.0.0.5", "m-0.example")
	current := netip.MustParseAddr("10.0.0.1")
	var failure error
	a.resolve = func(_ context.Context, host string) ([]netip.Addr, error) {
		if host != "m-0.example" {
			t.Errorf("resolved %s", host)
		}
		return []netip.Addr{netip.AddrFrom16(current.As16())}, failure
	}
	first := current
	a.refresh(t.Context())
	if !a.Contains(first) || !a.Contains(netip.MustParseAddr("127.0.0.5")) || a.Contains(netip.MustParseAddr("10.0.0.2")) {
		t.Fatal("the addresses are not those of the hosts")
	}
	failure = errors.New("no such host")
	a.refresh(t.Context())
	if !a.Contains(first) {
		t.Fatal("an address was dropped because of a failed lookup")
	}
	current, failure = netip.MustParseAddr("10.0.0.2"), nil
	a.refresh(t.Context())
	if a.Contains(first) || !a.Contains(current) {
		t.Fatal("the address of a pod that was replaced has reserved slots")
	}
}

func TestFit(t *testing.T) {
	full := func() []*Limits {
		return []*Limits{
			{Pending: 1024, PerAddress: 128, Reserved: 64, Open: 256, PerOwner: 32, PerOwnerAddress: 32},
			{Pending: 1024, PerAddress: 128, Reserved: 64, Open: 4096, PerOwner: 2048, PerOwnerAddress: 64},
			{Pending: 256, PerAddress: 64},
		}
	}
	for _, files := range []int{600, 1024, 4096, 5000, 10000, 20000} {
		t.Run(fmt.Sprint(files), func(t *testing.T) {
			limits, total := full(), 128
			if err := Fit(files, 128, limits...); err != nil {
				t.Fatal(err)
			}
			for i, l := range limits {
				total += l.Files()
				if l.Pending < 1 || l.PerAddress < 1 || i < 2 && (l.Open < 1 || l.PerOwner < 1) {
					t.Errorf("unusable: %+v", *l)
				}
				if files == 20000 && *l != *full()[i] {
					t.Errorf("lowered without need: %+v", *l)
				}
			}
			if files < 4000 && limits[0].Open > minOpen || files > 4700 && limits[0].Pending < full()[0].Pending {
				t.Errorf("pending connections are lowered before authenticated ones: %+v", *limits[0])
			}
			if total > files {
				t.Errorf("the limits need %d of %d files", total, files)
			}
		})
	}
	if err := Fit(200, 128, full()...); err == nil {
		t.Error("200 files were accepted")
	}
}
