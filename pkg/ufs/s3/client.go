// Package s3 is the under-storage driver for Amazon S3 and compatible stores:
// s3://bucket/prefix/, through the AWS SDK for Go v2.
//
// Options: fs.s3.endpoint (a host or a URL, https unless http:// is written;
// default: Amazon's for the region), fs.s3.region (default: from the endpoint's
// name, else us-east-1), fs.s3.accessKeyId, fs.s3.accessKeySecret,
// fs.s3.securityToken, fs.s3.pathStyle (true, false; by default true for
// endpoints that are not Amazon's and for buckets with a dot), and
// fs.s3.conditions (auto, all or none).
//
// # Capabilities of the store
//
// Amazon's S3 checks conditions on writing and deleting. For other stores the
// driver probes it with a small object beside the data, ".jindo-probe-" and a
// random name, which it deletes; fs.s3.conditions makes the probe unnecessary.
//
// Some servers show files that other programs wrote to their disk without a tag.
// Package wire makes one of size and modification time, which begins with "~" and
// does not change with a write of the same size within a second.
//
// The SDK only signs and sends: its retries are disabled, and packages retry and
// wire implement the policy and judge the responses.
package s3

import (
	"context"
	"net/http"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/retry"
	"github.com/jindo-io/jindo/pkg/ufs/wire"
)

// Config configures a Store. Zero fields have the defaults named.
type Config struct {
	Location ufs.Location
	// Options of the mount; those of other drivers are ignored.
	Options map[string]string
	// Credentials; nil takes them from Options.
	Credentials ufs.CredentialsSource
	// Retry and Limits of requests.
	Retry  retry.Policy
	Limits wire.Limits
	// HTTP is the client to use; nil creates one with its own connection pool.
	HTTP *http.Client
}

// Store is a prefix of an S3 bucket.
type Store struct {
	location ufs.Location
	target   target
	bucket   *string
	client   *sdk.Client
	http     *http.Client
	caller   *wire.Caller
	limits   wire.Limits

	mu           sync.Mutex
	capabilities *ufs.Capabilities
}

var _ ufs.Store = (*Store)(nil)

// Open returns a Store. It does not contact the endpoint.
func Open(c Config) (*Store, error) {
	target, err := resolve(c.Location, c.Options)
	if err != nil {
		return nil, err
	}
	source := c.Credentials
	if source == nil {
		source = ufs.StaticCredentials{
			AccessKeyID:     c.Options["fs.s3.accessKeyId"],
			AccessKeySecret: c.Options["fs.s3.accessKeySecret"],
			SecurityToken:   c.Options["fs.s3.securityToken"],
		}
	}
	s := &Store{
		location: c.Location,
		target:   target,
		bucket:   aws.String(c.Location.Bucket),
		http:     wire.Guard(c.HTTP),
		limits:   c.Limits.WithDefaults(),
		caller: &wire.Caller{
			Store:       wire.Subject{Scheme: "s3", Bucket: c.Location.Bucket, Endpoint: target.name()},
			Credentials: source,
			Retrier:     retry.New(c.Retry),
		},
	}
	s.client = newClient(target, s.http)
	return s, nil
}

func newClient(t target, client *http.Client) *sdk.Client {
	options := sdk.Options{
		Region:       t.region,
		UsePathStyle: t.pathStyle,
		HTTPClient:   client,
		Retryer:      aws.NopRetryer{},
		AppID:        "jindo",
		// Checksums in trailers are Amazon's own; other stores refuse them.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		// A store that never sends "100 Continue" would delay each write by a second.
		ContinueHeaderThresholdBytes: -1,
		DisableClockSkewCorrection:   true,
	}
	if t.endpoint != "" {
		options.BaseEndpoint = aws.String(t.endpoint)
	}
	return sdk.New(options)
}

// signed makes a request use the credentials of its attempt.
func signed(ctx context.Context) func(*sdk.Options) {
	c := wire.CredentialsOf(ctx)
	return func(o *sdk.Options) {
		if c == (ufs.Credentials{}) {
			o.Credentials = nil
			return
		}
		o.Credentials = credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.AccessKeySecret, c.SecurityToken)
	}
}

// unsignedPayload leaves the body out of the signature, because a body that can
// be read only once cannot be hashed before it is sent.
func unsignedPayload(o *sdk.Options) {
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}

// String returns the URI of the store: "s3://bucket/prefix/".
func (s *Store) String() string { return s.location.String() }

// Close closes idle connections and makes later requests fail.
func (s *Store) Close() error {
	s.caller.Close()
	s.http.CloseIdleConnections()
	return nil
}

// key returns a key with the store's prefix.
func (s *Store) key(key string) string { return s.location.Prefix + key }
