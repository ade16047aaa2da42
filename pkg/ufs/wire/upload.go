package wire

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/retry"
)

// Upload is a body that is sent once in each attempt.
type Upload struct {
	body  io.Reader
	size  int64
	start int64
	used  bool
}

// NewUpload sends size bytes of body from its current offset. Only an io.Seeker
// can be sent again.
func NewUpload(body io.Reader, size int64) (*Upload, error) {
	if size < 0 {
		return nil, fmt.Errorf("a body of %d bytes: %w", size, ufs.ErrInvalid)
	}
	u := &Upload{body: body, size: size}
	if seeker, is := body.(io.Seeker); is {
		var err error
		if u.start, err = seeker.Seek(0, io.SeekCurrent); err != nil {
			return nil, fmt.Errorf("get the offset of the body: %w: %w", err, ufs.ErrInvalid)
		}
	}
	return u, nil
}

// Begin returns the body for one attempt.
func (u *Upload) Begin(w *Watch, stall time.Duration) (*Attempt, error) {
	if u.used {
		seeker, is := u.body.(io.Seeker)
		if !is {
			return nil, errors.New("the body cannot be read again")
		}
		if _, err := seeker.Seek(u.start, io.SeekStart); err != nil {
			return nil, fmt.Errorf("reading the body again: %w", err)
		}
	}
	return &Attempt{upload: u, left: u.size, watch: w, stall: stall}, nil
}

// Again reports whether another attempt could send the body.
func (u *Upload) Again() bool {
	_, is := u.body.(io.Seeker)
	return is || !u.used
}

// Attempt is the body of one attempt. It hides the Seeker, so that HTTP clients
// cannot send it again.
type Attempt struct {
	upload *Upload
	left   int64
	watch  *Watch
	stall  time.Duration
	failed error
}

// Read returns at most as many bytes as the upload has.
func (a *Attempt) Read(p []byte) (int, error) {
	a.watch.Progress(a.stall)
	if a.left == 0 {
		return 0, io.EOF
	}
	a.upload.used = true
	n, err := a.upload.body.Read(p[:min(int64(len(p)), a.left)])
	a.left -= int64(n)
	switch {
	case errors.Is(err, io.EOF) && a.left > 0:
		a.failed = fmt.Errorf("the body has %d bytes of %d: %w", a.upload.size-a.left, a.upload.size, ufs.ErrInvalid)
		return n, a.failed
	case err != nil && !errors.Is(err, io.EOF):
		a.failed = err
	}
	return n, err
}

// Len returns the bytes left; HTTP clients take the length from it.
func (a *Attempt) Len() int { return int(a.left) }

// BodyError is an error of the caller's body, which is not a fault of the store.
type BodyError struct{ Err error }

func (e *BodyError) Error() string { return "reading the body: " + e.Err.Error() }

// Unwrap returns the body's error.
func (e *BodyError) Unwrap() error { return e.Err }

// Verdict marks the error of an attempt as final if it is the body's own, or if
// the body cannot be sent again.
func (a *Attempt) Verdict(err error) error {
	if err == nil {
		return nil
	}
	if a.failed != nil {
		return retry.Final(&BodyError{a.failed})
	}
	if !a.upload.Again() {
		return retry.Final(err)
	}
	return err
}
