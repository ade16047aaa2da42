package ufs_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/drivers"
)

// A Store is opened by the URI of its mount point. Here it is a directory; an
// OSS or S3 bucket is used in the same way.
func ExampleStore() {
	if err := useStore(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// models/a: 5 bytes
	// "hello"
	// "ell" of version 1
	// models/ is a directory
}

func useStore() error {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	store, err := drivers.Open(ctx, "file://"+dir, nil, nil)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()

	stored, err := store.Put(ctx, "models/a", strings.NewReader("hello"), 5, nil, ufs.Conditions{})
	if err != nil {
		return err
	}
	object, err := store.Stat(ctx, "models/a")
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d bytes\n", object.Key, object.Size)

	// A read that names the tag never returns bytes of another version.
	for _, part := range []struct {
		r    ufs.Range
		text string
	}{{ufs.Whole, "%q\n"}, {ufs.Range{Offset: 1, Length: 3}, "%q of version 1\n"}} {
		body, _, err := store.Get(ctx, "models/a", part.r, stored.ETag)
		if err != nil {
			return err
		}
		content, err := io.ReadAll(body)
		if err := body.Close(); err != nil {
			return err
		}
		if err != nil {
			return err
		}
		fmt.Printf(part.text, content)
	}

	page, err := store.List(ctx, ufs.ListOptions{Delimiter: "/"})
	if err != nil {
		return err
	}
	for _, prefix := range page.Prefixes {
		fmt.Printf("%s is a directory\n", prefix)
	}
	return nil
}
