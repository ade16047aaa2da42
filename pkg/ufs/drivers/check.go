package drivers

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/storecheck"
)

// ServeCheck reads one request of package storecheck, checks the store, and writes
// the response.
func ServeCheck(ctx context.Context, in io.Reader, out io.Writer) error {
	var request storecheck.Request
	if err := json.NewDecoder(in).Decode(&request); err != nil {
		return fmt.Errorf("read the check of a store: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, request.Limit)
	defer cancel()
	var response storecheck.Response
	empty, err := check(limited, request)
	if response.Empty = empty; err != nil {
		response.Failure = storecheck.NewFailure(err, limited.Err() != nil)
	}
	if err := json.NewEncoder(out).Encode(response); err != nil {
		return fmt.Errorf("write the result of a check: %w", err)
	}
	return nil
}

// check lists one key of a store, and reports whether there is none.
func check(ctx context.Context, request storecheck.Request) (empty bool, err error) {
	var credentials ufs.CredentialsSource
	if request.Credentials != nil {
		credentials = ufs.StaticCredentials(*request.Credentials)
	}
	store, err := Open(ctx, request.URI, request.Options, credentials)
	if err != nil {
		return false, err
	}
	defer func() { _ = store.Close() }()
	page, err := store.List(ctx, ufs.ListOptions{MaxKeys: 1})
	if err != nil {
		return false, err
	}
	return len(page.Objects)+len(page.Prefixes) == 0, nil
}
