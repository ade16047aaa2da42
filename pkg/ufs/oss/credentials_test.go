package oss_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/test/ossserver"
)

// rotating is a source whose credentials change only when they are refused.
type rotating struct {
	now, next ufs.Credentials
	refreshed int
}

func (r *rotating) Credentials(context.Context) (ufs.Credentials, error) { return r.now, nil }

func (r *rotating) Refresh(_ context.Context, refused ufs.Credentials) (bool, error) {
	r.refreshed++
	r.now = r.next
	return r.now != refused, nil
}

func TestRefusedCredentialsAreRenewedOnce(t *testing.T) {
	server, url := serve(t)
	source := &rotating{now: ufs.Credentials{AccessKeyID: "old", AccessKeySecret: "old"}, next: ufs.Credentials{AccessKeyID: keyID, AccessKeySecret: keySecret}}
	c := quick(configure(url, "oss://test-bucket/"))
	c.Credentials = source
	store := open(t, c)
	if _, err := store.List(t.Context(), ufs.ListOptions{}); err != nil || source.refreshed != 1 {
		t.Errorf("%v, refreshed %d times", err, source.refreshed)
	}
	source.next = ufs.Credentials{AccessKeyID: "new", AccessKeySecret: "new"}
	server.SetKeys(map[string]ossserver.Key{"other": {Secret: "other"}})
	if _, err := store.List(t.Context(), ufs.ListOptions{}); !errors.Is(err, ufs.ErrPermission) || source.refreshed != 2 {
		t.Errorf("%v, refreshed %d times", err, source.refreshed)
	}
}

func TestTemporaryCredentials(t *testing.T) {
	server, url := serve(t)
	server.SetKeys(map[string]ossserver.Key{"sts": {Secret: "s", Token: "the token"}})
	c := quick(configure(url, "oss://test-bucket/"))
	c.Credentials = ufs.StaticCredentials{AccessKeyID: "sts", AccessKeySecret: "s", SecurityToken: "the token"}
	if _, err := open(t, c).List(t.Context(), ufs.ListOptions{}); err != nil {
		t.Error(err)
	}
}

func TestAnonymousOnPublicBucket(t *testing.T) {
	server, url := serve(t)
	server.SetKeys(nil)
	c := quick(configure(url, "oss://test-bucket/"))
	c.Credentials = ufs.StaticCredentials{}
	if _, err := open(t, c).List(t.Context(), ufs.ListOptions{}); err != nil {
		t.Error(err)
	}
}
