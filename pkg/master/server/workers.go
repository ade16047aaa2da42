package server

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strconv"
	"time"

	"google.golang.org/grpc"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
)

// latestTimeout bounds the request for the newest snapshot.
const latestTimeout = 30 * time.Second

// workers is the archiver that calls workers. A call has a connection of its own, because
// there are minutes between two of them.
type workers struct{ server *Server }

var _ archiver = workers{}

func (w workers) dial(to *commonv1.RingMember) (*grpc.ClientConn, error) {
	address := net.JoinHostPort(to.GetHost(), strconv.FormatUint(uint64(to.GetPort()), 10))
	return w.server.config.Identity.Dial(address, mtls.Worker, to.GetName())
}

// latest implements archiver.
func (w workers) latest(ctx context.Context, to *commonv1.RingMember, target *workerv1.SnapshotTarget) (*workerv1.StoredSnapshot, error) {
	conn, err := w.dial(to)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, latestTimeout)
	defer cancel()
	response, err := workerv1.NewSnapshotsClient(conn).LatestSnapshot(ctx, &workerv1.LatestSnapshotRequest{Target: target})
	return response.GetLatest(), err
}

// store implements archiver.
func (w workers) store(ctx context.Context, to *commonv1.RingMember, target *workerv1.SnapshotTarget) (*workerv1.StoreSnapshotResponse, string, error) {
	conn, err := w.dial(to)
	if err != nil {
		return nil, "", err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	stream, err := workerv1.NewSnapshotsClient(conn).StoreSnapshot(ctx)
	if err == nil {
		err = stream.Send(&workerv1.StoreSnapshotRequest{Target: target})
	}
	sent := &storedParts{stream: stream}
	if err == nil {
		buffer := bufio.NewWriterSize(sent, chunkBytes)
		if err = w.server.writeState(buffer, true); err == nil {
			err = buffer.Flush()
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, "", err
	}
	response, err := stream.CloseAndRecv() // the reason, if the worker has ended the call
	if err != nil {
		return nil, "", err
	}
	return response, hex.EncodeToString(sent.last), nil
}

// storedParts sends what is written to it, and keeps the last 32 bytes: the SHA-256 of a
// file.
type storedParts struct {
	stream grpc.ClientStreamingClient[workerv1.StoreSnapshotRequest, workerv1.StoreSnapshotResponse]
	last   []byte
}

// Write implements io.Writer.
func (s *storedParts) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		piece := rest[:min(len(rest), chunkBytes)]
		if err := s.stream.Send(&workerv1.StoreSnapshotRequest{Data: piece}); err != nil {
			return len(p) - len(rest), err
		}
		rest = rest[len(piece):]
	}
	const size = 32
	s.last = append(s.last, p[max(0, len(p)-size):]...)
	s.last = append([]byte(nil), s.last[max(0, len(s.last)-size):]...)
	return len(p), nil
}
