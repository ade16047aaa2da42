// Package notes bounds the texts that components write into objects.
package notes

import (
	"regexp"
	"strings"
)

// EventLimit is the size of an event's note above which the API server rejects the
// event, in bytes.
const EventLimit = 1024

const ellipsis = "…"

// Shorten returns text if it has at most limit bytes, and otherwise its beginning with
// an ellipsis, limit bytes at most, cut between two characters.
func Shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:max(limit-len(ellipsis), 0)], "") + ellipsis
}

// WithoutIDs returns a message about a store without the ids of the request and of the
// access key. Workers of earlier versions report them; the id of the request is another
// one in every report.
func WithoutIDs(text string) string {
	text = requestID().ReplaceAllString(text, "$1)")
	return accessKeyID().ReplaceAllString(text, "access key id")
}

func requestID() *regexp.Regexp { return regexp.MustCompile(`(\([^()]*), request [^()\s]*\)`) }

func accessKeyID() *regexp.Regexp { return regexp.MustCompile(`access key id "[^"]*"`) }
