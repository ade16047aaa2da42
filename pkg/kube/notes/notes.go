// Package notes bounds the texts that components write into objects.
package notes

import "strings"

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
