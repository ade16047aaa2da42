package wire

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Lengths of what an error document adds to messages, in bytes.
const (
	maxCode    = 100
	maxMessage = 300
)

// endpointName matches what may be the endpoint in an error document.
var endpointName = regexp.MustCompile(`^[A-Za-z0-9.:-]{1,255}$`)

// parse reads the error document of a store. Of a document that is damaged it
// keeps what precedes the damage; anything else leaves r without a code. Plain text,
// which web servers send, becomes the message.
func (r *ErrorResponse) parse(body []byte) {
	fields := map[string]*string{"Code": &r.Code, "Message": &r.Message, "RequestId": &r.RequestID, "Endpoint": &r.OtherEndpoint}
	_ = readElements(body, "Error", func(path []string, text string) error {
		if len(path) == 2 && fields[path[1]] != nil && *fields[path[1]] == "" {
			*fields[path[1]] = text
		}
		return nil
	})
	if r.Code == "" && r.Message == "" && !bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
		r.Message = string(body[:min(len(body), maxMessage)])
	}
	r.Code, r.Message, r.RequestID = clean(r.Code, maxCode), clean(r.Message, maxMessage), clean(r.RequestID, maxCode)
	if r.Status >= 500 || !endpointName.MatchString(r.OtherEndpoint) {
		r.OtherEndpoint = ""
	}
}

// clean makes text of a store fit for messages: one line of UTF-8, not too long.
func clean(text string, limit int) string {
	text = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) || c == utf8.RuneError {
			return ' '
		}
		return c
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit] + "..."
}

// isErrorDocument reports whether a body begins like an error document.
func isErrorDocument(body []byte) bool {
	decoder := xml.NewDecoder(bytes.NewReader(body))
	for range 10 { // a declaration, comments, spaces
		token, err := decoder.Token()
		if err != nil {
			return false
		}
		if start, is := token.(xml.StartElement); is {
			return start.Name.Local == "Error"
		}
	}
	return false
}

// maxDepth is how deep the elements of a document may be nested. Those of stores
// have at most five levels.
const maxDepth = 16

// readElements decodes an XML document and calls visit with the path and the text
// of each element at its end; the path begins with the root. The slice is
// valid during the call only. It returns an error unless the document is
// well-formed, complete, and has that root.
func readElements(body []byte, root string, visit func(path []string, text string) error) error {
	decoder := xml.NewDecoder(bytes.NewReader(body))
	var path []string
	var text strings.Builder
	for ended := false; ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) && ended {
			return nil
		}
		if err != nil {
			return err //nolint:wrapcheck // the caller says of what
		}
		switch token := token.(type) {
		case xml.StartElement:
			if len(path) == 0 && (ended || token.Name.Local != root) {
				return errors.New("unexpected element <" + clean(token.Name.Local, maxCode) + ">")
			}
			if len(path) == maxDepth {
				return errors.New("the elements are nested too deep")
			}
			path = append(path, token.Name.Local)
			text.Reset()
		case xml.CharData:
			if len(path) > 0 {
				text.Write(token)
			} else if len(bytes.TrimSpace(token)) > 0 {
				return errors.New("text outside of the document")
			}
		case xml.EndElement:
			if err := visit(path, text.String()); err != nil {
				return err
			}
			path = path[:len(path)-1]
			ended = len(path) == 0
			text.Reset()
		case xml.Directive:
			return errors.New("a document type")
		}
	}
}
