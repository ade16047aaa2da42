package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/retry"
)

// Caller runs the requests of one store. It gets credentials before each attempt,
// retries, refreshes refused credentials once, and explains errors.
type Caller struct {
	// Store is the Subject of all requests, without Act, Key and Right.
	Store       Subject
	Credentials ufs.CredentialsSource
	Retrier     *retry.Retrier

	closed atomic.Bool
}

// Request describes a request to a Caller.
type Request struct {
	// Act, Key and Right as in Subject; Key includes the store's prefix.
	Act, Key, Right string
	// Ambiguous are the kinds of errors that, after an attempt with an unknown
	// outcome, may be caused by that attempt itself. They are then returned as
	// ErrUnavailable, since no other client need be involved.
	Ambiguous []error
}

// credentialsKey is the context key of an attempt's credentials.
type credentialsKey struct{}

// CredentialsOf returns the credentials of the attempt with this context.
func CredentialsOf(ctx context.Context) ufs.Credentials {
	credentials, _ := ctx.Value(credentialsKey{}).(ufs.Credentials)
	return credentials
}

// Close makes later requests fail.
func (c *Caller) Close() { c.closed.Store(true) }

// DoWithin is like Do, and ends each attempt after limit.
func (c *Caller) DoWithin(ctx context.Context, r Request, limit time.Duration, try func(ctx context.Context) error) error {
	return c.Do(ctx, r, func(ctx context.Context) error {
		attempt, watch := NewWatch(ctx, limit)
		defer watch.Release()
		return Stalled(attempt, try(attempt))
	})
}

// Send runs a request with a body. Sending the body and, afterwards, the store's
// response must each make progress within stall.
func (c *Caller) Send(ctx context.Context, r Request, body io.Reader, size int64, stall time.Duration, try func(ctx context.Context, body io.Reader) error) error {
	upload, err := NewUpload(body, size)
	if err != nil {
		return err
	}
	return c.Do(ctx, r, func(ctx context.Context) error {
		attempt, watch := NewWatch(ctx, stall)
		defer watch.Release()
		once, err := upload.Begin(watch, stall)
		if err != nil {
			return retry.Final(&BodyError{err})
		}
		return once.Verdict(Stalled(attempt, try(attempt, once)))
	})
}

// Do runs one request. It calls try once for each attempt.
func (c *Caller) Do(ctx context.Context, r Request, try func(ctx context.Context) error) error {
	subject := c.Store
	subject.Act, subject.Key, subject.Right = r.Act, r.Key, r.Right
	renewed, ambiguous := false, false
	return c.Retrier.Do(ctx, func(ctx context.Context) error {
		used, err := c.attempt(ctx, subject, try)
		if !renewed && errors.Is(err, ufs.ErrPermission) && c.renew(ctx, used) {
			renewed = true
			_, err = c.attempt(ctx, subject, try)
		}
		if ambiguous && slices.ContainsFunc(r.Ambiguous, func(kind error) bool { return errors.Is(err, kind) }) {
			return retry.Final(fmt.Errorf("%s %s: a previous attempt, whose response was lost, may have succeeded, since the next one failed with %v: %w", r.Act, subject.What(), err, ufs.ErrUnavailable)) //nolint:errorlint // the kind changes
		}
		ambiguous = ambiguous || errors.Is(err, ufs.ErrUnavailable)
		return err
	})
}

// renew refreshes refused credentials and reports whether they have changed.
func (c *Caller) renew(ctx context.Context, refused ufs.Credentials) bool {
	source, can := c.Credentials.(ufs.Refresher)
	if !can {
		return false
	}
	changed, err := source.Refresh(ctx, refused)
	return err == nil && changed
}

func (c *Caller) attempt(ctx context.Context, subject Subject, try func(context.Context) error) (ufs.Credentials, error) {
	if err := ctx.Err(); err != nil {
		return ufs.Credentials{}, fmt.Errorf("%s %s: %w", subject.Act, subject.What(), err)
	}
	if c.closed.Load() {
		return ufs.Credentials{}, retry.Final(fmt.Errorf("%s %s: the store is closed: %w", subject.Act, subject.What(), ufs.ErrUnavailable))
	}
	credentials, err := c.Credentials.Credentials(ctx)
	if err != nil {
		return credentials, c.explain(ctx, subject, &exchange{}, err)
	}
	subject.AccessKeyID = credentials.AccessKeyID
	x := &exchange{}
	err = try(context.WithValue(context.WithValue(ctx, credentialsKey{}, credentials), exchangeKey{}, x))
	return credentials, c.explain(ctx, subject, x, err)
}

// explain returns the error of an attempt: from the store's response if that is an
// error, whatever the SDK made of it.
func (c *Caller) explain(ctx context.Context, subject Subject, x *exchange, err error) error {
	var own *BodyError
	if errors.As(err, &own) {
		return fmt.Errorf("%s %s: %w", subject.Act, subject.What(), err)
	}
	if refusal, is := x.refusal(); is {
		explained := Explain(subject, refusal)
		if retry.IsFinal(err) {
			return retry.Final(explained)
		}
		return explained
	}
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil {
		return fmt.Errorf("%s %s: %w", subject.Act, subject.What(), ended)
	}
	if HasKind(err) {
		return fmt.Errorf("%s %s: %w", subject.Act, subject.What(), err)
	}
	if x.status != 0 {
		return fmt.Errorf("%s %s: %w", subject.Act, subject.What(), unreadable("%w", connectionError{err}))
	}
	return c.unreachable(fmt.Errorf("%s %s: %w", subject.Act, subject.What(), connectionError{err}))
}

// connectionError is an error of a connection, whose text leaves out what the SDKs
// add about their operations and about responses that did not arrive.
type connectionError struct{ error }

func (e connectionError) Unwrap() error { return e.error }

func (e connectionError) Error() string {
	var request *url.Error
	if errors.As(e.error, &request) {
		return request.Err.Error()
	}
	return e.error.Error()
}

// kindError adds a kind to an error whose text explains it already.
type kindError struct {
	error
	kind error
}

func (e kindError) Unwrap() []error { return []error{e.error, e.kind} }

// unreachable explains an error of the connection to the endpoint.
func (c *Caller) unreachable(err error) error {
	endpoint, option := c.Store.Endpoint, "fs."+c.Store.Scheme+".endpoint"
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return kindError{fmt.Errorf("endpoint %s refuses connections, check that its server is running and check %s: %w", endpoint, option, err), ufs.ErrConnectionRefused}
	case errors.As(err, &dns) && dns.IsNotFound:
		return kindError{fmt.Errorf("the host of endpoint %s is unknown, check %s: %w", endpoint, option, err), ufs.ErrUnavailable}
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return retry.Final(kindError{fmt.Errorf("endpoint %s does not speak TLS, check %s: %w", endpoint, option, err), ufs.ErrUnavailable})
	case errors.As(err, &certificate), errors.As(err, &unknown):
		return retry.Final(kindError{fmt.Errorf("the certificate of endpoint %s is not trusted, check %s and the host's certificate authorities: %w", endpoint, option, err), ufs.ErrUnavailable})
	}
	return kindError{fmt.Errorf("endpoint %s is unreachable: %w", endpoint, err), ufs.ErrUnavailable}
}
