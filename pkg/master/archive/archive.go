// Package archive keeps files of package snapshot as objects in the store of a mount, and
// deletes old ones.
//
// The store belongs to users of the mount, who may list, write and delete there. So a
// listing is bounded, an object is one of this archive only if its whole name is, and
// nothing else is ever deleted. What an object holds is verified when it is restored. An
// account that may write can delete, replace or displace objects, as it can delete its
// data.
package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"time"

	"github.com/jindo-io/jindo/pkg/master/snapshot"
	"github.com/jindo-io/jindo/pkg/ufs"
)

const (
	// maxPages bounds a listing.
	maxPages = 64
	// maxDeletes bounds the objects that one call of Retain deletes.
	maxDeletes = 256
	// maxAhead is how far the time of an object may be ahead of the clock. The clocks of
	// masters differ.
	maxAhead = 5 * time.Minute
)

// Object is one snapshot in the store.
type Object struct {
	Name
	// Key of the object in the store.
	Key string
	// Size is in bytes.
	Size int64
}

// Archive is the snapshots of one cluster below a prefix of a store. It is safe for
// concurrent use.
type Archive struct {
	Store     ufs.Store
	Prefix    string
	ClusterID string
}

// Latest returns the object with the newest time that is not in the future, nil if there
// is none. In a store with more objects than a listing returns, it may return an older
// one.
func (a *Archive) Latest(ctx context.Context, now time.Time) (*Object, error) {
	all, err := a.list(ctx)
	if err != nil {
		return nil, err
	}
	var latest *Object
	for i, o := range all {
		if o.Time.After(now.Add(maxAhead)) {
			continue
		}
		if latest == nil || !o.Time.Before(latest.Time) {
			latest = &all[i]
		}
	}
	return latest, nil
}

// Save stores a verified file of size bytes, unless it exists. It returns an error if an
// object of another size has its name. After an error the object may have been stored; it
// is complete or missing.
func (a *Archive) Save(ctx context.Context, header snapshot.Header, file io.ReadSeeker, size int64) (Object, error) {
	o := Object{Name: Name{ClusterID: header.ClusterID, Index: header.Index, Time: header.Time}, Size: size}
	if header.ClusterID != a.ClusterID {
		return Object{}, fmt.Errorf("save a snapshot of cluster %q in the archive of cluster %q: %w", header.ClusterID, a.ClusterID, ufs.ErrInvalid)
	}
	if err := o.check(); err != nil {
		return Object{}, fmt.Errorf("save a snapshot: %w", err)
	}
	o.Key = path.Join(a.Prefix, o.String())
	_, err := a.Store.Put(ctx, o.Key, file, size, nil, ufs.Conditions{IfNoneMatch: true})
	switch {
	case errors.Is(err, ufs.ErrPrecondition):
		err = a.same(ctx, o)
	case errors.Is(err, ufs.ErrUnsupported):
		if err = a.same(ctx, o); errors.Is(err, ufs.ErrNotFound) && !errors.Is(err, ufs.ErrNoBucket) {
			if _, err = file.Seek(0, io.SeekStart); err == nil {
				_, err = a.Store.Put(ctx, o.Key, file, size, nil, ufs.Conditions{})
			}
		}
	}
	if err != nil {
		return Object{}, fmt.Errorf("save a snapshot: %w", err)
	}
	return o, nil
}

// same returns an error unless an object of this size exists.
func (a *Archive) same(ctx context.Context, o Object) error {
	found, err := a.Store.Stat(ctx, o.Key)
	if err == nil && found.Size != o.Size {
		err = fmt.Errorf("%s exists with %d bytes instead of %d: %w", o.Key, found.Size, o.Size, ufs.ErrPrecondition)
	}
	return err
}

// Retain deletes the oldest objects beyond the newest keep, and returns how many. Objects
// that are newer than the one that was just saved do not count, and are not deleted: they
// are of a later leader, or of none.
func (a *Archive) Retain(ctx context.Context, saved Object, keep int) (int, error) {
	all, err := a.list(ctx)
	if err != nil {
		return 0, err
	}
	older := slices.DeleteFunc(all, func(o Object) bool { return o.compare(saved.Name) >= 0 })
	slices.SortFunc(older, func(x, y Object) int { return x.compare(y.Name) })
	// The saved one is one of those that are kept. Those that the listing has not
	// reached are newer than all that it has.
	excess := min(len(older)-(max(keep, 1)-1), maxDeletes)
	deleted := 0
	for _, o := range older[:max(excess, 0)] {
		if err := a.Store.Delete(ctx, o.Key, ufs.Conditions{}); err != nil {
			return deleted, fmt.Errorf("delete an old snapshot: %w", err)
		}
		deleted++
	}
	return deleted, nil
}

// list returns the objects of the archive. It reads maxPages pages at most.
func (a *Archive) list(ctx context.Context) ([]Object, error) {
	if !validID(a.ClusterID) {
		return nil, fmt.Errorf("list snapshots of cluster %q: %w id", a.ClusterID, ufs.ErrInvalid)
	}
	options := ufs.ListOptions{Prefix: path.Join(a.Prefix, a.ClusterID+"-"), Delimiter: "/"}
	var all []Object
	for range maxPages {
		page, err := a.Store.List(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("list snapshots: %w", err)
		}
		for _, o := range page.Objects {
			dir, base := path.Split(o.Key)
			name, ok := Parse(a.ClusterID, base)
			if !ok || dir != a.Prefix+"/" || o.Size <= 0 || o.Size > snapshot.MaxSize {
				continue
			}
			all = append(all, Object{Name: name, Key: o.Key, Size: o.Size})
		}
		if options.Continuation = page.Next; page.Next == "" {
			break
		}
	}
	return all, nil
}

// compare orders names as their strings.
func (n Name) compare(other Name) int {
	return cmp.Or(cmp.Compare(n.Index, other.Index), n.Time.Compare(other.Time))
}
