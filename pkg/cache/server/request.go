package server

import (
	"net/http"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/cache/wire"
)

// keyOf returns the block store's key of the version that a request names.
func keyOf(r wire.Request) blockstore.Key {
	return blockstore.Key{Mount: r.Mount, Key: r.Key, ETag: r.ETag, Size: r.Size}
}

// parseObject decodes a GET. The range of the request is within the object,
// and its key is valid for the block store.
func parseObject(path string, header http.Header) (wire.Request, *wire.Failure) {
	request, failure := wire.ParseRequest(path, header)
	if failure != nil {
		return wire.Request{}, failure
	}
	if err := keyOf(request).Validate(); err != nil {
		return wire.Request{}, wire.Invalid(err.Error())
	}
	return request, nil
}
