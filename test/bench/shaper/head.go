package shaper

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
)

// maxHead bounds the head of a message, in bytes.
const maxHead = 1 << 20

// head holds the first line and the header lines of a message as they were
// received.
type head struct{ raw []byte }

func readHead(from *bufio.Reader) (head, error) {
	var h head
	for {
		line, err := from.ReadSlice('\n')
		if err != nil {
			return h, fmt.Errorf("read the head of a message: %w", err)
		}
		h.raw = append(h.raw, line...)
		if len(bytes.TrimRight(line, "\r\n")) == 0 && len(h.raw) > len(line) {
			return h, nil
		}
		if len(h.raw) > maxHead {
			return h, errors.New("read the head of a message: it is too long")
		}
	}
}

func (h head) request() (*http.Request, error) {
	request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(h.raw)))
	if err != nil {
		return nil, fmt.Errorf("parse a request: %w", err)
	}
	return request, nil
}

func (h head) response(request *http.Request) (*http.Response, error) {
	response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(h.raw)), request)
	if err != nil {
		return nil, fmt.Errorf("parse a response: %w", err)
	}
	return response, nil
}
