package local

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/topology"
)

func TestCandidatesAreLoopbackAndNotEverybodys(t *testing.T) {
	seen := map[netip.Prefix]bool{}
	for _, key := range []string{"/a", "/b", ""} {
		for i := range 2000 {
			prefix := candidate(key, i)
			bytes := prefix.Addr().As4()
			if bytes[0] != 127 || bytes[1] == 0 || bytes[1] == 255 || bytes[3] != 0 || prefix.Bits() != 24 {
				t.Fatalf("candidate %v", prefix)
			}
			seen[prefix] = true
		}
	}
	if len(seen) < 4000 {
		t.Errorf("only %d different candidates of 6000", len(seen))
	}
	if first, again := candidate("/a", 0), candidate("/a", 0); first != again {
		t.Errorf("the same runtime gets %v, then %v", first, again)
	}
}

func TestParseListeners(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0B02017F:4654 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 123 1
   1: 0B02017F:4655 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 124 1
   2: 00000000:4658 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 125 1
   3: 00000000000000000000000000000000:4656 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 126 1
   4: 0000000000000000FFFF00000B02017F:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 127 1
`
	found, err := parseListeners(strings.NewReader(table))
	if err != nil {
		t.Fatal(err)
	}
	want := []listening{
		{netip.MustParseAddrPort("127.1.2.11:18004"), "123"},
		{netip.MustParseAddrPort("0.0.0.0:18008"), "125"},
		{netip.MustParseAddrPort("[::]:18006"), "126"},
		{netip.MustParseAddrPort("127.1.2.11:80"), "127"},
	}
	if len(found) != len(want) {
		t.Fatalf("got %v, want %v", found, want)
	}
	for i := range want {
		if found[i] != want[i] {
			t.Errorf("got %v, want %v", found[i], want[i])
		}
	}
}

func FuzzParseListeners(f *testing.F) {
	f.Add("   0: 0B02017F:4654 00000000:0000 0A 0:0 0:0 0 0 0 123 1")
	f.Add("   0: 0B02017:4654 00000000:0000 0A 0:0 0:0 0 0 0 123 1")
	f.Add("   0: 00:zz 00000000:0000 0A 0:0 0:0 0 0 0 123 1")
	f.Fuzz(func(t *testing.T, table string) {
		found, err := parseListeners(strings.NewReader(table))
		if err != nil && found != nil {
			t.Errorf("got %v beside error %v", found, err)
		}
		for _, l := range found {
			if !l.address.IsValid() {
				t.Errorf("got an address that is none: %v", l)
			}
		}
	})
}

func TestConflictNamesTheHolder(t *testing.T) {
	prefix := netip.MustParsePrefix("127.9.9.0/24")
	for name, test := range map[string]struct {
		address string
		want    string
	}{
		"our port, our network":      {"127.9.9.200:18006", "port 18006"},
		"our port, every address":    {"0.0.0.0:18004", "port 18004"},
		"our port, every address, 6": {"[::]:18005", "port 18005"},
		"our port, another network":  {"127.9.8.11:18004", ""},
		"another port":               {"127.9.9.11:80", ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := conflict(prefix, []listening{{address: netip.MustParseAddrPort(test.address), inode: "none"}})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestNetworkIsHeldUntilItIsClosed(t *testing.T) {
	l := NewLayout(t.TempDir(), "default", "hadoop")
	first, err := takeNetwork("", l)
	if err != nil {
		t.Fatal(err)
	}
	if got := first.address(11); !strings.HasPrefix(got, "127.") || !strings.HasSuffix(got, ".11") {
		t.Errorf("address %s", got)
	}
	second, err := takeNetwork("", l)
	if err != nil {
		t.Fatal(err)
	}
	defer second.close()
	if second.String() == first.String() {
		t.Errorf("%s was assigned twice", first)
	}
	if again, err := takeNetwork(first.String(), l); err == nil {
		again.close()
		t.Error("a network in use was assigned")
	}
	first.close()
	again, err := takeNetwork(first.String(), l)
	if err != nil {
		t.Fatal(err)
	}
	again.close()
}

func TestTakenPortNamesItsHolder(t *testing.T) {
	l := NewLayout(t.TempDir(), "default", "hadoop")
	n, err := takeNetwork("", l)
	if err != nil {
		t.Fatal(err)
	}
	n.close()
	listener, err := net.Listen("tcp", netip.AddrPortFrom(netip.MustParseAddr(n.address(77)), topology.RaftPort).String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	got, err := takeNetwork(n.String(), l)
	if err == nil {
		got.close()
		t.Fatal("a network with a used port was assigned")
	}
	for _, want := range []string{"18006", "local.test"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not name %s", err, want)
		}
	}
}
