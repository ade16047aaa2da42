package wire

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// Stat returns the attributes of an object.
func (g *Getter) Stat(ctx context.Context, key string) (ufs.Object, error) {
	if err := ufs.CheckKey(g.Prefix, key); err != nil {
		return ufs.Object{}, err
	}
	var object ufs.Object
	unconfirmed := false
	err := g.Caller.DoWithin(ctx, g.describing(key), g.Limits.Headers, func(ctx context.Context) error {
		x := exchangeOf(ctx)
		err := g.SendHead(ctx, g.Prefix+key)
		refusal, refused := x.refusal()
		unconfirmed = refused && refusal.Code == ""
		if err != nil || refused {
			return err
		}
		if x.status != http.StatusOK || x.length < 0 {
			return unreadable("status %d and Content-Length %d to a HEAD", x.status, x.length)
		}
		object, err = g.object(x, key, x.length)
		return err
	})
	if unconfirmed && errors.Is(err, ufs.ErrNotFound) {
		return ufs.Object{}, g.confirm(ctx, key)
	}
	return object, invalidKey(key, err)
}

func (g *Getter) describing(key string) Request {
	return Request{Act: "describing", Key: g.Prefix + key, Right: g.Right}
}

// confirm repeats the request in a form whose response has a body. A 404 without
// one does not show whether the object, the bucket or the access key is missing,
// or whether it is of another web server; only the first is a deletion.
func (g *Getter) confirm(ctx context.Context, key string) error {
	err := g.Caller.DoWithin(ctx, g.describing(key), g.Limits.Headers, func(ctx context.Context) error {
		exchangeOf(ctx).stream = true
		body, err := g.SendGet(ctx, g.Prefix+key, optional("bytes=0-0"), nil)
		if err == nil {
			_ = body.Close()
		}
		return err
	})
	if err == nil || errors.Is(err, ufs.ErrInvalidRange) {
		// It was created after the first request, or the store contradicts itself.
		return fmt.Errorf("describing %q: %w", key, unreadable("a HEAD finds no object, and a GET does"))
	}
	return invalidKey(key, err)
}

// Written returns the object that a request has written, with the tag of its
// response; if the response has none, as the store describes it now.
func (g *Getter) Written(ctx context.Context, key string, size int64, sentTag *string) (ufs.Object, error) {
	sent := ""
	if sentTag != nil {
		sent = *sentTag
	}
	object := ufs.Object{Key: key, Size: size}
	var err error
	if object.ETag, err = Tag(sent, size, object.LastModified); err == nil {
		return object, nil
	}
	return g.Stat(ctx, key)
}
