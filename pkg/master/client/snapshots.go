package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

const (
	// snapshotChunk is the size of a part of a snapshot file, in bytes.
	snapshotChunk = 512 << 10
	// snapshotTimeout bounds the transfer of one, and a restoration.
	snapshotTimeout = 2 * time.Minute
)

// SaveSnapshot writes the state of the leader to w as a file of package snapshot: it has
// everything that was acknowledged before the call. With the name of a master, it is that
// of this master, which may be older. After an error, w may have received a part of it. It
// takes at most two minutes.
func (c *Client) SaveSnapshot(ctx context.Context, master string, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	request := &masterv1.SaveSnapshotRequest{Unconfirmed: master != ""}
	if master == "" {
		for _, m := range c.Members(ctx) {
			if m.Status.GetState() == "LEADER" && m.Status.GetReady() {
				master = m.Member.Name
			}
		}
	}
	if master == "" {
		return errors.New("save a snapshot: no master leads: name the master whose state is to be saved")
	}
	m, err := c.members.named(master)
	if err != nil {
		return fmt.Errorf("save a snapshot: %w", err)
	}
	mtls.Reconnect(m.conn)
	stream, err := masterv1.NewMemberClient(m.conn).SaveSnapshot(ctx, request)
	for err == nil {
		var part *masterv1.SaveSnapshotResponse
		if part, err = stream.Recv(); err == nil {
			if _, err := w.Write(part.GetData()); err != nil {
				return fmt.Errorf("save a snapshot: %w", err)
			}
		}
	}
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("save a snapshot of %s: %w", master, refusedBy(err))
	}
	return nil
}

// RestoreSnapshot makes the named master, which must have no state, the only member of its
// cluster with the state of a file, and returns the index of its last entry; see masterv1.
// With newCluster, the file must be of another cluster, and only its mounts are restored;
// see snapshot.Content.ForCluster. It takes at most two minutes.
func (c *Client) RestoreSnapshot(ctx context.Context, master string, file io.Reader, newCluster bool) (uint64, error) {
	m, err := c.members.named(master)
	if err != nil {
		return 0, fmt.Errorf("restore a snapshot: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	mtls.Reconnect(m.conn)
	response, err := sendSnapshot(ctx, masterv1.NewMemberClient(m.conn), file, newCluster)
	if err != nil {
		return 0, fmt.Errorf("restore a snapshot at %s: %w", master, err)
	}
	return response.GetIndex(), nil
}

func sendSnapshot(ctx context.Context, calls masterv1.MemberClient, file io.Reader, newCluster bool) (*masterv1.RestoreSnapshotResponse, error) {
	stream, err := calls.RestoreSnapshot(ctx)
	if err != nil {
		return nil, refusedBy(err)
	}
	part := make([]byte, snapshotChunk)
	for {
		n, err := io.ReadFull(file, part)
		if n > 0 && stream.Send(&masterv1.RestoreSnapshotRequest{Data: part[:n], IntoNewCluster: newCluster}) != nil {
			break // CloseAndRecv returns the reason
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the file: %w", err)
		}
	}
	response, err := stream.CloseAndRecv()
	if err != nil {
		return nil, refusedBy(err)
	}
	return response, nil
}

// refusedBy converts the error of a call of one master.
func refusedBy(err error) error {
	s := status.Convert(err)
	return &RefusedError{Code: s.Code(), Message: s.Message()}
}
