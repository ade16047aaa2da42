package version

import (
	"strings"
	"testing"
)

func TestTag(t *testing.T) {
	for image, want := range map[string]string{
		"docker.io/jindo-io/jindo:v1.2.3": "v1.2.3", "registry:5000/jindo": "latest", "jindo:dev": "dev",
		"jindo:v1@sha256:ab": "v1", "jindo@sha256:ab": "sha256:ab",
	} {
		if got := Tag(image); got != want {
			t.Errorf("%s: %q, want %q", image, got, want)
		}
	}
}

func TestSkew(t *testing.T) {
	for name, test := range map[string]struct {
		client     string
		components []string
		want       string
	}{
		"the same":          {"v1.2.0", []string{"v1.2.0", "v1.2.0"}, ""},
		"another patch":     {"v1.2.9", []string{"v1.2.0"}, ""},
		"another minor":     {"v1.3.0", []string{"v1.2.0"}, "use a program of the same minor version"},
		"no release":        {"devel", []string{"v1.2.0"}, ""},
		"parts of two":      {"devel", []string{"v1.2.0", "v1.3.0"}, "the components are of different versions: a v1.2.0; b v1.3.0"},
		"without the v":     {"1.3.0", []string{"v1.2.0"}, "same minor version"},
		"a build after one": {"v1.2.0-5-gabc", []string{"v1.2.0"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Report{Client: Build{Version: test.client}}
			for i, v := range test.components {
				r.Components = append(r.Components, Component{Name: string(rune('a' + i)), Version: v})
			}
			got := strings.Join(skew(r), "\n")
			if (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
