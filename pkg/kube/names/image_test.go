package names

import "testing"

func TestImage(t *testing.T) {
	const whole = "registry:5000/jindo-io/jindo:v1"
	for _, test := range []struct{ name, tag, want string }{
		{"", "", whole},
		{"", "v2", "registry:5000/jindo-io/jindo:v2"},
		{"other/jindo", "", "other/jindo:v1"},
		{"other/jindo", "v2", "other/jindo:v2"},
		{"other/jindo:v3", "", "other/jindo:v3"},
		{"registry:5000/jindo", "", "registry:5000/jindo:v1"},
	} {
		if got := Image(whole, test.name, test.tag); got != test.want {
			t.Errorf("image %q with tag %q is %s, want %s", test.name, test.tag, got, test.want)
		}
	}
	if got := Image("jindo@sha256:abc", "", ""); got != "jindo@sha256:abc" {
		t.Errorf("a digest became %s", got)
	}
	if got := Image("jindo@sha256:abc", "", "v2"); got != "jindo:v2" {
		t.Errorf("a digest with another tag became %s", got)
	}
	if got := Image("jindo@sha256:abc", "other", ""); got != "other" {
		t.Errorf("an image without tag became %s", got)
	}
}
