package testbed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/test/dataset"
	"github.com/jindo-io/jindo/test/ossserver"
	"github.com/jindo-io/jindo/test/s3server"
)

// bucket is its name in the samples.
const bucket = "test-bucket"

// Store holds and serves the data set.
type Store struct {
	// Dir holds the files.
	Dir string
	// MountPoint is the mount point of a Dataset with this store.
	MountPoint string
	// OSS is the server, for faults and counters; nil for other kinds.
	OSS *ossserver.Server

	kind     string
	endpoint string
	keys     ufs.Credentials
	close    []func()
}

// Bucket is an S3 bucket that is served already.
type Bucket struct {
	Name string
	// Endpoint is a URL.
	Endpoint    string
	Credentials ufs.Credentials
}

func (b Bucket) store() *Store {
	return &Store{MountPoint: "s3://" + b.Name + "/", kind: "s3", endpoint: b.Endpoint, keys: b.Credentials}
}

// openStore writes the data set and serves it.
func openStore(ctx context.Context, o Options) (*Store, error) {
	if o.Bucket != nil {
		return o.Bucket.store(), nil
	}
	s := &Store{
		Dir:  filepath.Join(o.Dir, "store", bucket),
		kind: o.Store,
		keys: ufs.Credentials{AccessKeyID: "demo-access-key", AccessKeySecret: "demo-access-secret"},
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return s, fmt.Errorf("create the store: %w", err)
	}
	if err := dataset.Write(s.Dir, o.Files); err != nil {
		return s, err
	}
	switch o.Store {
	case "oss":
		return s, s.serveOSS()
	case "s3":
		return s, s.serveS3(ctx)
	case "file":
		s.MountPoint = "file://" + s.Dir + "/"
		return s, nil
	default:
		return s, fmt.Errorf("unknown store %q: must be oss, s3 or file", o.Store)
	}
}

// Close stops serving.
func (s *Store) Close() {
	for _, stop := range s.close {
		stop()
	}
}

func (s *Store) serveOSS() error {
	s.OSS = ossserver.New(ossserver.Config{AccessKeyID: s.keys.AccessKeyID, AccessKeySecret: s.keys.AccessKeySecret})
	if err := s.OSS.ServeDirectory(bucket, s.Dir); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("serve the store: %w", err)
	}
	server := &http.Server{Handler: s.OSS, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(os.Stderr, "serve the store:", err)
		}
	}()
	s.close = append(s.close, func() {
		_ = server.Close()
		<-ended
	})
	s.MountPoint = "oss://" + bucket + "/"
	s.endpoint = "http://" + listener.Addr().String()
	return nil
}

// serveS3 starts versitygw over the parent directory of the bucket.
func (s *Store) serveS3(ctx context.Context) error {
	binary, err := s3server.Find(ctx, os.Stderr)
	if err != nil {
		return fmt.Errorf("serve the store: %w", err)
	}
	server, err := s3server.Start(ctx, s3server.Config{
		Binary: binary, Dir: filepath.Dir(s.Dir), AccessKeyID: s.keys.AccessKeyID, AccessKeySecret: s.keys.AccessKeySecret,
	})
	if err != nil {
		return fmt.Errorf("serve the store: %w", err)
	}
	s.close = append(s.close, server.Stop)
	s.MountPoint = "s3://" + bucket + "/"
	s.endpoint = server.Endpoint
	return nil
}

// fill inserts this store into the sample Dataset.
func (s *Store) fill(sample string) string {
	switch s.kind {
	case "file":
		// A directory has no endpoint and no credentials.
		head, tail, _ := strings.Cut(sample, "      options:\n")
		_, name, _ := strings.Cut(tail, "      name:")
		sample = head + "      name:" + name
	case "s3":
		sample = strings.ReplaceAll(sample, "fs.oss.", "fs.s3.")
	}
	return strings.NewReplacer(
		"oss://"+bucket+"/", s.MountPoint,
		"<OSS_ACCESS_KEY_ID>", s.keys.AccessKeyID,
		"<OSS_ACCESS_KEY_SECRET>", s.keys.AccessKeySecret,
		"<OSS_ENDPOINT>", s.endpoint,
	).Replace(sample)
}

// DriverOptions returns the options with which a driver reaches this store.
func (s *Store) DriverOptions() map[string]string {
	if s.endpoint == "" {
		return nil
	}
	return map[string]string{"fs." + s.kind + ".endpoint": s.endpoint}
}

// Credentials returns the credentials of the store.
func (s *Store) Credentials(context.Context) (ufs.Credentials, error) { return s.keys, nil }

var _ ufs.CredentialsSource = (*Store)(nil)
