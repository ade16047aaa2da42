// Package ufs is the under-storage: the object store that holds the files and
// is the only truth about them.
//
// A [Store] is one bucket and prefix behind one driver (packages file, s3 and
// oss); package drivers picks the driver for a URI. What every driver promises
// is written here once and checked by one conformance suite, package ufstest.
package ufs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Errors that callers branch on. Drivers wrap them with what was asked of
// which key, so use [errors.Is].
var (
	// ErrNotFound: the object or bucket is not there. It is the only error
	// that means deleted.
	ErrNotFound = errors.New("not found")
	// ErrNoBucket: the bucket or directory of the whole Store is not there. It
	// is an ErrNotFound too; callers that keep what they know of single names
	// while the store as a whole is gone check it first.
	ErrNoBucket = fmt.Errorf("bucket %w", ErrNotFound)
	// ErrPermission: the credentials lack a right; the wrapping text names it.
	ErrPermission = errors.New("permission denied")
	// ErrPrecondition: If-Match or If-None-Match did not hold.
	ErrPrecondition = errors.New("precondition failed")
	// ErrInvalidRange: the range starts at or past the end of the object.
	ErrInvalidRange = errors.New("invalid range")
	// ErrThrottled: the store asks to slow down and the retry budget is spent.
	ErrThrottled = errors.New("throttled")
	// ErrUnavailable: the store cannot be reached, or answers 5xx, or the
	// body broke off, and the retry budget is spent.
	ErrUnavailable = errors.New("unavailable")
	// ErrConnectionRefused means that the endpoint refuses connections. It is
	// an ErrUnavailable too. Most often the endpoint is wrong or its server is
	// not running, so callers retry for seconds only.
	ErrConnectionRefused = fmt.Errorf("connection refused: %w", ErrUnavailable)
	// ErrUnsupported: the store has no such ability; see [Capabilities].
	ErrUnsupported = errors.New("not supported by this store")
	// ErrInvalid: the request, URI or options can never work.
	ErrInvalid = errors.New("invalid")
)

// Object is one object as the store describes it.
type Object struct {
	// Key relative to the Store's prefix; no leading slash.
	Key  string
	Size int64
	// ETag with no quotes around it. Equal tags mean equal bytes.
	ETag         string
	LastModified time.Time
	// Metadata is the user metadata, keys in lower case without the store's
	// header prefix. Listings leave it nil.
	Metadata map[string]string
}

// ListOptions chooses a page of a listing.
type ListOptions struct {
	// Prefix of the keys, relative to the Store's prefix.
	Prefix string
	// Delimiter "/" rolls deeper keys up into Page.Prefixes; "" lists all.
	Delimiter string
	// Continuation is Page.Next of the page before; "" starts.
	Continuation string
	// StartAfter lists only keys after it; ignored with a Continuation.
	StartAfter string
	// MaxKeys in the page; 0 is the driver's choice, at most 1000.
	MaxKeys int
}

// Page is one page of a listing, in the order of UTF-8 bytes of the keys.
type Page struct {
	Objects []Object
	// Prefixes end with the delimiter.
	Prefixes []string
	// Next continues the listing; "" when it is complete.
	Next string
}

// Range is a part of an object in bytes.
type Range struct {
	Offset int64
	// Length to read; -1 reads to the end. A range that reaches past the end
	// is cut at the end.
	Length int64
}

// Whole reads all of an object.
var Whole = Range{Offset: 0, Length: -1}

// Conditions guard a request; the zero value guards nothing. Where a store
// cannot check one, the driver answers ErrUnsupported and does nothing.
type Conditions struct {
	// IfMatch holds the ETag the object must have.
	IfMatch string
	// IfNoneMatch requires that no object is there.
	IfNoneMatch bool
}

// Part of a multipart upload that has been stored.
type Part struct {
	Number int
	ETag   string
	Size   int64
}

