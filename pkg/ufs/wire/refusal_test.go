package wire

import (
	"strings"
	"testing"
)

// Web servers and proxies send plain text; it is the message of the error. Markup
// that is not an error document says nothing.
func TestTextOfARefusal(t *testing.T) {
	for body, want := range map[string]string{
		"Client sent an HTTP request to an HTTPS server.\n": "Client sent an HTTP request to an HTTPS server.",
		"two\nlines\x00and \xff":                            "two lines and",
		"":                                                  "",
		" <html><body>Bad Request</body></html>":            "",
		"<Error><Code>Busy</Code><Message>later</Message></Error>": "later",
		"<Error><Message>cut off</Message><Cod":                    "cut off",
		strings.Repeat("x", maxMessage+100):                        strings.Repeat("x", maxMessage),
	} {
		var r ErrorResponse
		r.parse([]byte(body))
		if r.Message != want {
			t.Errorf("the message of %.60q is %.60q, want %.60q", body, r.Message, want)
		}
	}
}
