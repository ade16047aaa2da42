package server

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jindo-io/jindo/pkg/cache/dirstore"
	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// Directory returns names from cached listings. *dirstore.Store implements it.
type Directory interface {
	Lookup(ctx context.Context, mount dirstore.Mount, dir, name string) (dirstore.LookupResult, error)
	List(ctx context.Context, mount dirstore.Mount, dir, after string, limit int) (dirstore.Listing, error)
	Forget(mountID, dir, name string)
	// Counted returns the totals of a mount, without waiting for the store.
	Counted(mountID string) dirstore.Totals
	// Count starts to count the totals of a mount.
	Count(mount dirstore.Mount)
}

// cachedDirectory is a Directory that returns what it has cached, and false instead
// of sending a request to the store.
type cachedDirectory interface {
	LookupCached(mount dirstore.Mount, dir, name string) (dirstore.LookupResult, bool)
	ListCached(mount dirstore.Mount, dir, after string, limit int) (dirstore.Listing, bool)
}

var _ cachedDirectory = (*dirstore.Store)(nil)

const (
	// maxPage and maxPageBytes bound one page of a listing. Names, keys and tags may
	// be long, and gRPC clients reject messages above 4 MiB.
	maxPage      = 2000
	maxPageBytes = 1 << 20
	// headerAfter is the time after which a request for names that waits for the
	// store gets the header of its response. It tells the client, which would take
	// a silent worker for one that hangs, that the worker is alive.
	headerAfter = 500 * time.Millisecond
)

// names implements the Directory service.
type names struct {
	workerv1.UnimplementedDirectoryServer
	worker *Worker
}

var _ workerv1.DirectoryServer = (*names)(nil)

// Lookup returns the entry of one name.
func (n *names) Lookup(ctx context.Context, request *workerv1.LookupRequest) (*workerv1.LookupResponse, error) {
	if len(request.GetName()) == 0 || bytes.ContainsRune(request.GetName(), '/') {
		return nil, status.Error(codes.InvalidArgument, "a name must be one element of a path")
	}
	defer sendHeader(ctx)()
	mount, entry, err := n.mount(ctx, request.GetMountId())
	if err != nil {
		return nil, err
	}
	result, err := n.lookup(ctx, entry, mount, request)
	if err != nil {
		return nil, err
	}
	return &workerv1.LookupResponse{
		Found: result.Found, Entry: result.Entry, Age: durationpb.New(result.Age), Epochs: n.epochs(request.GetMountId()),
	}, nil
}

// List returns a page of a directory.
func (n *names) List(ctx context.Context, request *workerv1.ListRequest) (*workerv1.ListResponse, error) {
	defer sendHeader(ctx)()
	mount, entry, err := n.mount(ctx, request.GetMountId())
	if err != nil {
		return nil, err
	}
	limit := int(min(request.GetLimit(), maxPage))
	if limit == 0 {
		limit = maxPage
	}
	listing, err := n.list(ctx, entry, mount, request, limit)
	if err != nil {
		return nil, err
	}
	entries, cut := fitting(listing.Entries)
	return &workerv1.ListResponse{
		Entries: entries, More: listing.More || cut, Age: durationpb.New(listing.Age), Epochs: n.epochs(request.GetMountId()),
		Generation: listing.Generation,
	}, nil
}

// lookup returns the result of a request, which may be for cached names only.
func (n *names) lookup(ctx context.Context, entry *mounted, mount dirstore.Mount, request *workerv1.LookupRequest) (dirstore.LookupResult, error) {
	dir, name := cleanDir(string(request.GetDirectory())), string(request.GetName())
	if request.GetOnlyIfCached() {
		if d, ok := n.worker.config.Directory.(cachedDirectory); ok {
			if result, ok := d.LookupCached(mount, dir, name); ok {
				return result, nil
			}
		}
		return dirstore.LookupResult{}, notCached()
	}
	result, err := n.worker.config.Directory.Lookup(ctx, mount, dir, name)
	entry.noteNames(err)
	if err != nil {
		return result, statusOf(err)
	}
	return result, nil
}

