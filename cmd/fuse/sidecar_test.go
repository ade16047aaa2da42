//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"net"
	"net/http"
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

// patience bounds waits; nothing is asserted about it.
const patience = 60 * time.Second

// pod is the directory of a sidecar, as the node's plugin makes it.
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

// publish a volume of a runtime whose master is at an address.
func (p *pod) publish(handle, master string) (folder string) {
	p.t.Helper()
	folder = p.makeDir("mounts", handle)
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
	who := topology.Topology{Namespace: "ns", Name: handle, ClusterID: "c", Masters: []topology.Member{{Name: "m0", Host: host, Port: address.Port}}}
	raw, err := who.Marshal()
	if err != nil {
		p.t.Fatal(err)
	}
	pair, err := p.authority.Issue(mtls.Peer{Role: mtls.Fuse, Name: handle}, nil, time.Hour)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := pair.Save(folder); err != nil {
		p.t.Fatal(err)
	}
	p.write(filepath.Join(folder, "roster.json"), raw)
	p.write(filepath.Join(folder, "args.json"), []byte(`["--attr-timeout=3s","--uid=7","--of-a-newer-controller=1"]`))
	return folder
}

func (p *pod) write(path string, data []byte) {
	p.t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// keepView leaves what an earlier server of the volume knew.
func (p *pod) keepView(folder string) {
	p.t.Helper()
	body, err := proto.Marshal(&commonv1.ClusterView{ClusterId: "c", Index: 1, Mounts: []*commonv1.Mount{{Id: "i", Name: "hadoop", Path: "/hadoop"}}})
	if err != nil {
		p.t.Fatal(err)
	}
	raw := binary.LittleEndian.AppendUint32([]byte("jindo client view 1\n"), crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	p.write(filepath.Join(folder, "state", "view"), append(raw, body...))
}

// start the sidecar.
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
		case <-time.After(patience):
			p.t.Error("the sidecar does not end")
		}
	}
	p.t.Cleanup(func() { p.stop() })
}

// saysUntil asks as the probe does until the answer has all of the words.
func (p *pod) saysUntil(code int, words ...string) string {
	p.t.Helper()
	var out bytes.Buffer
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
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
			p.t.Fatalf("exit %d and %q, want %d and %q", got, out.String(), code, words)
		}
	}
}

// silent is a master that accepts and never answers.
func silent(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

func TestReadySaysWhatEachVolumeLacks(t *testing.T) {
	p := newPod(t)
	p.saysUntil(1, "does not answer yet")
	p.publish("ns-silent", silent(t))
	p.publish("ns-damaged", "127.0.0.1:1")
	p.write(filepath.Join(p.dir, "mounts", "ns-damaged", "roster.json"), []byte("{"))
	p.start("ns-absent", "ns-damaged", "ns-silent")
	said := p.saysUntil(1, "volume ns-absent: the node's plugin has not published it", "volume ns-damaged: read topology", "volume ns-silent: runtime ns/ns-silent does not say what is mounted")
	if lines := strings.Split(strings.TrimSpace(said), "\n"); len(lines) != 3 {
		t.Errorf("it says %q", said)
	}
	p.stop()
	p.saysUntil(1, "does not answer yet")
}

func TestSidecarServesWhatItCan(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	p := newPod(t)
	// What a killed container left does not keep the next from being asked.
	listener, err := net.Listen("unix", filepath.Join(p.dir, "state", healthSocket))
	if err != nil {
		t.Fatal(err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false) //nolint:forcetypeassert // it is one
	_ = listener.Close()
	p.publish("ns-away", silent(t))
	folder := p.publish("ns-here", "127.0.0.1:1")
	p.keepView(folder)
	p.start("ns-away", "ns-here")
	p.saysUntil(1, "volume ns-away", "volume ns-here: the node's plugin has not lent its mount")

	point := filepath.Join(t.TempDir(), "mount")
	session, err := fusefd.Open(t.Context(), fusefd.Options{Mountpoint: point, AllowOther: true, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(point, unix.MNT_FORCE); _ = unix.Unmount(point, unix.MNT_DETACH) })
	lending, endLending := context.WithCancel(context.Background())
	lent := make(chan error, 1)
	go func() { lent <- session.Serve(lending, filepath.Join(folder, "session.sock")) }()
	defer func() {
		endLending()
		if err := <-lent; err != nil {
			t.Log(err) // the mount is gone by then
		}
	}()

	entries, err := os.ReadDir(point)
	if err != nil || len(entries) != 1 || entries[0].Name() != "hadoop" {
		t.Fatalf("read %v, %v", entries, err)
	}
	var stat unix.Stat_t
	if err := unix.Stat(point, &stat); err != nil || stat.Uid != 7 {
		t.Errorf("the owner is %d, %v: the runtime's arguments have no effect", stat.Uid, err)
	}
	if said := p.saysUntil(1, "volume ns-away"); strings.Contains(said, "ns-here") {
		t.Errorf("it says %q", said)
	}
	checkMetrics(t, p)

	// The next container goes on.
	p.stop()
	p.start("ns-away", "ns-here")
	if _, err := os.ReadDir(point); err != nil {
		t.Error(err)
	}
	p.stop()
	p.start("ns-here")
	p.saysUntil(0)
}

func checkMetrics(t *testing.T, p *pod) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", filepath.Join(p.dir, "state", healthSocket))
	}}}
	response, err := client.Get("http://sidecar/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`jindo_fuse_generation{volume="ns-here"} 1`, `jindo_fuse_read_memory_bytes{volume="ns-away"}`} {
		if !strings.Contains(body.String(), want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}

func TestArgumentsOfASidecar(t *testing.T) {
	for name, args := range map[string][]string{
		"no volumes":     {"--name=a"},
		"an empty one":   {"--volumes=a,,b"},
		"a path":         {"--volumes=../a"},
		"upwards":        {"--volumes=.."},
		"one twice":      {"--volumes=a,b,a"},
		"unknown flag":   {"--volumes=a", "--roster=x"},
		"more arguments": {"--volumes=a", "b"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := runSidecar(t.Context(), args); err == nil {
				t.Error("accepted")
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
			t.Errorf("a limit of %q is %d", content, got)
		}
	}
	for _, c := range []struct {
		limit   int64
		volumes int
		want    int64
	}{{0, 1, 256 << 20}, {0, 4, 64 << 20}, {256 << 20, 1, 64 << 20}, {64 << 20, 8, 8 << 20}, {1 << 40, 1, 256 << 20}} {
		if got := readAhead(c.limit, c.volumes); got != c.want {
			t.Errorf("of %d each of %d volumes reads %d ahead, want %d", c.limit, c.volumes, got, c.want)
		}
	}
}
