package server

import (
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
)

// readers are the roles that may read names and bytes.
var readers = []mtls.Role{mtls.Fuse, mtls.Worker, mtls.Admin, mtls.Master} //nolint:gochecknoglobals // A constant table.

// Rights lists the roles that may make each call. The readers may also read the
// objects under /v1/objects/.
func Rights() mtls.Rights {
	return mtls.Rights{
		workerv1.Directory_Lookup_FullMethodName: readers,
		workerv1.Directory_List_FullMethodName:   readers,
		workerv1.Directory_Forget_FullMethodName: {mtls.Fuse, mtls.Worker, mtls.Admin},
		workerv1.Cache_GetView_FullMethodName:    readers,
		workerv1.Cache_GetEpochs_FullMethodName:  readers,
		workerv1.Cache_GetTotals_FullMethodName:  readers,
		workerv1.Cache_Status_FullMethodName:     {mtls.Admin, mtls.Master, mtls.Worker},
		healthv1.Health_Check_FullMethodName:     readers,
		healthv1.Health_Watch_FullMethodName:     readers,
		// Reflection returns only what the repository contains.
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo":      {mtls.Admin},
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": {mtls.Admin},
	}
}
