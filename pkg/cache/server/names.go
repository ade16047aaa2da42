package server

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jindo-io/jindo/pkg/cache/dirstore"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// Directory returns names from cached listings. *dirstore.Store implements it.
type Directory interface {
	Lookup(ctx context.Context, mount dirstore.Mount, dir, name string) (dirstore.LookupResult, error)
	List(ctx context.Context, mount dirstore.Mount, dir, after string, limit int) (dirstore.Listing, error)
	Forget(mountID, dir, name string)
	Totals(mountID string) (objects, bytes int64)
	// Count starts to count the totals of a mount.
	Count(mount dirstore.Mount)
}

// maxPage bounds the entries of one page of a listing.
const maxPage = 2000

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
	mount, entry, err := n.mount(ctx, request.GetMountId())
	if err != nil {
		return nil, err
	}
	result, err := n.worker.config.Directory.Lookup(ctx, mount, cleanDir(string(request.GetDirectory())), string(request.GetName()))
	entry.noteNames(err)
	if err != nil {
		return nil, statusOf(err)
	}
	return &workerv1.LookupResponse{
		Found: result.Found, Entry: result.Entry, Age: durationpb.New(result.Age), Epochs: n.epochs(request.GetMountId()),
	}, nil
}

// List returns a page of a directory.
func (n *names) List(ctx context.Context, request *workerv1.ListRequest) (*workerv1.ListResponse, error) {
	mount, entry, err := n.mount(ctx, request.GetMountId())
	if err != nil {
		return nil, err
	}
	limit := int(min(request.GetLimit(), maxPage))
	if limit == 0 {
		limit = maxPage
	}
	listing, err := n.worker.config.Directory.List(ctx, mount, cleanDir(string(request.GetDirectory())), string(request.GetAfter()), limit)
	entry.noteNames(err)
	if err != nil {
		return nil, statusOf(err)
	}
	return &workerv1.ListResponse{
		Entries: listing.Entries, More: listing.More, Age: durationpb.New(listing.Age), Epochs: n.epochs(request.GetMountId()),
	}, nil
}

// Forget drops a name from the cached listing.
func (n *names) Forget(_ context.Context, request *workerv1.ForgetRequest) (*workerv1.ForgetResponse, error) {
	if n.worker.mounts.get(request.GetMountId()) == nil {
		return nil, n.unknown(request.GetMountId())
	}
	n.worker.config.Directory.Forget(request.GetMountId(), cleanDir(string(request.GetDirectory())), string(request.GetName()))
	return &workerv1.ForgetResponse{}, nil
}

// mount returns what the listings need of a mount, or the error of opening its
// store.
func (n *names) mount(ctx context.Context, id string) (dirstore.Mount, *mounted, error) {
	entry := n.worker.mount(ctx, id)
	v := n.worker.views.load()
	if v == nil || entry == nil || v.mounts[id] == nil {
		return dirstore.Mount{}, nil, n.unknown(id)
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
