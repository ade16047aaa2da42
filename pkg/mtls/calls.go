package mtls

import (
	"context"
	"fmt"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

// maxCalls bounds the calls in progress of one owner from one address, over all
// its connections: all FUSE servers of a runtime have one certificate, and each
// needs a few at a time. maxLong bounds those that end only when the caller wants
// them to, such as the watching of health. maxBegun bounds the calls that have
// begun, also those whose request has not arrived: they reach no interceptor.
const (
	maxCalls = 1024
	maxLong  = 16
	maxBegun = maxCalls + maxLong
)

// admission checks the rights of each call, and bounds the calls in progress. It
// is safe for concurrent use.
type admission struct {
	rights Rights

	mu    sync.Mutex
	calls map[callers]int
}

// callers are those that share a bound.
type callers struct {
	owner, address string
	kind           kind
}

// kind is what a bound is for.
type kind int

const (
	unary kind = iota
	long
	begun
)

func (k kind) most() int { return [...]int{unary: maxCalls, long: maxLong, begun: maxBegun}[k] }

// enter begins a call. The caller must call leave when it has ended, unless
// enter returns an error.
func (a *admission) enter(ctx context.Context, method string, kind kind) (leave func(), err error) {
	from, err := a.rights.check(ctx, method)
	if err != nil {
		return nil, err
	}
	who := callers{owner: from.String(), address: addressOfCaller(ctx), kind: kind}
	most := kind.most()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.calls[who] >= most {
		return nil, status.Error(codes.Unavailable, fmt.Sprintf("%s has %d calls in progress from %s: this is the limit", from, most, who.address))
	}
	a.calls[who]++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.calls[who]--; a.calls[who] == 0 {
			delete(a.calls, who)
		}
	}, nil
}

// begin implements tap.ServerInHandle. It counts a call until its context ends,
// which is when the server has forgotten it.
func (a *admission) begin(ctx context.Context, info *tap.Info) (context.Context, error) {
	leave, err := a.enter(ctx, info.FullMethodName, begun)
	if err != nil {
		return ctx, err
	}
	context.AfterFunc(ctx, leave)
	return ctx, nil
}

func (a *admission) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	leave, err := a.enter(ctx, info.FullMethod, unary)
	if err != nil {
		return nil, err
	}
	defer leave()
	return handler(ctx, req)
}

func (a *admission) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	leave, err := a.enter(stream.Context(), info.FullMethod, long)
	if err != nil {
		return err
	}
	defer leave()
	return handler(srv, stream)
}

// addressOfCaller returns the address of the other end of a call, without its
// port.
func addressOfCaller(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(p.Addr.String())
	if err != nil {
		return p.Addr.String()
	}
	return host
}
