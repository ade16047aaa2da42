// Package ufs defines the under-storage: the object store that holds the files
// and is the source of truth for them.
//
// A [Store] is one prefix of one bucket, implemented by a driver (packages file,
// s3 and oss); package drivers selects the driver for a URI. The contract of all
// drivers is written here and checked by one conformance suite, package ufstest.
package ufs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Errors that callers branch on. Drivers wrap them with the act and the key, so
// use [errors.Is].
var (
	// ErrNotFound means that the object or bucket does not exist. It is the
	// only error that means deleted.
	ErrNotFound = errors.New("not found")
	// ErrNoBucket means that the bucket or directory of the whole Store does
	// not exist. It is an ErrNotFound too; callers that cache single names
	// must check it first, because it is no evidence about them.
	ErrNoBucket = fmt.Errorf("bucket %w", ErrNotFound)
	// ErrPermission means that the credentials lack a right; the wrapping text
	// names it.
	ErrPermission = errors.New("permission denied")
	// ErrPrecondition means that If-Match or If-None-Match did not hold.
	ErrPrecondition = errors.New("precondition failed")
	// ErrInvalidRange means that the range starts at or past the end of the
	// object.
	ErrInvalidRange = errors.New("invalid range")
	// ErrThrottled means that the store requests a lower rate and the retry
	// budget is spent.
	ErrThrottled = errors.New("throttled")
	// ErrUnavailable means that the store is unreachable, returned a 5xx
	// status, or ended a body early, and that the retry budget is spent.
	ErrUnavailable = errors.New("unavailable")
	// ErrConnectionRefused means that the endpoint refuses connections. It is
	// an ErrUnavailable too. Most often the endpoint is wrong or its server is
	// not running, so callers retry for seconds only.
	ErrConnectionRefused = fmt.Errorf("connection refused: %w", ErrUnavailable)
	// ErrUnsupported means that the store lacks an ability; see [Capabilities].
	ErrUnsupported = errors.New("not supported by this store")
	// ErrInvalid means that the request, the URI or the options can never work.
	ErrInvalid = errors.New("invalid")
	// ErrInvalidKey means that the store cannot hold an object of that key, nor
	// any below it, so that there is none. It is an ErrInvalid too.
	ErrInvalidKey = fmt.Errorf("%w key", ErrInvalid)
)

// Object is one object as the store describes it.
type Object struct {
	// Key is relative to the Store's prefix; no leading slash.
	Key  string
	Size int64
	// ETag without quotes. Equal tags mean equal bytes.
	ETag         string
	LastModified time.Time
	// Metadata is the user metadata, with keys in lower case and without the
	// store's header prefix. Listings leave it nil.
	Metadata map[string]string
}

// ListOptions select one page of a listing.
type ListOptions struct {
	// Prefix of the keys, relative to the Store's prefix.
	Prefix string
	// Delimiter "/" groups the keys of deeper levels in Page.Prefixes; "" lists
	// all keys.
	Delimiter string
	// Continuation is Next of the previous page; "" starts a listing.
	Continuation string
	// StartAfter lists only keys after it; ignored with a Continuation.
	StartAfter string
	// MaxKeys limits the page; 0 leaves it to the driver, at most 1000.
	MaxKeys int
}

// Page is one page of a listing, ordered by the UTF-8 bytes of the keys.
type Page struct {
	Objects []Object
	// Prefixes end with the delimiter.
	Prefixes []string
	// Next continues the listing; "" when it is complete.
	Next string
}

// Range is a part of an object.
type Range struct {
	Offset int64
	// Length is in bytes; -1 reads to the end. A range that extends past the end
	// is truncated.
	Length int64
}

// Whole is the range of all bytes of an object.
var Whole = Range{Offset: 0, Length: -1}

// Conditions must hold for a request to take effect; the zero value always
// holds. If a store cannot check one, the driver returns ErrUnsupported and
// changes nothing.
type Conditions struct {
	// IfMatch is the ETag that the object must have.
	IfMatch string
	// IfNoneMatch requires that the object does not exist.
	IfNoneMatch bool
}

// Part is a stored part of a multipart upload.
type Part struct {
	Number int
	ETag   string
	Size   int64
}

