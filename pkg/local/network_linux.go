package local

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/topology"
)

// Last bytes of the addresses in the network of a runtime.
const (
	firstMaster = 11
	firstWorker = 21
	fuseHost    = 31
	// manyWorkers is the first address of workers that do not fit before
	// fuseHost.
	manyWorkers = 41
	lastHost    = 254
	maxWorkers  = fuseHost - firstWorker + lastHost - manyWorkers + 1
)

// network is a 127.x.y.0/24 that this process holds until close.
type network struct {
	prefix   netip.Prefix
	listener net.Listener
}

func (n *network) String() string { return n.prefix.String() }

// address returns the address of a host in the network.
func (n *network) address(last byte) string {
	bytes := n.prefix.Addr().As4()
	bytes[3] = last
	return netip.AddrFrom4(bytes).String()
}

func (n *network) close() { _ = n.listener.Close() }

// takeNetwork takes the network want. If that is "", it chooses a free one, if
// possible always the same for a runtime.
func takeNetwork(want string, l Layout) (*network, error) {
	if want != "" {
		prefix, err := netip.ParsePrefix(want)
		if err != nil {
			return nil, fmt.Errorf("invalid network %q in the formation record: %w", want, err)
		}
		return take(prefix)
	}
	const tries = 64
	var last error
	for i := range tries {
		n, err := take(candidate(l.Dir, i))
		if err == nil {
			return n, nil
		}
		last = err
	}
	return nil, fmt.Errorf("no free network found in 127.0.0.0/8 after %d tries: %w", tries, last)
}

// candidate returns the i-th network to try. 127.0.y.0 is not used: the machine's
// own name is often at 127.0.1.1, and resolvers at 127.0.0.53.
func candidate(key string, i int) netip.Prefix {
	hash := fnv.New32a()
	_, _ = fmt.Fprintf(hash, "%s\x00%d", key, i)
	sum := hash.Sum32()
	x := byte(1 + (sum>>8)%254)
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{127, x, byte(sum), 0}), 24)
}

// take holds a network unless another process does or listens there.
func take(prefix netip.Prefix) (*network, error) {
	// The socket has no file: it ends with the process in any case, and exists
	// in this network namespace only, like the addresses.
	listener, err := net.Listen("unix", "@jindo/local/"+prefix.String())
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, fmt.Errorf("network %s is held by another local runtime", prefix)
	}
	if err != nil {
		return nil, fmt.Errorf("hold network %s: %w", prefix, err)
	}
	if err := checkFree(prefix, "/proc/net/tcp", "/proc/net/tcp6"); err != nil {
		_ = listener.Close()
		return nil, err
	}
	return &network{prefix: prefix, listener: listener}, nil
}

func checkFree(prefix netip.Prefix, tables ...string) error {
	for _, path := range tables {
		taken, err := listeners(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return err
		}
		if err := conflict(prefix, taken); err != nil {
			return err
		}
	}
	return nil
}

// listening is one listening TCP socket.
type listening struct {
	address netip.AddrPort
	inode   string
}

// conflict returns an error that names the process that listens on a port of a
// runtime, at an address of the network or at all addresses.
func conflict(prefix netip.Prefix, taken []listening) error {
	ours := map[uint16]bool{topology.MasterPort: true, topology.WorkerPort: true, topology.RaftPort: true, topology.HealthPort: true}
	for _, t := range taken {
		inside := prefix.Contains(t.address.Addr())
		if ours[t.address.Port()] && (inside || t.address.Addr().IsUnspecified()) {
			return fmt.Errorf("port %d of %s is used by %s", t.address.Port(), t.address.Addr(), holder("/proc", t.inode))
		}
	}
	return nil
}

// listeners parses the listening sockets of a file like /proc/net/tcp.
func listeners(path string) ([]listening, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read listening sockets: %w", err)
	}
	defer func() { _ = file.Close() }()
	return parseListeners(file)
}

func parseListeners(r io.Reader) ([]listening, error) {
	const (
		local, state, inode = 1, 3, 9
		listen              = "0A"
	)
	var found []listening
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) <= inode || fields[state] != listen {
			continue
		}
		address, err := parseAddress(fields[local])
		if err != nil {
			return nil, fmt.Errorf("read listening sockets: %w", err)
		}
		found = append(found, listening{address: address, inode: fields[inode]})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read listening sockets: %w", err)
	}
	return found, nil
}

// parseAddress parses "0100007F:4654": words of the address in the machine's byte
// order, which is little endian on every supported platform, and the port.
func parseAddress(text string) (netip.AddrPort, error) {
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	if err != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, fmt.Errorf("invalid address %q", text)
	}
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	addr, ok := netip.AddrFromSlice(raw)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("invalid address %q", text)
	}
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("invalid port in address %q", text)
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(number)), nil
}

// holder returns a description of the process that has a socket open.
func holder(proc, inode string) string {
	want := "socket:[" + inode + "]"
	fds, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*"))
	if err != nil {
		return "an unknown process"
	}
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		if err != nil || target != want {
			continue
		}
		process := filepath.Dir(filepath.Dir(fd))
		name, err := os.ReadFile(filepath.Join(process, "comm"))
		if err != nil {
			continue
		}
		return fmt.Sprintf("process %s (%s)", filepath.Base(process), strings.TrimSpace(string(name)))
	}
	return "a process of another user (run as root to see which)"
}