// list returns the result of a request, which may be for cached names only.
func (n *names) list(ctx context.Context, entry *mounted, mount dirstore.Mount, request *workerv1.ListRequest, limit int) (dirstore.Listing, error) {
	dir, after := cleanDir(string(request.GetDirectory())), string(request.GetAfter())
	if request.GetOnlyIfCached() {
		if d, ok := n.worker.config.Directory.(cachedDirectory); ok {
			if listing, ok := d.ListCached(mount, dir, after, limit); ok {
				return listing, nil
			}
		}
		return dirstore.Listing{}, notCached()
	}
	listing, err := n.worker.config.Directory.List(ctx, mount, dir, after, limit)
	entry.noteNames(err)
	if err != nil {
		return listing, statusOf(err)
	}
	return listing, nil
}

// notCached returns the error of a request for cached names when there are none.
func notCached() error {
	return wire.WithReason(status.New(codes.FailedPrecondition, "the names are not cached"), wire.CodeNotCached)
}

// sendHeader sends the header of the response after headerAfter, unless stop is
// called before.
func sendHeader(ctx context.Context) (stop func()) {
	timer := time.AfterFunc(headerAfter, func() {
		// The call may end at the same time; its response then has the header.
		_ = grpc.SendHeader(ctx, metadata.MD{})
	})
	return func() { timer.Stop() }
}

// fitting returns the entries that fit one page, at least one, and reports whether
// others are left.
func fitting(entries []*workerv1.Entry) (page []*workerv1.Entry, cut bool) {
	size := 0
	for i, e := range entries {
		if size += proto.Size(e); size > maxPageBytes && i > 0 {
			return entries[:i], true
		}
	}
	return entries, false
}

// Forget drops a name from the cached listing.
func (n *names) Forget(ctx context.Context, request *workerv1.ForgetRequest) (*workerv1.ForgetResponse, error) {
	if n.worker.mounts.get(request.GetMountId()) == nil {
		return nil, n.unknown(request.GetMountId())
	}
	if err := n.worker.mayRead(ctx, request.GetMountId()); err != nil {
		return nil, err
	}
	n.worker.config.Directory.Forget(request.GetMountId(), cleanDir(string(request.GetDirectory())), string(request.GetName()))
	return &workerv1.ForgetResponse{}, nil
}

// mount returns what the listings need of a mount, or an error if the peer may not
// read it or its store cannot be opened.
func (n *names) mount(ctx context.Context, id string) (dirstore.Mount, *mounted, error) {
	entry := n.worker.mount(ctx, id)
	v := n.worker.views.load()
	if v == nil || entry == nil || v.mounts[id] == nil {
		return dirstore.Mount{}, nil, n.unknown(id)
	}
	if err := n.worker.mayRead(ctx, id); err != nil {
		return dirstore.Mount{}, nil, err
	}
	store, err := entry.use(ctx)
	if err != nil {
		return dirstore.Mount{}, nil, statusOf(err)
	}
	return listed(v.mounts[id], store), entry, nil
}

// listed returns a mount as package dirstore needs it.
func listed(mount *commonv1.Mount, store ufs.Store) dirstore.Mount {
	return dirstore.Mount{
		ID: mount.GetId(), Epoch: mount.GetEpoch(), Policy: mount.GetMetaPolicy(), ReadOnly: mount.GetReadOnly(), Store: store,
	}
}

func (n *names) unknown(id string) error {
	return status.Errorf(codes.NotFound, "view %d has no mount with id %q", n.worker.views.load().index(), id)
}

func (n *names) epochs(mountID string) *workerv1.Epochs {
	epochs := n.worker.views.load().epochs(mountID)
	return &workerv1.Epochs{Ring: epochs.Ring, Mount: epochs.Mount}
}

// noteNames records the result of a request for names. A success is not
// recorded, because it may come from a cached listing.
func (e *mounted) noteNames(err error) {
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		e.note(err)
	}
}

// cleanDir removes leading and trailing slashes.
func cleanDir(dir string) string { return strings.Trim(dir, "/") }
