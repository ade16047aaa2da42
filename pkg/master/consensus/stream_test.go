package consensus

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/master/consensus/consensustest"
	"github.com/jindo-io/jindo/pkg/mtls"
)

func TestPreamble(t *testing.T) {
	p := preamble{cluster: "c", to: "m-1-ff", from: "m-0-00", refusal: strings.Repeat("no", maxRefusal)}
	raw, err := p.encode()
	if err != nil {
		t.Fatal(err)
	}
	r := bytes.NewReader(append(raw, "raft"...))
	got, err := readPreamble(r)
	p.refusal = p.refusal[:maxRefusal]
	if err != nil || got != p {
		t.Fatalf("got %+v, %v", got, err)
	}
	if rest, _ := io.ReadAll(r); string(rest) != "raft" {
		t.Fatalf("Raft receives %q", rest)
	}
	for name, raw := range map[string][]byte{
		"nothing":         nil,
		"HTTP":            []byte("GET / HTTP/1.1\r\n\r\n"),
		"another version": append([]byte("JRFT\x02"), raw[5:]...),
		"too long":        []byte("JRFT\x01\xff\xff"),
		"cut":             raw[:len(raw)-1],
		"left over":       append([]byte("JRFT\x01\x00\x09"), make([]byte, 9)...),
	} {
		if _, err := readPreamble(bytes.NewReader(raw)); err == nil {
			t.Errorf("%s was decoded as a preamble", name)
		}
	}
	if _, err := (preamble{cluster: strings.Repeat("c", maxRefusal+1)}).encode(); err == nil {
		t.Error("a field that is too long was encoded")
	}
}

func FuzzReadPreamble(f *testing.F) {
	for _, p := range []preamble{{}, {cluster: "c", to: "m-1-ff", from: "m-0-00"}, {refusal: "no"}} {
		raw, err := p.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte("JRFT\x01\x00\x02\xff\xff"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := readPreamble(bytes.NewReader(raw))
		if err != nil {
			return
		}
		if len(p.refusal) > maxRefusal || len(p.cluster) > maxRefusal || len(p.to) > maxRefusal || len(p.from) > maxRefusal {
			return // longer than any sender's; compared by its fields
		}
		again, err := p.encode()
		if err != nil || !bytes.Equal(again, raw[:min(len(again), len(raw))]) {
			t.Fatalf("%q decodes to %+v and encodes to %q, %v", raw, p, again, err)
		}
	})
}

// logged holds what is logged.
type logged struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.String()
}

// bookOf returns the address book of a member whose topology does not change.
func bookOf(c Config) addressBook {
	self, _ := c.Topology.Master(c.Name)
	return addressBook{self: self, find: c.Topology.Master, admits: func(name string) bool {
		_, listed := c.Topology.Master(name)
		return listed
	}}
}

// TestHandshake checks that no byte of Raft is exchanged unless both ends agree
// on their identities.
func TestHandshake(t *testing.T) {
	const listenerID, diallerID = "m-0-0123456789abcdef", "m-1-0123456789abcdef"
	for _, test := range []struct {
		name string
		// change modifies what the dialler uses.
		change func(f *consensustest.Fixture, s *stream)
		dial   string
		want   string
	}{
		{name: "a master of the topology", dial: listenerID},
		{name: "an earlier id of the listener", dial: "m-0-ffffffffffffffff", want: "expects member"},
		{
			name: "another cluster", dial: listenerID, want: "belongs to cluster",
			change: func(_ *consensustest.Fixture, s *stream) { s.cluster = "another" },
		},
		{
			name: "an id of another name", dial: listenerID, want: "does not match the name",
			change: func(_ *consensustest.Fixture, s *stream) { s.id = "m-0-ffffffffffffffff" },
		},
		{
			name: "a master that the topology does not list", dial: listenerID, want: "not a master",
			change: func(f *consensustest.Fixture, s *stream) {
				s.identity, s.id = f.Issue(mtls.Peer{Role: mtls.Master, Name: "m-7"}), "m-7-0123456789abcdef"
			},
		},
		{
			name: "a worker", dial: listenerID, want: "",
			change: func(f *consensustest.Fixture, s *stream) {
				s.identity = f.Issue(mtls.Peer{Role: mtls.Worker, Name: "m-1"})
			},
		},
		{name: "an address without an id", dial: "", want: "no member id"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := consensustest.New(t, 2)
			out := &logged{}
			open := func(i int, id string) *stream {
				config := Config{
					Name: f.Name(i), ClusterID: consensustest.ClusterID, Topology: f.Topology, Identity: f.Identity(i),
					RaftListen: f.Topology.Masters[i].RaftAddress(), Logger: slog.New(slog.NewTextHandler(out, nil)),
				}
				s, err := listen(&config, bookOf(config), id)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				return s
			}
			listener, dialler := open(0, listenerID), open(1, diallerID)
			if test.change != nil {
				test.change(f, dialler)
			}
			accepted := make(chan net.Conn, 1)
			go func() {
				defer close(accepted)
				if conn, err := listener.Accept(); err == nil {
					accepted <- conn
				}
			}()
			address := f.Topology.Masters[0].RaftAddress()
			if test.dial != "" {
				address += "/" + test.dial
			}
			conn, err := dialler.Dial(raft.ServerAddress(address), 10*time.Second)
			if test.dial == listenerID && test.change == nil {
				if err != nil {
					t.Fatal(err)
				}
				if _, err := conn.Write([]byte("raft")); err != nil {
					t.Fatal(err)
				}
				got := make([]byte, 4)
				if _, err := io.ReadFull(<-accepted, got); err != nil || string(got) != "raft" {
					t.Fatalf("got %q, %v", got, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want an error with %q", err, test.want)
			}
			// The dialler may receive the response before the rejection is logged,
			// which a listener that is closed does not do any more.
			for deadline := time.Now().Add(waitTimeout); test.dial != "" && !strings.Contains(out.String(), "rejected a connection"); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("nothing was logged: %s", out)
				}
			}
			_ = listener.Close()
			if conn := <-accepted; conn != nil {
				t.Fatal("Raft received the connection")
			}
		})
	}
}

