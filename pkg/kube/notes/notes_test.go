package notes_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jindo-io/jindo/pkg/kube/notes"
)

func TestShorten(t *testing.T) {
	for _, text := range []string{"", "short", strings.Repeat("a", 64), strings.Repeat("ä", 100), strings.Repeat("€", 100), strings.Repeat("x", 57) + "𝄞𝄞𝄞𝄞𝄞"} {
		for limit := 50; limit < 70; limit++ {
			got := notes.Shorten(text, limit)
			if len(got) > limit || !utf8.ValidString(got) || len(text) <= limit && got != text {
				t.Errorf("Shorten(%.10q…, %d) = %q, %d bytes", text, limit, got, len(got))
			}
			if len(text) > limit && (!strings.HasSuffix(got, "…") || !strings.HasPrefix(text, strings.TrimSuffix(got, "…")) || len(got) < limit-6) {
				t.Errorf("Shorten(%.10q…, %d) = %q", text, limit, got)
			}
		}
	}
}

func TestWithoutIDs(t *testing.T) {
	for text, want := range map[string]string{
		`listing s3://a/: access key id "AKIA1" lacks the right s3:ListBucket (403 AccessDenied, request R-1): denied`: `listing s3://a/: access key id lacks the right s3:ListBucket (403 AccessDenied): denied`,
		`no such host (a request of the worker)`: `no such host (a request of the worker)`,
		``:                                       ``,
	} {
		if got := notes.WithoutIDs(text); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
