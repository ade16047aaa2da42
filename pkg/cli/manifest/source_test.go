package manifest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
)

// tree writes files below a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSourcesRead(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{
		"b.yaml": "b", "a.yml": "a", "c.json": "c", "notes.txt": "n", "sub/d.yaml": "d", "empty/notes.txt": "",
		"kustom/kustomization.yaml": "resources: [x.yaml]\nnamePrefix: p-\n",
		"kustom/x.yaml":             "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\n",
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/x.yaml" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, "from a URL")
	}))
	t.Cleanup(server.Close)
	for name, test := range map[string]struct {
		sources Sources
		want    []string
		fails   string
	}{
		"file":                  {sources: Sources{Files: []string{dir + "/b.yaml"}}, want: []string{"b"}},
		"any name if given":     {sources: Sources{Files: []string{dir + "/notes.txt"}}, want: []string{"n"}},
		"standard input":        {sources: Sources{Files: []string{"-"}}, want: []string{"stdin"}},
		"directory":             {sources: Sources{Files: []string{dir}}, want: []string{"a", "b", "c"}},
		"directory recursively": {sources: Sources{Files: []string{dir}, Recursive: true}, want: []string{"a", "b", "c", "resources: [x.yaml]\nnamePrefix: p-\n", "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\n", "d"}},
		"pattern":               {sources: Sources{Files: []string{dir + "/*.y*ml"}}, want: []string{"a", "b"}},
		"URL":                   {sources: Sources{Files: []string{server.URL + "/x.yaml"}}, want: []string{"from a URL"}},
		"kustomization":         {sources: Sources{Kustomize: dir + "/kustom"}, want: []string{"apiVersion: v1\nkind: Secret\nmetadata:\n  name: p-x\n"}},
		"missing":               {sources: Sources{Files: []string{dir + "/none.yaml"}}, fails: "none.yaml\" does not exist"},
		"no manifest":           {sources: Sources{Files: []string{dir + "/empty"}}, fails: "no manifest in"},
		"URL not found":         {sources: Sources{Files: []string{server.URL + "/y.yaml"}}, fails: "404 Not Found"},
		"no kustomization":      {sources: Sources{Kustomize: dir}, fails: "kustomization"},
		"both":                  {sources: Sources{Files: []string{"-"}, Kustomize: dir}, fails: "-f and -k cannot be used together"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files, err := test.sources.Read(t.Context(), strings.NewReader("stdin"))
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) || clierror.Code(err) != clierror.Usage {
					t.Fatalf("error %v (code %d), want a usage error with %q", err, clierror.Code(err), test.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, file := range files {
				got = append(got, string(file.Raw))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestReadOfStdinEndsWithItsContext uses a reader that never returns, as a
// terminal does on which nothing is typed.
func TestReadOfStdinEndsWithItsContext(t *testing.T) {
	t.Parallel()
	reader, writer := io.Pipe()
	t.Cleanup(func() { _ = writer.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sources := Sources{Files: []string{"-"}}
	if _, err := sources.Read(ctx, reader); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// TestSilentURL uses a server that accepts connections and never responds.
func TestSilentURL(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	url := "http://" + listener.Addr().String() + "/dataset.yaml"
	sources := Sources{Files: []string{url, url}, Timeout: 50 * time.Millisecond}
	_, err = sources.Read(t.Context(), nil)
	if want := "reading " + url + ": no response within 50ms"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s…", err, want)
	}
}

func TestGivenFieldsAreKept(t *testing.T) {
	t.Parallel()
	const text = `apiVersion: v1
kind: List
items:
- apiVersion: data.fluid.io/v1alpha1
  kind: JindoRuntime
  metadata: {name: a}
  spec: {fuse: {disabled: false}, replicas: 0}
--- # the second
apiVersion: data.fluid.io/v1alpha1
kind: JindoRuntime
metadata: {name: b}
`
	set, err := Read(t.Context(), Options{Sources: Sources{Files: []string{"-"}}, Stdin: strings.NewReader(text), Namespace: "vision", Partial: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Given) != 2 || len(set.Objects) != 2 || set.Given[1].GetName() != "b" || set.Given[0].GetNamespace() != "vision" {
		t.Fatalf("got %+v", set.Given)
	}
	raw, err := set.Given[0].MarshalJSON()
	if err != nil || !strings.Contains(string(raw), `"spec":{"fuse":{"disabled":false},"replicas":0}`) {
		t.Errorf("given %s, error %v", raw, err)
	}
}
