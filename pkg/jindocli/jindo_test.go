package jindocli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/cli/raft"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/local"
	"github.com/jindo-io/jindo/pkg/mount/reader"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/test/cli/reporttest"
)

// memory is a cluster with files in memory: mount path → file path → content. A
// directory exists if a file is below it.
type memory struct {
	mounts    map[string]map[string]string
	report    *report.Runtime
	view      *commonv1.ClusterView
	mounted   []*commonv1.Mount
	unmounted []string
	refreshed []string
	// refuse holds the errors of lookups, by name.
	refuse map[string]error
	// group is what raft commands call.
	group group
	// short makes every file end early.
	short  bool
	closed bool
}

var (
	_ Cluster = (*memory)(nil)
	_ Files   = (*memory)(nil)
)

func (m *memory) Masters(context.Context) []report.Master { return m.report.Masters }
func (m *memory) Report(context.Context) *report.Runtime  { return m.report }
func (m *memory) Raft() (raft.Masters, error)             { return &m.group, nil }
func (m *memory) Close()                                  { m.closed = true }
func (m *memory) View(context.Context) (*commonv1.ClusterView, error) {
	return m.view, nil
}

func (m *memory) Mount(_ context.Context, mount *commonv1.Mount) (bool, error) {
	m.mounted = append(m.mounted, mount)
	return len(m.mounted) == 1, nil
}

func (m *memory) Unmount(_ context.Context, path string) error {
	m.unmounted = append(m.unmounted, path)
	return nil
}

func (m *memory) Invalidate(_ context.Context, path string) error {
	m.refreshed = append(m.refreshed, path)
	return nil
}

func (m *memory) Files(context.Context) (Files, error) { return m, nil }

func (m *memory) Mounts() []reader.Mount {
	var mounts []reader.Mount
	for path := range m.mounts {
		mounts = append(mounts, reader.Mount{ID: path, Path: path, ReadOnly: true})
	}
	return mounts
}

func modified() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

func (m *memory) children(mount, dir string) []reader.Entry {
	found := map[string]reader.Entry{}
	for name, content := range m.mounts[mount] {
		rest, below := strings.CutPrefix(name, dir)
		rest, below2 := strings.CutPrefix(rest, "/")
		if !below || dir != "" && !below2 {
			continue
		}
		first, _, deeper := strings.Cut(rest, "/")
		if deeper {
			found[first] = reader.Entry{Name: first, Dir: true}
			continue
		}
		found[first] = reader.Entry{
			Name: first, Modified: modified(),
			Version: reader.Version{Mount: mount, Key: name, ETag: content, Size: int64(len(content))},
		}
	}
	var entries []reader.Entry
	for _, e := range found {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b reader.Entry) int { return strings.Compare(a.Name, b.Name) })
	return entries
}

func (m *memory) Lookup(_ context.Context, mount, dir, name string) (reader.Entry, error) {
	if err := m.refuse[name]; err != nil {
		return reader.Entry{}, err
	}
	for _, e := range m.children(mount, dir) {
		if e.Name == name {
			return e, nil
		}
	}
	return reader.Entry{}, fmt.Errorf("looking %s up: %w", name, reader.ErrNotExist)
}

// List returns pages of two entries, so that every test covers paging.
func (m *memory) List(_ context.Context, mount, dir, after string) (reader.Page, error) {
	entries := m.children(mount, dir)
	entries = slices.DeleteFunc(entries, func(e reader.Entry) bool { return e.Name <= after })
	if len(entries) > 2 {
		return reader.Page{Entries: entries[:2], More: true}, nil
	}
	return reader.Page{Entries: entries}, nil
}

func (m *memory) Open(_ context.Context, v reader.Version) (File, error) {
	content := v.ETag
	if m.short {
		content = content[:len(content)/2]
	}
	return &memoryFile{strings.NewReader(content)}, nil
}

type memoryFile struct{ *strings.Reader }

func (f *memoryFile) ReadAt(_ context.Context, p []byte, offset int64) (int, error) {
	// At most three bytes a call, so that callers must continue.
	return f.Reader.ReadAt(p[:min(3, len(p))], offset)
}
func (f *memoryFile) Close() error { return nil }

