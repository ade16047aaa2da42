// Package s3 is the under-storage driver for Amazon S3 and what speaks its
// protocol: s3://bucket/prefix/, through the AWS SDK for Go v2.
//
// Options: fs.s3.endpoint (a host or a URL, https unless http:// is written;
// none is Amazon's for the region), fs.s3.region (else from the endpoint's
// name, else us-east-1), fs.s3.accessKeyId, fs.s3.accessKeySecret,
// fs.s3.securityToken, fs.s3.pathStyle (true, false; by default true for
// endpoints that are not Amazon's and for buckets with a dot), and
// fs.s3.conditions (auto, all or none).
//
// # What the store can do
//
// Amazon's S3 checks conditions on writing and deleting. Whether another store
// does is found out by writing a small object beside the data, ".jindo-probe-"
// and a random name, and deleting it; fs.s3.conditions says it without that.
//
// Some servers show files that were laid into them from elsewhere without a
// tag. They get one made of size and modification time, which begins with "~"
// and sees no change of the same size within a second.
//
// The SDK's own retries are off; packages retry and wire have the one policy.
package s3

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/retry"
	"github.com/jindo-io/jindo/pkg/ufs/wire"
)

// Config of a Store.
type Config struct {
	Location ufs.Location
	// Options of the mount; those of other drivers are ignored.
	Options map[string]string
	// Credentials; nil takes them from Options.
	Credentials ufs.CredentialsSource
	// Retry and Limits are the defaults when zero.
	Retry  retry.Policy
	Limits wire.Limits
	// HTTP client to use; nil makes one with a pool of its own.
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

// Open makes a Store; it asks nothing of the endpoint.
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
	if c.HTTP == nil {
		c.HTTP = wire.NewClient()
	}
	s := &Store{
		location: c.Location,
		target:   target,
		bucket:   aws.String(c.Location.Bucket),
		http:     c.HTTP,
		limits:   c.Limits.WithDefaults(),
		caller: &wire.Caller{
			Store:       wire.Subject{Scheme: "s3", Bucket: c.Location.Bucket, Endpoint: target.name()},
			Credentials: source,
			Retrier:     retry.New(c.Retry),
			Refusal:     refusal,
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
		// Checksums in trailers are Amazon's own, other stores refuse them.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		// A store that does not answer "100 Continue" costs a second a write.
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

// unsignedPayload leaves the body out of the signature: a body that is read
// once cannot be hashed before it is sent.
func unsignedPayload(o *sdk.Options) {
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}

// refusal reads an error answer out of the SDK's error.
func refusal(err error) (wire.Refusal, bool) {
	var answer *awshttp.ResponseError
	if !errors.As(err, &answer) || answer.Response == nil || answer.HTTPStatusCode() < 300 {
		return wire.Refusal{}, false
	}
	r := wire.Refusal{Status: answer.HTTPStatusCode(), RequestID: answer.ServiceRequestID(), Header: answer.Response.Header}
	var api smithy.APIError
	if errors.As(err, &api) {
		r.Code, r.Message = api.ErrorCode(), api.ErrorMessage()
	}
	return r, true
}

// String names the store: "s3://bucket/prefix/".
func (s *Store) String() string { return s.location.String() }

// Close lets go of idle connections and makes later requests fail.
func (s *Store) Close() error {
	s.caller.Close()
	s.http.CloseIdleConnections()
	return nil
}

// key is the whole key of a relative one.
func (s *Store) key(key string) string { return s.location.Prefix + key }