// Capabilities says what a store can do beyond the plain requests.
type Capabilities struct {
	// ConditionalCreate: Put and CompleteMultipart honour IfNoneMatch.
	ConditionalCreate bool
	// ConditionalReplace: Put and CompleteMultipart honour IfMatch.
	ConditionalReplace bool
	// ConditionalDelete: Delete honours IfMatch.
	ConditionalDelete bool
	// Metadata: user metadata is kept with the object.
	Metadata bool
	// Versioned bucket, where the store tells.
	Versioned bool
	// Tree: the store is a tree of directories, so that a key cannot be an
	// object and a directory of other keys at once, and elements that are
	// empty, "." or ".." are refused.
	Tree bool
	// MinPartSize of all parts but the last, in bytes.
	MinPartSize int64
}

// Store is one prefix of one bucket.
//
// All methods may be called concurrently. Each obeys its context, retries what
// is worth retrying within the driver's budget, and answers with one of this
// package's errors, wrapped. Keys are relative to the prefix; no method accepts
// a key with a leading slash or with "." or ".." as an element when the store
// is a file system.
type Store interface {
	// String names the store for people: "oss://bucket/prefix/".
	String() string
	// List answers one page.
	List(ctx context.Context, options ListOptions) (Page, error)
	// Stat describes an object, its user metadata included.
	Stat(ctx context.Context, key string) (Object, error)
	// Get reads a range of an object, of the version named by ifMatch unless
	// that is empty. The Object has the whole object's size and the version's
	// tag. The reader fails with ErrUnavailable when the body ends early: a
	// short body is never an EOF. Close it.
	Get(ctx context.Context, key string, r Range, ifMatch string) (io.ReadCloser, Object, error)
	// Put stores size bytes of body as the object. The body is read again
	// from the start on a retry when it is an io.Seeker; otherwise there is
	// no retry once a byte was read. The answer may lack LastModified, and an
	// ErrUnavailable may mean that the object was stored and the answer lost.
	Put(ctx context.Context, key string, body io.Reader, size int64, metadata map[string]string, c Conditions) (Object, error)
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, key string, c Conditions) error
	// Copy makes dst a copy of src, of the version named by ifMatch unless
	// that is empty. A nil metadata keeps what src has, else it replaces it.
	Copy(ctx context.Context, src, ifMatch, dst string, metadata map[string]string, c Conditions) (Object, error)
	// CreateMultipart starts an upload and answers its id.
	CreateMultipart(ctx context.Context, key string, metadata map[string]string) (string, error)
	// UploadPart stores part number n (from 1).
	UploadPart(ctx context.Context, key, upload string, n int, body io.ReadSeeker, size int64) (Part, error)
	// CompleteMultipart makes the parts the object.
	CompleteMultipart(ctx context.Context, key, upload string, parts []Part, c Conditions) (Object, error)
	// AbortMultipart forgets an upload; one that is not there is no error.
	AbortMultipart(ctx context.Context, key, upload string) error
	// Capabilities of the store, probed once and remembered. Finding out may
	// write and delete a small object (see package s3), so ask where writing
	// is wanted, not for a read-only mount.
	Capabilities(ctx context.Context) (Capabilities, error)
	// Close lets go of connections. Later requests fail with ErrUnavailable,
	// those under way may still end well.
	Close() error
}

// Credentials of a store that needs them.
type Credentials struct {
	AccessKeyID     string
	AccessKeySecret string
	// SecurityToken of temporary credentials; may be empty.
	SecurityToken string
}

// CredentialsSource is asked before requests are signed, so that credentials
// may change while a Store is open. Safe for concurrent use.
type CredentialsSource interface {
	// Credentials as of now; a zero value means anonymous.
	Credentials(ctx context.Context) (Credentials, error)
}

// Refresher is a CredentialsSource that can be told its answer was refused.
type Refresher interface {
	// Refresh makes the next Credentials read its source again, however
	// recently it did. It answers whether they differ from refused.
	Refresh(ctx context.Context, refused Credentials) (bool, error)
}

// StaticCredentials never change.
type StaticCredentials Credentials

var _ CredentialsSource = StaticCredentials{}

// Credentials answers the same every time.
func (c StaticCredentials) Credentials(context.Context) (Credentials, error) {
	return Credentials(c), nil
}