func example() *memory {
	return &memory{
		report: reporttest.Healthy(),
		mounts: map[string]map[string]string{
			"/hadoop": {"a.txt": "alpha", "dir/b.txt": "bravo!", "dir/c.txt": "", "dir/deep/d.txt": "delta", "e.txt": "echo", "z": "zulu"},
			"/x/y":    {"f": "foxtrot"},
		},
		view: &commonv1.ClusterView{Mounts: []*commonv1.Mount{
			{Path: "/x/y", Uri: "s3://other/"}, {Path: "/hadoop", Uri: "oss://test-bucket/", ReadOnly: true},
		}},
		refuse: map[string]error{},
	}
}

// run runs one command with a cluster.
func run(t *testing.T, cluster *memory, program string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	env := Env{
		Program: program, Out: &out, Err: &err,
		Getenv: func(name string) string {
			return map[string]string{"JINDO_ROSTER": "/roster", "JINDO_TLS_DIR": "/tls"}[name]
		},
		Open: func(context.Context, Settings) (Cluster, error) { return cluster, nil },
	}
	code = Run(t.Context(), env, args)
	return out.String(), err.String(), code
}

func TestMetaStatusBlock(t *testing.T) {
	const want = `==== hadoop-jindofs-master-0:18004 ====
peer_id: 127.93.12.11:18006:0
state: FOLLOWER

==== hadoop-jindofs-master-1:18004 ====
peer_id: 127.93.12.12:18006:0
state: LEADER

==== hadoop-jindofs-master-2:18004 ====
peer_id: 127.93.12.13:18006:0
state: FOLLOWER
`
	stdout, stderr, code := run(t, example(), "/bin/jindo", "jfs", "-metaStatus", "-detail")
	if stdout != want || stderr != "" || code != 0 {
		t.Errorf("exit code %d, stderr %q, got\n%s\nwant\n%s", code, stderr, stdout, want)
	}
	sick := example()
	sick.report = reporttest.Degraded()
	stdout, stderr, code = run(t, sick, "jindo", "jfs", "-metaStatus", "-detail")
	if !strings.Contains(stdout, "peer_id: 127.93.12.11:18006:0\nstate: UNREACHABLE\n\n") || code != 0 {
		t.Errorf("exit code %d, got\n%s", code, stdout)
	}
	if !strings.Contains(stderr, "hadoop-jindofs-master-0: connection refused") {
		t.Errorf("stderr %q lacks the cause", stderr)
	}
}

func TestMetaStatusWithoutDetail(t *testing.T) {
	cluster := example()
	cluster.report = reporttest.Degraded()
	stdout, _, code := run(t, cluster, "jindo", "jfs", "-metaStatus")
	if want := "health: no   failure tolerance 0   hadoop-jindofs-master-0 does not respond\nverify: "; code != 0 || !strings.Contains(stdout, want) {
		t.Errorf("exit code %d, got\n%s\nwithout %q", code, stdout, want)
	}
	cluster.report.Masters[1].Group = nil // of an older version
	if stdout, _, _ = run(t, cluster, "jindo", "jfs", "-metaStatus"); !strings.Contains(stdout, "health: -\n") {
		t.Errorf("got\n%s", stdout)
	}
}

func TestReportFormat(t *testing.T) {
	cluster := example()
	cluster.report.Masters[1].Started = new(metav1.Date(2022, 1, 10, 15, 23, 51, 0, time.Local))
	want := `Namespace Address: 127.93.12.12:18004
Rpc Port: 18004
Started: Mon Jan 10 15:23:51 2022
Version: v0.1.0
Live Nodes: 3
Decommission Nodes: 0
Total Disk Capacity: 6.00GB
Used Disk Capacity: 1536.00MB
Total MEM Capacity: 3072.00MB
Used MEM Capacity: 768.00MB
`
	for _, args := range [][]string{{"jindo", "jfs", "-report"}, {"jindo", "fs", "-report"}, {"jindo", "admin", "-report"}, {"/usr/bin/jindocache", "-report"}} {
		if stdout, stderr, code := run(t, cluster, args[0], args[1:]...); stdout != want || code != 0 {
			t.Errorf("%v: exit code %d, stderr %q, got\n%s\nwant\n%s", args, code, stderr, stdout, want)
		}
	}
}

