//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// waitTimeout bounds every wait. No test depends on its value.
const waitTimeout = 60 * time.Second

// pod is the directory of a sidecar, as the node plugin creates it.
type pod struct {
	t         *testing.T
	dir       string
	authority *mtls.Authority
	stop      func()
}

func newPod(t *testing.T) *pod {
	t.Helper()
	authority, err := mtls.NewAuthority("ns/hadoop")
	if err != nil {
		t.Fatal(err)
	}
	p := &pod{t: t, dir: t.TempDir(), authority: authority}
	p.makeDir("state")
	return p
}

func (p *pod) makeDir(parts ...string) string {
	p.t.Helper()
	dir := filepath.Join(append([]string{p.dir}, parts...)...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	return dir
}

// publish creates the directory of a volume, of a runtime with the given address
// of its master, and returns it.
func (p *pod) publish(handle, master string) string {
	p.t.Helper()
	dir := p.makeDir("mounts", handle)
	p.makeDir("mounts", handle, "state")
	p.makeDir("mounts", handle, "sockets")
	host, _, err := net.SplitHostPort(master)
	if err != nil {
		p.t.Fatal(err)
	}
	address, err := net.ResolveTCPAddr("tcp", master)
	if err != nil {
		p.t.Fatal(err)
	}
	members := topology.Topology{Namespace: "ns", Name: handle, ClusterID: "c", Masters: []topology.Member{{Name: "m0", Host: host, Port: address.Port}}}
	raw, err := members.Marshal()
	if err != nil {
		p.t.Fatal(err)
	}
	pair, err := p.authority.Issue(mtls.Peer{Role: mtls.Fuse, Name: handle}, nil, time.Hour)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := pair.Save(dir); err != nil {
		p.t.Fatal(err)
	}
	p.write(filepath.Join(dir, "roster.json"), raw)
	p.write(filepath.Join(dir, "args.json"), []byte(`["--attr-timeout=3s","--uid=7","--of-a-newer-controller=1"]`))
	return dir
}

func (p *pod) write(path string, data []byte) {
	p.t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// saveView writes the view file that an earlier server of the volume left.
func (p *pod) saveView(dir string) {
	p.t.Helper()
	body, err := proto.Marshal(&commonv1.ClusterView{ClusterId: "c", Index: 1, Mounts: []*commonv1.Mount{{Id: "i", Name: "hadoop", Path: "/hadoop"}}})
	if err != nil {
		p.t.Fatal(err)
	}
	raw := binary.LittleEndian.AppendUint32([]byte("jindo client view 1\n"), crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	p.write(filepath.Join(dir, "state", "view"), append(raw, body...))
}

// start starts the sidecar. It ends with p.stop or the test.
func (p *pod) start(handles ...string) {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- runSidecar(ctx, []string{"--name=app-0", "--dir=" + p.dir, "--volumes=" + strings.Join(handles, ",")})
	}()
	stopped := false
	p.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				p.t.Error(err)
			}
		case <-time.After(waitTimeout):
			p.t.Error("the sidecar did not stop")
		}
	}
	p.t.Cleanup(func() { p.stop() })
}

// waitReady runs "fuse ready" until it exits with the code and its output contains
// all words, and returns the output.
func (p *pod) waitReady(code int, words ...string) string {
	p.t.Helper()
	var out bytes.Buffer
	for end := time.Now().Add(waitTimeout); ; time.Sleep(20 * time.Millisecond) {
		out.Reset()
		got := runReady([]string{"--dir=" + p.dir}, &out)
		missing := got != code
		for _, word := range words {
			missing = missing || !strings.Contains(out.String(), word)
		}
		if !missing {
			return out.String()
		}
		if time.Now().After(end) {
			p.t.Fatalf("exit code %d and output %q, want %d and %q", got, out.String(), code, words)
		}
	}
}