// Capabilities are the optional abilities of a store.
type Capabilities struct {
	// ConditionalCreate means that Put and CompleteMultipart obey IfNoneMatch.
	ConditionalCreate bool
	// ConditionalReplace means that Put and CompleteMultipart obey IfMatch.
	ConditionalReplace bool
	// ConditionalDelete means that Delete obeys IfMatch.
	ConditionalDelete bool
	// Metadata means that user metadata is stored with the object.
	Metadata bool
	// Versioned means that the bucket is known to keep old versions.
	Versioned bool
	// Tree means that the store is a tree of directories: a key cannot be both
	// an object and the directory of other keys, and elements that are empty,
	// "." or ".." are refused.
	Tree bool
	// MinPartSize of all parts but the last, in bytes.
	MinPartSize int64
}

// Store is one prefix of one bucket.
//
// All methods may be called concurrently. Each obeys its context, retries
// transient errors within the driver's budget, and returns one of this package's
// errors, wrapped. Keys are relative to the prefix. Every method refuses keys
// with a leading slash, and those with "." or ".." as an element if the store is
// a file system.
type Store interface {
	// String returns the URI of the store: "oss://bucket/prefix/".
	String() string
	// List returns one page.
	List(ctx context.Context, options ListOptions) (Page, error)
	// Stat returns the attributes of an object, including its user metadata.
	Stat(ctx context.Context, key string) (Object, error)
	// Get reads a range of an object, of the version ifMatch unless that is
	// empty. The Object has the size of the whole object and the tag of the
	// version. If the body ends early, the reader returns ErrUnavailable and
	// not io.EOF. The caller must close it.
	Get(ctx context.Context, key string, r Range, ifMatch string) (io.ReadCloser, Object, error)
	// Put stores size bytes of body as the object. An io.Seeker is read again
	// from the start for a retry; any other body is not retried once a byte was
	// read. The result may lack LastModified. After ErrUnavailable the object
	// may or may not have been stored.
	Put(ctx context.Context, key string, body io.Reader, size int64, metadata map[string]string, c Conditions) (Object, error)
	// Delete removes an object. It returns nil if the object does not exist.
	Delete(ctx context.Context, key string, c Conditions) error
	// Copy makes dst a copy of src, of the version ifMatch unless that is
	// empty. A nil metadata keeps the metadata of src, else it replaces it.
	Copy(ctx context.Context, src, ifMatch, dst string, metadata map[string]string, c Conditions) (Object, error)
	// CreateMultipart starts an upload and returns its id.
	CreateMultipart(ctx context.Context, key string, metadata map[string]string) (string, error)
	// UploadPart stores part number n (from 1).
	UploadPart(ctx context.Context, key, upload string, n int, body io.ReadSeeker, size int64) (Part, error)
	// CompleteMultipart joins the parts to the object.
	CompleteMultipart(ctx context.Context, key, upload string, parts []Part, c Conditions) (Object, error)
	// AbortMultipart discards an upload. It returns nil if there is none.
	AbortMultipart(ctx context.Context, key, upload string) error
	// Capabilities returns the abilities of the store. They are probed once and
	// cached. A probe may write and delete a small object (see package s3), so
	// callers must not use it for a read-only mount.
	Capabilities(ctx context.Context) (Capabilities, error)
	// Close releases connections. Later requests fail with ErrUnavailable;
	// those under way may still succeed.
	Close() error
}

// Credentials sign the requests to a store.
type Credentials struct {
	AccessKeyID     string
	AccessKeySecret string
	// SecurityToken of temporary credentials; may be empty.
	SecurityToken string
}

// CredentialsSource supplies the credentials of each attempt, so that they may
// change while a Store is open. Safe for concurrent use.
type CredentialsSource interface {
	// Credentials returns the current credentials; a zero value means
	// anonymous.
	Credentials(ctx context.Context) (Credentials, error)
}

// Refresher is a CredentialsSource that can read its source again.
type Refresher interface {
	// Refresh makes the next Credentials read its source, however recently it
	// was read. It reports whether the credentials differ from refused.
	Refresh(ctx context.Context, refused Credentials) (bool, error)
}

// StaticCredentials never change.
type StaticCredentials Credentials

var _ CredentialsSource = StaticCredentials{}

// Credentials returns c.
func (c StaticCredentials) Credentials(context.Context) (Credentials, error) {
	return Credentials(c), nil
}