func TestSize(t *testing.T) {
	for bytes, want := range map[uint64]string{
		0: "0B", 5120: "5120B", 5121: "5.00KB", 5 << 20: "5120.00KB", 4 << 30: "4096.00MB", 5 << 30: "5120.00MB",
		5<<30 + 1<<20: "5.00GB", 470481764352: "438.17GB", 6 << 40: "6.00TB", 1 << 60: "1048576.00TB",
	} {
		if got := size(bytes); got != want {
			t.Errorf("%d: got %s, want %s", bytes, got, want)
		}
	}
}

func TestFS(t *testing.T) {
	local := modified().In(time.Local).Format("2006-01-02 15:04")
	for name, test := range map[string]struct {
		args           string
		code           int
		stdout, stderr string
	}{
		"ls": {args: "-ls jindo:///hadoop", stdout: "Found 4 items\n" +
			"-rw-r--r--   1 root root            5 " + local + " /hadoop/a.txt\n" +
			"drwxr-xr-x   - root root            0 " + time.Unix(0, 0).Format("2006-01-02 15:04") + " /hadoop/dir\n" +
			"-rw-r--r--   1 root root            4 " + local + " /hadoop/e.txt\n" +
			"-rw-r--r--   1 root root            4 " + local + " /hadoop/z\n"},
		"ls of a file":              {args: "-ls /hadoop/a.txt", stdout: "-rw-r--r--   1 root root            5 " + local + " /hadoop/a.txt\n"},
		"ls of the root":            {args: "-ls /", stdout: "Found 2 items\n"},
		"ls above a mount":          {args: "-ls jindo://name/x", stdout: "/x/y\n"},
		"ls -R":                     {args: "-ls -R /hadoop/dir", stdout: "/hadoop/dir/deep/d.txt\n"},
		"ls -d":                     {args: "-ls -d /hadoop", stdout: "/hadoop\n"},
		"ls of a missing path":      {args: "-ls jindo:///hadoop/none", code: 1, stderr: "ls: `jindo:///hadoop/none': No such file or directory\n"},
		"ls continues after that":   {args: "-ls /none /hadoop/z", code: 1, stdout: "/hadoop/z\n", stderr: "ls: `/none': No such file or directory"},
		"cat":                       {args: "-cat /hadoop/dir/b.txt /hadoop/z", stdout: "bravo!zulu"},
		"cat of a directory":        {args: "-cat /hadoop/dir", code: 1, stderr: "cat: `/hadoop/dir': Is a directory"},
		"cat of nothing":            {args: "-cat", code: 2, stderr: "requires a PATH"},
		"count":                     {args: "-count jindo:///hadoop", stdout: "           3            6                 24 jindo:///hadoop\n"},
		"count of a file":           {args: "-count /hadoop/z", stdout: "           0            1                  4 /hadoop/z\n"},
		"count of the root":         {args: "-count /", stdout: "           6            7                 31 /\n"},
		"count of a missing path":   {args: "-count /nope", code: 1, stderr: "count: `/nope': No such file or directory"},
		"du":                        {args: "-du /hadoop", stdout: "5  5  /hadoop/a.txt\n11  11  /hadoop/dir\n4  4  /hadoop/e.txt\n4  4  /hadoop/z\n"},
		"du -s":                     {args: "-du -s /hadoop", stdout: "24  24  /hadoop\n"},
		"stat":                      {args: "-stat /hadoop/a.txt", stdout: "2026-01-02 03:04:05\n"},
		"stat with a format":        {args: "-stat %F|%n|%b|%Y /hadoop/a.txt", stdout: "regular file|a.txt|5|1767323045000\n"},
		"stat of a directory":       {args: "-stat %F /hadoop/dir", stdout: "directory\n"},
		"test -e":                   {args: "-test -e /hadoop/a.txt"},
		"test -e of a missing path": {args: "-test -e /hadoop/nope", code: 1},
		"test -d":                   {args: "-test -d /hadoop/dir"},
		"test -d of a file":         {args: "-test -d /hadoop/a.txt", code: 1},
		"test -f":                   {args: "-test -f /hadoop/a.txt"},
		"test -z":                   {args: "-test -z /hadoop/dir/c.txt"},
		"test -z of some bytes":     {args: "-test -z /hadoop/a.txt", code: 1},
		"test of nothing":           {args: "-test /hadoop", code: 2, stderr: "requires -e, -d, -f or -z"},
		"an unknown command":        {args: "-chmod 777 /", code: 2, stderr: "error: jindo fs: unknown option -chmod: must be -ls, "},
		"an unknown option":         {args: "-ls -Q /", code: 2, stderr: "unknown option -Q"},
		"no path":                   {args: "-ls hadoop", code: 2, stderr: `invalid path "hadoop"`},
		"no command":                {args: "", code: 2, stderr: "-test or -report is required"},
		"dots do not lead out":      {args: "-ls /hadoop/../../hadoop/dir/..", stdout: "Found 4 items"},
		"refused by the store":      {args: "-cat /hadoop/secret", code: 1, stderr: "Permission denied"},
		"an unreachable store":      {args: "-cat /hadoop/unreachable", code: 1, stderr: "cat: `/hadoop/unreachable': dial tcp: timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := example()
			cluster.refuse["secret"] = fmt.Errorf("%w: oss:GetObject", reader.ErrPermission)
			cluster.refuse["unreachable"] = errors.New("dial tcp: timeout")
			stdout, stderr, code := run(t, cluster, "jindo", append([]string{"fs"}, strings.Fields(test.args)...)...)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if !strings.Contains(stdout, test.stdout) || test.stdout == "" && stdout != "" {
				t.Errorf("stdout\n%s\nhas no\n%s", stdout, test.stdout)
			}
			if !strings.Contains(stderr, test.stderr) || test.stderr == "" && stderr != "" {
				t.Errorf("stderr %q has no %q", stderr, test.stderr)
			}
			if code != 2 && !cluster.closed {
				t.Error("the cluster was not closed")
			}
		})
	}
}

