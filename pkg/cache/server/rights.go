package server

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
)

// readers are the roles that may read names and bytes.
var readers = []mtls.Role{mtls.Fuse, mtls.Worker, mtls.Admin, mtls.Master} //nolint:gochecknoglobals // A constant table.

// Rights lists the roles that may make each call. The readers may also read the
// objects under /v1/objects/. Calls about a mount are further restricted to the
// mounts that a fuse certificate names: see mayRead.
func Rights() mtls.Rights {
	return mtls.Rights{
		workerv1.Directory_Lookup_FullMethodName: readers,
		workerv1.Directory_List_FullMethodName:   readers,
		workerv1.Directory_Forget_FullMethodName: {mtls.Fuse, mtls.Worker, mtls.Admin},
		workerv1.Cache_GetView_FullMethodName:    readers,
		workerv1.Cache_GetEpochs_FullMethodName:  readers,
		workerv1.Cache_GetTotals_FullMethodName:  readers,
		workerv1.Cache_Status_FullMethodName:     {mtls.Admin, mtls.Master, mtls.Worker},
		workerv1.Cache_Drain_FullMethodName:      {mtls.Admin},

		workerv1.Snapshots_LatestSnapshot_FullMethodName: {mtls.Master},
		workerv1.Snapshots_StoreSnapshot_FullMethodName:  {mtls.Master},

		healthv1.Health_Check_FullMethodName: readers,
		healthv1.Health_Watch_FullMethodName: readers,
		// Reflection returns only what the repository contains.
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo":      {mtls.Admin},
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": {mtls.Admin},
	}
}

// mayRead returns an error if the peer of a call may not read a mount. A mount
// that is unknown is not an error: the call returns that.
func (w *Worker) mayRead(ctx context.Context, id string) error {
	scope, err := mtls.ScopeOfContext(ctx)
	if err != nil {
		return status.Error(codes.Unauthenticated, err.Error())
	}
	if reason := w.outside(scope, id); reason != "" {
		return status.Error(codes.PermissionDenied, reason)
	}
	return nil
}

// outside returns why a mount is not in a scope; empty if it is, and if the mount is
// unknown.
func (w *Worker) outside(scope mtls.Scope, id string) string {
	v := w.views.load()
	if v == nil || v.mounts[id] == nil {
		return ""
	}
	return notNamed(scope, v.mounts[id])
}

// notNamed returns why a mount is not in a scope; empty if it is.
func notNamed(scope mtls.Scope, mount *commonv1.Mount) string {
	if scope.MayRead(mount.GetPath()) {
		return ""
	}
	return fmt.Sprintf("the certificate does not name mount %q: request one that does", mount.GetId())
}