// startSilentMaster starts a master that accepts connections and never responds.
// It returns the address.
func startSilentMaster(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

func TestReadyReportsEachVolumeThatIsNotServed(t *testing.T) {
	p := newPod(t)
	p.waitReady(1, "is not reachable yet")
	p.publish("ns-silent", startSilentMaster(t))
	p.publish("ns-damaged", "127.0.0.1:1")
	p.write(filepath.Join(p.dir, "mounts", "ns-damaged", "roster.json"), []byte("{"))
	p.start("ns-absent", "ns-damaged", "ns-silent")
	output := p.waitReady(1, "volume ns-absent: not published by the node plugin yet", "volume ns-damaged: read topology", "volume ns-silent: get the mounts of runtime ns/ns-silent")
	if lines := strings.Split(strings.TrimSpace(output), "\n"); len(lines) != 3 {
		t.Errorf("got output %q, want 3 lines", output)
	}
	p.stop()
	p.waitReady(1, "is not reachable yet")
}

func TestSidecarServesReachableVolumes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	p := newPod(t)
	// The socket of a killed container must not prevent the next from listening.
	listener, err := net.Listen("unix", filepath.Join(p.dir, "state", healthSocket))
	if err != nil {
		t.Fatal(err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = listener.Close()
	p.publish("ns-unreachable", startSilentMaster(t))
	dir := p.publish("ns-reachable", "127.0.0.1:1")
	p.saveView(dir)
	p.start("ns-unreachable", "ns-reachable")
	p.waitReady(1, "volume ns-unreachable", "volume ns-reachable: not attached to the mount of the node plugin yet")

	point := filepath.Join(t.TempDir(), "mount")
	session, err := fusefd.Open(t.Context(), fusefd.Options{Mountpoint: point, AllowOther: true, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(point, unix.MNT_FORCE); _ = unix.Unmount(point, unix.MNT_DETACH) })
	holding, stopHolding := context.WithCancel(context.Background())
	held := make(chan error, 1)
	go func() { held <- session.Serve(holding, filepath.Join(dir, "session.sock")) }()
	defer func() {
		stopHolding()
		if err := <-held; err != nil {
			t.Log(err) // the mount may be unmounted already
		}
	}()

	entries, err := os.ReadDir(point)
	if err != nil || len(entries) != 1 || entries[0].Name() != "hadoop" {
		t.Fatalf("got entries %v and error %v, want only hadoop", entries, err)
	}
	var stat unix.Stat_t
	if err := unix.Stat(point, &stat); err != nil || stat.Uid != 7 {
		t.Errorf("got owner %d and error %v, want owner 7 from the runtime's arguments", stat.Uid, err)
	}
	if output := p.waitReady(1, "volume ns-unreachable"); strings.Contains(output, "ns-reachable") {
		t.Errorf("got output %q for a volume that is served", output)
	}
	checkMetrics(t, p)

	// The next container takes over.
	p.stop()
	p.start("ns-unreachable", "ns-reachable")
	if _, err := os.ReadDir(point); err != nil {
		t.Error(err)
	}
	p.stop()
	p.start("ns-reachable")
	p.waitReady(0)
}

func checkMetrics(t *testing.T, p *pod) {
	t.Helper()
	var body bytes.Buffer
	if code := runMetrics([]string{"--dir=" + p.dir}, &body); code != 0 {
		t.Fatalf("exit code %d: %s", code, &body)
	}
	for _, want := range []string{`jindo_fuse_generation{volume="ns-reachable"} 1`, `jindo_fuse_read_memory_bytes{volume="ns-unreachable"}`} {
		if !strings.Contains(body.String(), want) {
			t.Errorf("metrics do not contain %s", want)
		}
	}
}

func TestSidecarRejectsInvalidArguments(t *testing.T) {
	for name, args := range map[string][]string{
		"no volumes":       {"--name=a"},
		"empty handle":     {"--volumes=a,,b"},
		"path":             {"--volumes=../a"},
		"parent directory": {"--volumes=.."},
		"duplicate handle": {"--volumes=a,b,a"},
		"unknown flag":     {"--volumes=a", "--roster=x"},
		"argument":         {"--volumes=a", "b"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := runSidecar(t.Context(), args); err == nil {
				t.Error("got no error")
			}
		})
	}
}

func TestReadAheadFitsTheContainer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "memory.max")
	for content, want := range map[string]int64{"max\n": 0, "1073741824\n": 1 << 30, "": 0, "-1": 0} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := memoryLimit(file); got != want {
			t.Errorf("memoryLimit of %q is %d, want %d", content, got, want)
		}
	}
	for _, c := range []struct {
		limit   int64
		volumes int
		want    int64
	}{{0, 1, 256 << 20}, {0, 4, 64 << 20}, {256 << 20, 1, 64 << 20}, {64 << 20, 8, 8 << 20}, {1 << 40, 1, 256 << 20}} {
		if got := readAheadMemory(c.limit, c.volumes); got != c.want {
			t.Errorf("readAheadMemory(%d, %d) is %d, want %d", c.limit, c.volumes, got, c.want)
		}
	}
}