func TestCatFailsWhenBytesAreMissing(t *testing.T) {
	cluster := example()
	cluster.short = true
	_, stderr, code := run(t, cluster, "jindo", "fs", "-cat", "/hadoop/dir/b.txt")
	if code != 1 || !strings.Contains(stderr, "ends after 3 of 6 bytes") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

func TestGet(t *testing.T) {
	dir := t.TempDir()
	get := func(want int, args ...string) string {
		t.Helper()
		_, stderr, code := run(t, example(), "jindo", append([]string{"fs", "-get"}, args...)...)
		if code != want {
			t.Errorf("%v: exit code %d, want %d, stderr %q", args, code, want, stderr)
		}
		return stderr
	}
	content := func(name string) string {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err.Error()
		}
		return string(raw)
	}
	get(0, "/hadoop/a.txt", filepath.Join(dir, "copy"))
	if got := content("copy"); got != "alpha" {
		t.Errorf("got %q", got)
	}
	get(0, "/hadoop/a.txt", dir)
	if info, err := os.Stat(filepath.Join(dir, "a.txt")); err != nil || !info.ModTime().Equal(modified()) {
		t.Errorf("modified %v, error %v", info.ModTime(), err)
	}
	if stderr := get(1, "/hadoop/z", filepath.Join(dir, "copy")); !strings.Contains(stderr, "File exists") {
		t.Errorf("over an existing file: stderr %q", stderr)
	}
	if got := content("copy"); got != "alpha" {
		t.Errorf("the existing file holds %q now", got)
	}
	get(0, "-f", "/hadoop/z", filepath.Join(dir, "copy"))
	if got := content("copy"); got != "zulu" {
		t.Errorf("got %q", got)
	}
	get(0, "/hadoop/dir", dir)
	if got := content("dir/deep/d.txt"); got != "delta" {
		t.Errorf("got %q", got)
	}
	get(1, "/hadoop/none", dir)
	get(2)
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, error %v", left, err)
	}
}

