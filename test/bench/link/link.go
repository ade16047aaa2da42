//go:build linux

package link

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Link is a network namespace and its connection to this one. Its methods are safe
// for concurrent use, and not to be called after Close.
type Link struct {
	device    string
	near, far netip.Addr
	work      chan func()
}

// inside is the name of the device in the namespace.
const inside = "eth0"

// Open makes a link that carries rate bytes per second in each direction. It
// requires root and ip(8) and tc(8).
func Open(ctx context.Context, rate int64) (*Link, error) {
	l := &Link{device: fmt.Sprintf("jbench%d", os.Getpid()), work: make(chan func())}
	// 198.18.0.0/15 is reserved for benchmarks (RFC 2544). Each process has a
	// network of four addresses in it.
	network := uint32(os.Getpid()) << 2 & 0x1ffff
	address := func(host uint32) netip.Addr {
		n := network | host
		return netip.AddrFrom4([4]byte{198, 18 + byte(n>>16), byte(n >> 8), byte(n)})
	}
	l.near, l.far = address(1), address(2)
	thread, err := l.enter()
	if err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	if err := l.connect(ctx, thread, rate); err != nil {
		l.Close()
		return nil, fmt.Errorf("make a link: %w", err)
	}
	return l, nil
}

// enter starts the thread of the namespace, which executes what Do passes, and
// returns its id. The thread ends with the goroutine, because it stays locked.
func (l *Link) enter() (int, error) {
	entered := make(chan error)
	var thread int
	go func() {
		runtime.LockOSThread()
		thread = unix.Gettid()
		err := unix.Unshare(unix.CLONE_NEWNET)
		entered <- err
		if err != nil {
			return
		}
		for f := range l.work {
			f()
		}
	}()
	return thread, <-entered
}

func (l *Link) connect(ctx context.Context, thread int, rate int64) error {
	near, far := l.near.String()+"/30", l.far.String()+"/30"
	// The burst is several times the largest segment that devices pass on.
	shape := []string{"tbf", "rate", fmt.Sprintf("%dbit", rate*8), "burst", "512kb", "latency", "50ms"}
	here := func(words ...string) func() error {
		return func() error { return run(exec.CommandContext(ctx, words[0], words[1:]...), (*exec.Cmd).Run) }
	}
	there := func(words ...string) func() error {
		return func() error { return run(exec.CommandContext(ctx, words[0], words[1:]...), l.wait) }
	}
	for _, step := range []func() error{
		here("ip", "link", "add", l.device, "type", "veth", "peer", "name", inside, "netns", strconv.Itoa(thread)),
		here("ip", "address", "add", near, "dev", l.device),
		here("ip", "link", "set", l.device, "up"),
		here(append([]string{"tc", "qdisc", "add", "dev", l.device, "root"}, shape...)...),
		there("ip", "link", "set", "lo", "up"),
		// Its own loopback network has one address, so that others can be remote.
		there("ip", "address", "delete", "127.0.0.1/8", "dev", "lo"),
		there("ip", "address", "add", "127.0.0.1/32", "dev", "lo"),
		there("ip", "address", "add", far, "dev", inside),
		there("ip", "link", "set", inside, "up"),
		there(append([]string{"tc", "qdisc", "add", "dev", inside, "root"}, shape...)...),
		func() error { return allowLoopback(l.device) },
		func() error { return l.Do(func() error { return allowLoopback(inside) }) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// allowLoopback lets loopback addresses pass a device, which is a setting of the
// network namespace of the thread that calls it.
func allowLoopback(device string) error {
	return os.WriteFile("/proc/sys/net/ipv4/conf/"+device+"/route_localnet", []byte("1"), 0)
}

func run(command *exec.Cmd, how func(*exec.Cmd) error) error {
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := how(command); err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, bytes.TrimSpace(output.Bytes()))
	}
	return nil
}

// wait runs a command in the namespace.
func (l *Link) wait(command *exec.Cmd) error {
	if err := l.Start(command); err != nil {
		return err
	}
	return command.Wait()
}

// Do calls f on the thread of the namespace. Sockets that f itself opens, and
// processes that it starts, are in the namespace. f must not wait for another Do.
func (l *Link) Do(f func() error) error {
	result := make(chan error)
	l.work <- func() { result <- f() }
	return <-result
}

// Start starts a command in the namespace. A parent-death signal of the command
// arrives when the link is closed.
func (l *Link) Start(command *exec.Cmd) error { return l.Do(command.Start) }

// Near and Far return the addresses of this end and of the namespace.
func (l *Link) Near() netip.Addr { return l.near }

// Far returns the address of the namespace.
func (l *Link) Far() netip.Addr { return l.far }

// Dial connects from the namespace to an address with a number for its host.
func (l *Link) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, fmt.Errorf("connect over the link: %w", err)
	}
	var conn net.Conn
	err := l.Do(func() error {
		var dialer net.Dialer
		var err error
		conn, err = dialer.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Reach sends packets for a network of loopback addresses of this host over the
// link.
func (l *Link) Reach(ctx context.Context, network netip.Prefix) error {
	if !network.Addr().IsLoopback() {
		return fmt.Errorf("reach %s over the link: not a loopback network", network)
	}
	return run(exec.CommandContext(ctx, "ip", "route", "add", network.Masked().String(), "via", l.near.String(), "dev", inside, "src", l.far.String()), l.wait)
}

// Close removes the link. Processes in the namespace lose their connections.
func (l *Link) Close() {
	_ = exec.Command("ip", "link", "delete", l.device).Run() // it may not exist
	close(l.work)
}
