package main

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/semver"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

const exampleVersion = "v1.2.3"

// manifest has every field of a plugin manifest.
type manifest struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   metadata `json:"metadata"`
	Spec       struct {
		Version          string             `json:"version"`
		Homepage         string             `json:"homepage"`
		ShortDescription string             `json:"shortDescription"`
		Description      string             `json:"description"`
		Caveats          string             `json:"caveats"`
		Platforms        []manifestPlatform `json:"platforms"`
	} `json:"spec"`
}

type metadata struct {
	Name string `json:"name"`
}

type manifestPlatform struct {
	Selector *metav1.LabelSelector `json:"selector"`
	URI      string                `json:"uri"`
	Sha256   string                `json:"sha256"`
	Bin      string                `json:"bin"`
	Files    []manifestFile        `json:"files"`
}

type manifestFile struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// supported returns the platforms of krew.
func supported() []platform {
	return []platform{
		{"windows", "386"},
		{"windows", "amd64"},
		{"windows", "arm64"},
		{"linux", "386"},
		{"linux", "amd64"},
		{"linux", "arm"},
		{"linux", "arm64"},
		{"linux", "ppc64le"},
		{"darwin", "386"},
		{"darwin", "amd64"},
		{"darwin", "arm64"},
	}
}

// parse rejects unknown fields, which krew ignores.
func parse(text []byte) (*manifest, error) {
	var m manifest
	if err := yaml.UnmarshalStrict(text, &m); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	return &m, nil
}