func TestGetNeverWritesOutsideItsTarget(t *testing.T) {
	cluster := example()
	cluster.mounts["/evil"] = map[string]string{"a/../../../escape": "x"}
	dir := filepath.Join(t.TempDir(), "in")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := run(t, cluster, "jindo", "fs", "-get", "/evil", dir); code != 1 || !strings.Contains(stderr, "invalid file name") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(dir), "escape")); err == nil {
		t.Error("the command wrote outside of the directory")
	}
}

func TestMounting(t *testing.T) {
	for _, words := range [][]string{{"jindo", "admin"}, {"jindocache"}, {"jindo", "cache"}} {
		cluster := example()
		stdout, _, code := run(t, cluster, words[0], append(slices.Clone(words[1:]), "-mount")...)
		if code != 0 || stdout != "oss://test-bucket/ on /hadoop type jindo (ro)\ns3://other/ on /x/y type jindo (ro)\n" {
			t.Errorf("%v -mount: exit code %d, got %q", words, code, stdout)
		}
		for line := range strings.Lines(stdout) {
			// Fluid reads the third word.
			if path := strings.Fields(line)[2]; !strings.HasPrefix(path, "/") {
				t.Errorf("the third word of %q is not a path", line)
			}
		}
		args := append(slices.Clone(words[1:]), "-mount", "/new/one", "oss://b/p/", "-o", "fs.oss.endpoint=e", "-secret", "s", "-ro")
		if stdout, stderr, code := run(t, cluster, words[0], args...); code != 0 || stdout != "Mounted oss://b/p/ at /new/one\n" {
			t.Errorf("%v: exit code %d, stderr %q, got %q", args, code, stderr, stdout)
		}
		m := cluster.mounted[0]
		if m.GetPath() != "/new/one" || m.GetUri() != "oss://b/p/" || m.GetName() != "new-one" || m.GetOptions()["fs.oss.endpoint"] != "e" || m.GetSecretRef() != "s" || !m.GetReadOnly() {
			t.Errorf("mounted %v", m)
		}
		if stdout, _, code := run(t, cluster, words[0], args...); code != 0 || stdout != "Mount point already exists: /new/one\n" {
			t.Errorf("again: exit code %d, got %q", code, stdout)
		}
		for _, verb := range []string{"-umount", "-unmount"} {
			if _, _, code := run(t, cluster, words[0], append(slices.Clone(words[1:]), verb, "/new/one")...); code != 0 {
				t.Errorf("%s: exit code %d", verb, code)
			}
		}
		if strings.Join(cluster.unmounted, " ") != "/new/one /new/one" {
			t.Errorf("unmounted %v", cluster.unmounted)
		}
		stdout, _, code = run(t, cluster, words[0], append(slices.Clone(words[1:]), "-refresh", "/hadoop")...)
		if code != 0 || stdout != "Refreshing /hadoop\n" || strings.Join(cluster.refreshed, " ") != "/hadoop" {
			t.Errorf("-refresh: exit code %d, got %q, refreshed %v", code, stdout, cluster.refreshed)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"nope"},
		{"jfs"},
		{"jfs", "-nope"},
		{"admin"},
		{"admin", "-nope"},
		{"admin", "-mount", "/only-a-path"},
		{"admin", "-mount", "/a", "b", "c"},
		{"admin", "-mount", "/a", "b", "-o", "novalue"},
		{"admin", "-mount", "/a", "b", "-o"},
		{"admin", "-mount", "-x"},
		{"admin", "-umount"},
		{"--roster"},
		{"--timeout", "soon", "fs", "-ls", "/"},
		{"--timeout=-1s", "fs"},
	} {
		_, stderr, code := run(t, example(), "jindo", args...)
		if code != 2 || !strings.HasPrefix(stderr, "error: ") || !strings.HasSuffix(stderr, " --help' for usage.\n") || strings.Count(stderr, "\n") != 2 {
			t.Errorf("%v: exit code %d, stderr %q", args, code, stderr)
		}
	}
	for _, program := range []string{"jindo", "jindocache"} {
		if stdout, _, code := run(t, example(), program, "-version"); code != 0 || !strings.HasPrefix(stdout, "Version: ") || !strings.Contains(stdout, "\nCommitId: ") {
			t.Errorf("%s -version: exit code %d, got %q", program, code, stdout)
		}
	}
}

