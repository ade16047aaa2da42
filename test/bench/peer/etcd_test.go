package peer

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// The request has the key in field 1 and the value in field 2 of the message.
func TestEtcdPutEncodesTheRequest(t *testing.T) {
	received := make(chan []byte, 1)
	server := grpc.NewServer(grpc.ForceServerCodec(rawCodec{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		var request []byte
		if err := stream.RecvMsg(&request); err != nil {
			return err
		}
		method, _ := grpc.MethodFromServerStream(stream)
		received <- append([]byte(method+" "), request...)
		return stream.SendMsg(new([]byte))
	}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	conn, err := grpc.NewClient("passthrough:///"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := EtcdPut(t.Context(), conn, "k", []byte("val")); err != nil {
		t.Fatal(err)
	}
	if got, want := <-received, []byte("/etcdserverpb.KV/Put \x0a\x01k\x12\x03val"); !bytes.Equal(got, want) {
		t.Errorf("the server received %q, want %q", got, want)
	}
}

// The leader is the member whose own id is that of the leader.
func TestEtcdLeader(t *testing.T) {
	e := &Etcd{}
	for id := 1; id <= 3; id++ {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, fmt.Sprintf(`{"header":{"member_id":"%d"},"leader":"2"}`, id))
		}))
		defer server.Close()
		e.clients = append(e.clients, strings.TrimPrefix(server.URL, "http://"))
	}
	if leader, err := e.Leader(t.Context()); err != nil || leader != e.clients[1] {
		t.Errorf("the leader is %q, %v, want %q", leader, err, e.clients[1])
	}
	e.clients = e.clients[2:]
	if leader, err := e.Leader(t.Context()); err == nil {
		t.Errorf("the leader is %q though no member says so", leader)
	}
}