// broken returns the rules of krew and of its index that a manifest violates.
func broken(fileName string, m *manifest) error {
	var found []error
	rule := func(holds bool, format string, args ...any) {
		if !holds {
			found = append(found, fmt.Errorf(format, args...))
		}
	}
	rule(m.APIVersion == "krew.googlecontainertools.github.com/v1alpha2", "apiVersion is %s", m.APIVersion)
	rule(m.Kind == "Plugin", "kind is %s", m.Kind)
	rule(fileName == m.Metadata.Name+".yaml", "file name %s for plugin %s", fileName, m.Metadata.Name)
	rule(regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`).MatchString(m.Metadata.Name) && !strings.HasPrefix(m.Metadata.Name, "kube"),
		"name %q", m.Metadata.Name)
	rule(semver.IsValid(m.Spec.Version) && semver.Canonical(m.Spec.Version) == m.Spec.Version, "version %q is not semver with a v", m.Spec.Version)
	rule(strings.HasPrefix(m.Spec.Homepage, "https://"), "homepage %q", m.Spec.Homepage)
	short := m.Spec.ShortDescription
	rule(short != "" && len(short) <= 50 && !strings.Contains(short, "\n"), "shortDescription of %d characters", len(short))
	for name, text := range map[string]string{"description": m.Spec.Description, "caveats": m.Spec.Caveats} {
		rule(text != "", "%s is empty", name)
		for line := range strings.Lines(text) {
			rule(len(strings.TrimSuffix(line, "\n")) <= 80, "%s has a line of %d characters", name, len(line))
		}
	}
	rule(!regexp.MustCompile(`kubectl |\$ `).MatchString(m.Spec.Description), "the description shows commands")
	rule(len(m.Spec.Platforms) > 0, "there are no platforms")
	for i, p := range m.Spec.Platforms {
		for _, err := range brokenPlatform(m.Spec.Version, p) {
			found = append(found, fmt.Errorf("platform %d: %w", i, err))
		}
	}
	for _, k := range supported() {
		if n := len(matching(m, k)); n > 1 {
			rule(false, "%s is selected %d times", k, n)
		}
	}
	return errors.Join(found...)
}

func brokenPlatform(version string, p manifestPlatform) []error {
	var found []error
	rule := func(holds bool, format string, args ...any) {
		if !holds {
			found = append(found, fmt.Errorf(format, args...))
		}
	}
	rule(strings.HasPrefix(p.URI, "https://") && strings.Contains(p.URI, "/"+version+"/"), "uri %q", p.URI)
	rule(regexp.MustCompile(`^[a-f0-9]{64}$`).MatchString(p.Sha256), "sha256 %q", p.Sha256)
	rule(p.Selector != nil && len(p.Selector.MatchLabels)+len(p.Selector.MatchExpressions) > 0, "selects everything")
	if p.Selector != nil {
		keys := make([]string, 0, 2)
		for key := range p.Selector.MatchLabels {
			keys = append(keys, key)
		}
		for _, e := range p.Selector.MatchExpressions {
			keys = append(keys, e.Key)
		}
		for _, key := range keys {
			rule(key == "os" || key == "arch", "selects by %s", key)
		}
	}
	selected := slices.ContainsFunc(supported(), func(k platform) bool { return selects(p, k) })
	rule(selected, "selects no platform that krew supports")
	windows := slices.ContainsFunc(supported(), func(k platform) bool { return k.os == "windows" && selects(p, k) })
	rule(p.Bin != "" && path.Clean(p.Bin) == p.Bin && !strings.HasPrefix(p.Bin, ".."), "bin %q", p.Bin)
	rule(windows == strings.HasSuffix(p.Bin, ".exe"), "bin %q", p.Bin)
	rule(p.Files == nil || len(p.Files) > 0, "files are empty: leave them out")
	for _, f := range p.Files {
		rule(f.From != "" && f.To != "" && path.Clean(f.To) == f.To && !path.IsAbs(f.To) && !strings.HasPrefix(f.To, ".."),
			"file %q to %q", f.From, f.To)
	}
	return found
}

func selects(p manifestPlatform, k platform) bool {
	selector, err := metav1.LabelSelectorAsSelector(p.Selector)
	return err == nil && selector.Matches(labels.Set{"os": k.os, "arch": k.arch})
}

func matching(m *manifest, k platform) []manifestPlatform {
	var found []manifestPlatform
	for _, p := range m.Spec.Platforms {
		if selects(p, k) {
			found = append(found, p)
		}
	}
	return found
}

// example is the manifest of a release with invented checksums.
func example(t *testing.T) *manifest {
	t.Helper()
	text, err := renderWith("..", exampleVersion, func(uri string) (string, error) {
		return fmt.Sprintf("a%063x", len(uri)), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m, err := parse(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return m
}

func TestTemplateMatchesKrewRules(t *testing.T) {
	m := example(t)
	if err := broken("jindo.yaml", m); err != nil {
		t.Error(err)
	}
	for _, p := range packed() {
		found := matching(m, p)
		if len(found) != 1 {
			t.Fatalf("the manifest selects %s %d times, want once", p, len(found))
		}
		if path.Base(found[0].URI) != p.archive(exampleVersion) || found[0].Bin != p.executable() {
			t.Errorf("%s: %s with %s", p, found[0].URI, found[0].Bin)
		}
	}
	if len(m.Spec.Platforms) != len(packed()) {
		t.Errorf("the manifest has %d platforms, want %d", len(m.Spec.Platforms), len(packed()))
	}
}

// TestBrokenManifests checks that every rule can fail.
func TestBrokenManifests(t *testing.T) {
	first := func(change func(*manifestPlatform)) func(*manifest) {
		return func(m *manifest) { change(&m.Spec.Platforms[0]) }
	}
	for name, test := range map[string]struct {
		change func(*manifest)
		want   string
	}{
		"another kind":         {func(m *manifest) { m.Kind = "Plugins" }, "kind is"},
		"another version":      {func(m *manifest) { m.APIVersion = "v1" }, "apiVersion is"},
		"another name":         {func(m *manifest) { m.Metadata.Name = "jindofs" }, "file name jindo.yaml"},
		"a version without v":  {func(m *manifest) { m.Spec.Version = "1.2.3" }, "not semver"},
		"half a version":       {func(m *manifest) { m.Spec.Version = "v1.2" }, "not semver"},
		"no homepage":          {func(m *manifest) { m.Spec.Homepage = "" }, "homepage"},
		"a long description":   {func(m *manifest) { m.Spec.ShortDescription = strings.Repeat("x", 51) }, "51 characters"},
		"two lines":            {func(m *manifest) { m.Spec.ShortDescription = "a\nb" }, "shortDescription"},
		"an unwrapped text":    {func(m *manifest) { m.Spec.Description = strings.Repeat("word ", 17) }, "a line of 85"},
		"usage examples":       {func(m *manifest) { m.Spec.Description = "kubectl jindo status" }, "shows commands"},
		"no platforms":         {func(m *manifest) { m.Spec.Platforms = nil }, "no platforms"},
		"the same twice":       {func(m *manifest) { m.Spec.Platforms = append(m.Spec.Platforms, m.Spec.Platforms[0]) }, "selected 2 times"},
		"a sum in capitals":    {first(func(p *manifestPlatform) { p.Sha256 = strings.Repeat("A", 64) }), "sha256"},
		"a short sum":          {first(func(p *manifestPlatform) { p.Sha256 = "abc" }), "sha256"},
		"the address of a tag": {first(func(p *manifestPlatform) { p.URI = "https://example.com/latest/x.tar.gz" }), "uri"},
		"no selector":          {first(func(p *manifestPlatform) { p.Selector = nil }), "selects everything"},
		"an empty selector":    {first(func(p *manifestPlatform) { p.Selector = &metav1.LabelSelector{} }), "selects everything"},
		"an unknown platform":  {first(func(p *manifestPlatform) { p.Selector.MatchLabels["arch"] = "s390x" }), "no platform that krew supports"},
		"another label":        {first(func(p *manifestPlatform) { p.Selector.MatchLabels["libc"] = "musl" }), "selects by libc"},
		"no extension":         {first(func(p *manifestPlatform) { p.Selector.MatchLabels["os"] = "windows" }), "bin"},
		"no files":             {first(func(p *manifestPlatform) { p.Files = []manifestFile{} }), "files are empty"},
		"a file outside":       {first(func(p *manifestPlatform) { p.Files = []manifestFile{{"a", "../a"}} }), `to "../a"`},
		"a path that is not clean": {first(func(p *manifestPlatform) {
			p.Files = []manifestFile{{"a", "./a/"}}
		}), `to "./a/"`},
	} {
		t.Run(name, func(t *testing.T) {
			m := example(t)
			test.change(m)
			if err := broken("jindo.yaml", m); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if _, err := parse([]byte("kind: Plugin\nspec: {homepge: https://example.com}")); err == nil {
		t.Error("an unknown key was accepted")
	}
}

func TestRelease(t *testing.T) {
	for described, want := range map[string]string{
		"v1.2.3":               "v1.2.3",
		"v1.2.3-rc.1":          "v1.2.3-rc.1",
		"v1.2.3-4-g97f3730":    "v1.2.3-4-g97f3730",
		"97f3730":              "v0.0.0-g97f3730",
		"0123456":              "v0.0.0-g0123456",
		"97f3730-dirty":        "v0.0.0-g97f3730-dirty",
		"devel":                "v0.0.0-gdevel",
		"":                     "",
		"v1.2":                 "",
		"1.2.3":                "v0.0.0-g1.2.3",
		"release/one":          "",
		"v1.2.3+linux":         "",
		"v1.2.3-../etc/passwd": "",
	} {
		got, err := release(described)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, error %v, want %q", described, got, err, want)
		}
	}
}

func TestRenderReportsMissingArchive(t *testing.T) {
	_, err := render("..", exampleVersion, map[string]string{"kubectl-jindo_v1.2.3_linux_amd64.tar.gz": "0"})
	if err == nil || !strings.Contains(err.Error(), "linux_arm64.tar.gz, which was not packed") {
		t.Errorf("error %v", err)
	}
}