func TestSettings(t *testing.T) {
	getenv := func(name string) string { return map[string]string{"JINDO_ROSTER": "/env/roster"}[name] }
	s, rest, err := parseSettings([]string{"--tls-dir", "/t", "-timeout=5s", "fs", "-ls", "--roster"}, getenv)
	if err != nil || s.Roster != "/env/roster" || s.TLSDir != "/t" || s.Timeout != 5*time.Second || strings.Join(rest, " ") != "fs -ls --roster" {
		t.Errorf("got %+v, %q, error %v", s, rest, err)
	}
	s, _, err = parseSettings([]string{"--roster=/flag", "fs"}, getenv)
	if err != nil || s.Roster != "/flag" || s.Timeout != defaultTimeout {
		t.Errorf("got %+v, error %v", s, err)
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if _, err := (Settings{}).locate(); err == nil || !strings.Contains(err.Error(), "--roster FILE") {
		t.Errorf("without a runtime: error %v, want one that names the flags", err)
	}
	if s, err := (Settings{Roster: "/r"}).locate(); err != nil || s.TLSDir != defaultTLSDir {
		t.Errorf("got %+v, error %v", s, err)
	}
}

func TestParsePath(t *testing.T) {
	for text, want := range map[string]string{
		"jindo:///a/b": "/a/b", "jindo://host:8101/a": "/a", "jfs://jindo/a/": "/a", "/a//b": "/a/b", "jindo://": "/", "jindo://host": "/", "/../..": "/",
	} {
		if got, err := parsePath(text); err != nil || got != want {
			t.Errorf("%s: got %q, error %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", "a", "oss://b/c", "./a"} {
		if got, err := parsePath(text); err == nil {
			t.Errorf("%q: got %q, want an error", text, got)
		}
	}
}

// failing fails every write.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestOutputErrors(t *testing.T) {
	for _, args := range [][]string{{"fs", "-cat", "/hadoop/z"}, {"fs", "-ls", "/hadoop"}, {"jfs", "-report"}, {"jfs", "-metaStatus", "-detail"}} {
		env := Env{
			Program: "jindo", Out: failing{}, Err: io.Discard, Getenv: func(string) string { return "/x" },
			Open: func(context.Context, Settings) (Cluster, error) { return example(), nil },
		}
		if code := Run(t.Context(), env, args); code != 1 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, test := range []struct {
		program, args string
		want, without string
	}{
		{"jindo", "--help", "jindo admin -refresh", ""},
		{"jindo", "-help", "jindo fs -ls", ""},
		{"jindo", "help", "jindo jfs -metaStatus", ""},
		{"jindo", "fs -help", "jindo fs -ls", "jindo admin"},
		{"jindo", "fs --help", "jindo fs -ls", "jindo jfs"},
		{"jindo", "fs -ls -help", "jindo fs -ls", "jindo jfs"},
		{"jindo", "admin -help", "jindo admin -mount", "jindo fs"},
		{"jindo", "cache -help", "jindo admin -mount", "jindo fs"},
		{"/usr/bin/jindocache", "-help", "jindo admin -mount", "jindo fs"},
	} {
		cluster := example()
		stdout, stderr, code := run(t, cluster, test.program, strings.Fields(test.args)...)
		if code != 0 || stderr != "" || !strings.Contains(stdout, test.want) || test.without != "" && strings.Contains(stdout, test.without) {
			t.Errorf("%s %s: exit code %d, stderr %q, got\n%s", test.program, test.args, code, stderr, stdout)
		}
	}
}

// TestAmbiguousRuntimes checks that the error lists the flags of each runtime.
func TestAmbiguousRuntimes(t *testing.T) {
	layouts := []local.Layout{local.NewLayout("/root", "default", "hadoop"), local.NewLayout("/root", "vision", "spark")}
	err := ambiguous(layouts)
	for _, l := range layouts {
		if want := l.String() + ": --roster " + l.Roster() + " --tls-dir " + l.TLS(local.Admin); !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
}
