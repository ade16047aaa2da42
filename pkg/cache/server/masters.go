package server

import (
	"context"

	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// MastersOf adapts the client of the masters for a worker.
func MastersOf(c *client.Client) Masters { return mastersClient{c} }

type mastersClient struct{ *client.Client }

var _ Masters = mastersClient{}

// Heartbeat sends the report to every master.
func (m mastersClient) Heartbeat(ctx context.Context, report *commonv1.WorkerReport, clusterID string) []HeartbeatResult {
	var all []HeartbeatResult
	for _, r := range m.Client.Heartbeat(ctx, report, clusterID) {
		heard := HeartbeatResult{Master: r.Member.Name, Err: r.Err}
		if r.Err == nil {
			heard.ViewIndex, heard.Registered = r.Response.GetViewIndex(), r.Response.GetRegistered()
		}
		all = append(all, heard)
	}
	return all
}
