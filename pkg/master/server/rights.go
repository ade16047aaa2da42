package server

import (
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// Rights returns the roles that may make each call of a master. Some calls are
// further restricted by name: a worker registers and reports only itself, masters
// are those of the topology, and a FUSE server sees the mounts that its
// certificate names. The methods check that.
func Rights() mtls.Rights {
	commanders := []mtls.Role{mtls.Admin, mtls.Master}
	allRoles := []mtls.Role{mtls.Admin, mtls.Master, mtls.Worker, mtls.Fuse}
	return mtls.Rights{
		masterv1.Coordination_OpenSession_FullMethodName:    {mtls.Admin, mtls.Master, mtls.Worker},
		masterv1.Coordination_KeepAlive_FullMethodName:      {mtls.Admin, mtls.Master, mtls.Worker},
		masterv1.Coordination_RegisterWorker_FullMethodName: {mtls.Worker},
		masterv1.Coordination_RemoveWorker_FullMethodName:   commanders,
		masterv1.Coordination_Mount_FullMethodName:          commanders,
		masterv1.Coordination_Unmount_FullMethodName:        commanders,
		masterv1.Coordination_Invalidate_FullMethodName:     commanders,
		masterv1.Coordination_GetView_FullMethodName:        allRoles,
		masterv1.Coordination_ListWorkers_FullMethodName:    commanders,

		masterv1.Reports_Heartbeat_FullMethodName: {mtls.Worker},

		masterv1.Member_Status_FullMethodName:             commanders,
		masterv1.Member_TransferLeadership_FullMethodName: commanders,
		masterv1.Member_Describe_FullMethodName:           {mtls.Master},
		masterv1.Member_Join_FullMethodName:               {mtls.Master},
		masterv1.Member_RemovePeer_FullMethodName:         commanders,
		masterv1.Member_Recover_FullMethodName:            commanders,
		masterv1.Member_SaveSnapshot_FullMethodName:       commanders,
		masterv1.Member_RestoreSnapshot_FullMethodName:    commanders,
		masterv1.Member_Checksums_FullMethodName:          commanders,
		masterv1.Member_RecordVerification_FullMethodName: commanders,

		grpc_health_v1.Health_Check_FullMethodName: allRoles,
		grpc_health_v1.Health_List_FullMethodName:  allRoles,
		grpc_health_v1.Health_Watch_FullMethodName: allRoles,

		grpc_reflection_v1.ServerReflection_ServerReflectionInfo_FullMethodName:      commanders,
		grpc_reflection_v1alpha.ServerReflection_ServerReflectionInfo_FullMethodName: commanders,
	}
}
