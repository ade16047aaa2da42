// Package oss is the under-storage driver for Alibaba Cloud OSS: oss://bucket/
// prefix/, through Alibaba's Go SDK v2 with V4 signatures.
//
// Options: fs.oss.endpoint (a host or a URL; https unless http:// is written),
// fs.oss.accessKeyId, fs.oss.accessKeySecret, fs.oss.securityToken,
// fs.oss.region (default: from the endpoint's name, else cn-hangzhou),
// fs.oss.pathStyle (true, false; by default only for endpoints that are an IP
// address or a name without a dot).
//
// # Capabilities of OSS
//
// A Put can refuse to overwrite, except in versioned buckets, which ignore the
// header. So ConditionalCreate is false for them, and if the credentials lack the
// right to read the versioning (oss:GetBucketInfo). Writing and deleting have no
// If-Match.
//
// The SDK only signs and sends: its retries are disabled, and packages retry and
// wire implement the policy and judge the responses.
package oss

import (
	"context"
	"net/http"
	"sync"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"
	sdkretry "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/retry"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/signer"

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

// Store is a prefix of an OSS bucket.
type Store struct {
	location ufs.Location
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
	location, target, err := resolve(c.Location, c.Options)
	if err != nil {
		return nil, err
	}
	source := c.Credentials
	if source == nil {
		source = ufs.StaticCredentials{
			AccessKeyID:     c.Options["fs.oss.accessKeyId"],
			AccessKeySecret: c.Options["fs.oss.accessKeySecret"],
			SecurityToken:   c.Options["fs.oss.securityToken"],
		}
	}
	s := &Store{
		location: location,
		bucket:   &location.Bucket,
		http:     wire.Guard(c.HTTP),
		limits:   c.Limits.WithDefaults(),
		caller: &wire.Caller{
			Store:       wire.Subject{Scheme: "oss", Bucket: location.Bucket, Endpoint: target.endpoint},
			Credentials: source,
			Retrier:     retry.New(c.Retry),
		},
	}
	s.client = newClient(target, s.http)
	return s, nil
}

func newClient(t target, client *http.Client) *sdk.Client {
	config := sdk.NewConfig().
		WithEndpoint(t.endpoint).
		WithRegion(t.region).
		WithUsePathStyle(t.pathStyle).
		WithHttpClient(client).
		WithRetryer(sdkretry.NopRetryer{}).
		WithRetryMaxAttempts(1).
		WithUserAgent("jindo").
		WithCredentialsProvider(credentials.CredentialsProviderFunc(ofAttempt))
	return sdk.NewClient(config, func(o *sdk.Options) {
		o.Signer = optionalSigner{&signer.SignerV4{}}
		// The correction of the clock writes to the client without a lock.
		o.FeatureFlags &^= sdk.FeatureCorrectClockSkew
	})
}

// ofAttempt passes the credentials of the attempt to the SDK.
func ofAttempt(ctx context.Context) (credentials.Credentials, error) {
	c := wire.CredentialsOf(ctx)
	return credentials.Credentials{AccessKeyID: c.AccessKeyID, AccessKeySecret: c.AccessKeySecret, SecurityToken: c.SecurityToken}, nil
}

// optionalSigner leaves anonymous requests unsigned.
type optionalSigner struct{ signer.Signer }

func (s optionalSigner) Sign(ctx context.Context, signing *signer.SigningContext) error {
	if signing.Credentials == nil || !signing.Credentials.HasKeys() {
		return nil
	}
	return s.Signer.Sign(ctx, signing)
}

// String returns the URI of the store: "oss://bucket/prefix/".
func (s *Store) String() string { return s.location.String() }

// Close closes idle connections and makes later requests fail.
func (s *Store) Close() error {
	s.caller.Close()
	s.http.CloseIdleConnections()
	return nil
}

// key returns a key with the store's prefix.
func (s *Store) key(key string) string { return s.location.Prefix + key }
