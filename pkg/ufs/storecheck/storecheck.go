// Package storecheck checks in another process that a store can be read, so that a
// program that starts often need not link the drivers.
package storecheck

import (
	"errors"
	"fmt"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/retry"
)

// Flag is the only argument of a program that links the drivers and is started to
// check one store: it reads a [Request] from its standard input and writes a
// [Response] to its standard output.
const Flag = "-check-store"

// ErrTimeout is the error of a store that did not respond within the limit.
var ErrTimeout = fmt.Errorf("no response within the limit: %w", ufs.ErrUnavailable)

// Request names a store and how to read it. It holds secrets, so it is sent over a
// pipe and not in arguments or variables.
type Request struct {
	URI     string            `json:"uri"`
	Options map[string]string `json:"options,omitempty"`
	// Credentials is nil for a store without them.
	Credentials *ufs.Credentials `json:"credentials,omitempty"`
	Limit       time.Duration    `json:"limit"`
}

// Response is the result of a check. Failure is nil if the store can be read.
type Response struct {
	Empty   bool     `json:"empty"`
	Failure *Failure `json:"failure,omitempty"`
}

// Failure is the error of a driver in a form that can be sent.
type Failure struct {
	Message string `json:"message"`
	// Kinds are the texts of the kinds of package ufs that the error is of.
	Kinds   []string `json:"kinds,omitempty"`
	Final   bool     `json:"final,omitempty"`
	Timeout bool     `json:"timeout,omitempty"`
}

// NewFailure returns an error in the form that can be sent.
func NewFailure(err error, timeout bool) *Failure {
	f := &Failure{Message: err.Error(), Final: retry.IsFinal(err), Timeout: timeout}
	for _, kind := range ufs.Kinds() {
		if errors.Is(err, kind) {
			f.Kinds = append(f.Kinds, kind.Error())
		}
	}
	return f
}

// Err returns an error with the text and of the kinds of the original.
func (f *Failure) Err() error {
	if f.Timeout {
		return ErrTimeout
	}
	received := &receivedError{text: f.Message}
	for _, kind := range ufs.Kinds() {
		for _, name := range f.Kinds {
			if name == kind.Error() {
				received.kinds = append(received.kinds, kind)
			}
		}
	}
	if f.Final {
		return retry.Final(received)
	}
	return received
}

// receivedError is an error of a driver in the other process.
type receivedError struct {
	text  string
	kinds []error
}

func (e *receivedError) Error() string   { return e.text }
func (e *receivedError) Unwrap() []error { return e.kinds }