// TestTheDiallerChecksTheListener: the process that listens at the address of a
// member may be another member.
func TestTheDiallerChecksTheListener(t *testing.T) {
	for name, test := range map[string]struct {
		response preamble
		want     string
	}{
		"another member":  {preamble{cluster: consensustest.ClusterID, to: "m-1-1", from: "m-0-2"}, "it is member"},
		"another cluster": {preamble{cluster: "another", to: "m-1-1", from: "m-0-1"}, "belongs to cluster"},
		"another caller":  {preamble{cluster: consensustest.ClusterID, to: "m-1-9", from: "m-0-1"}, "it is member"},
		"a refusal":       {preamble{cluster: consensustest.ClusterID, to: "m-1-1", from: "m-0-1", refusal: "too many members"}, "too many members"},
	} {
		t.Run(name, func(t *testing.T) {
			f := consensustest.New(t, 2)
			config := Config{
				Name: f.Name(1), ClusterID: consensustest.ClusterID, Topology: f.Topology, Identity: f.Identity(1),
				RaftListen: f.Topology.Masters[1].RaftAddress(), Logger: slog.New(slog.DiscardHandler),
			}
			dialler, err := listen(&config, bookOf(config), "m-1-1")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = dialler.Close() })
			impostor := impostor(t, f, test.response)
			defer impostor()
			_, err = dialler.Dial(raft.ServerAddress(f.Topology.Masters[0].RaftAddress()+"/m-0-1"), 10*time.Second)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// impostor accepts one connection at the first master's address and sends
// response.
func impostor(t *testing.T, f *consensustest.Fixture, response preamble) func() {
	t.Helper()
	listener, err := net.Listen("tcp", f.Topology.Masters[0].RaftAddress())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- func() error {
			raw, err := listener.Accept()
			if err != nil {
				return err
			}
			conn := tlsServer(raw, f.Identity(0))
			defer conn.Close()
			if _, err := readPreamble(conn); err != nil {
				return err
			}
			return send(conn, response)
		}()
	}()
	return func() {
		_ = listener.Close()
		if err := <-ended; err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("the listener: %v", err)
		}
	}
}

// listenAlone returns the stream of a cluster of one master.
func listenAlone(t *testing.T) (*stream, *consensustest.Fixture) {
	t.Helper()
	f := consensustest.New(t, 1)
	config := Config{
		Name: f.Name(0), ClusterID: consensustest.ClusterID, Topology: f.Topology, Identity: f.Identity(0),
		RaftListen: f.Topology.Masters[0].RaftAddress(), Logger: slog.New(slog.DiscardHandler),
	}
	s, err := listen(&config, bookOf(config), "m-0-1")
	if err != nil {
		t.Fatal(err)
	}
	return s, f
}

// TestClosingLeavesNoConnection includes a connection whose handshake is in
// progress.
func TestClosingLeavesNoConnection(t *testing.T) {
	s, f := listenAlone(t)
	silent, err := net.Dial("tcp", f.Topology.Masters[0].RaftAddress())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	for s.listener.Pending() != 1 {
		if ctx.Err() != nil {
			t.Fatal("no handshake began")
		}
		time.Sleep(time.Millisecond)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if len(s.conns) != 0 || s.listener.Pending() != 0 {
		t.Fatal("a connection is still open")
	}
	if _, err := s.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("Accept after Close: %v", err)
	}
}

// TestAConnectionThatIsAcceptedWhileClosing: a connection that passed its handshake
// before the stream was closed, and reaches Accept afterwards, is closed.
func TestAConnectionThatIsAcceptedWhileClosing(t *testing.T) {
	s, _ := listenAlone(t)
	near, far := net.Pipe()
	counted := s.count(near, "m-1-1")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	kept := make(chan bool, 1)
	go func() {
		_, ok := s.keep(counted)
		kept <- ok
	}()
	select {
	case ok := <-kept:
		if ok {
			t.Error("a closed stream keeps a connection")
		}
	case <-time.After(waitTimeout):
		t.Fatal("the connection is not closed")
	}
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the other end reads %v", err)
	}
	if s.connected("m-1-1") {
		t.Error("a closed connection is counted")
	}
}

func tlsServer(raw net.Conn, identity *mtls.Identity) net.Conn {
	return tls.Server(raw, identity.ServerConfig(mtls.Master))
}
