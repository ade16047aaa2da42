package peer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/jindo-io/jindo/test/ports"
)

// Etcd is a cluster of three members of etcd on this machine, with its default
// settings, without TLS.
type Etcd struct {
	processes []*process
	// clients are the addresses of the members, host and port.
	clients []string
	// releases end the reservation of the addresses.
	releases []func()
}

// StartEtcd starts a cluster in a directory and waits for its leader.
func StartEtcd(ctx context.Context, dir string) (*Etcd, error) {
	e := &Etcd{}
	if err := e.start(dir); err != nil {
		e.Stop()
		return nil, fmt.Errorf("start etcd: %w", err)
	}
	err := e.processes[0].await(ctx, "a leader of etcd", func() bool {
		_, err := e.Leader(ctx)
		return err == nil
	})
	if err != nil {
		e.Stop()
		return nil, fmt.Errorf("start etcd: %w", err)
	}
	return e, nil
}

func (e *Etcd) start(dir string) error {
	const members = 3
	addresses, err := e.reserve(2 * members)
	if err != nil {
		return err
	}
	e.clients = addresses[:members]
	peers := addresses[members:]
	var cluster []string
	for i, peer := range peers {
		cluster = append(cluster, fmt.Sprintf("m%d=http://%s", i, peer))
	}
	for i, client := range e.clients {
		own := filepath.Join(dir, fmt.Sprintf("m%d", i))
		if err := os.MkdirAll(own, 0o700); err != nil {
			return err
		}
		p, err := Options{}.run(own, "etcd", nil, "--name", fmt.Sprintf("m%d", i), "--data-dir", filepath.Join(own, "data"),
			"--listen-client-urls", "http://"+client, "--advertise-client-urls", "http://"+client,
			"--listen-peer-urls", "http://"+peers[i], "--initial-advertise-peer-urls", "http://"+peers[i],
			"--initial-cluster", strings.Join(cluster, ","), "--log-level", "error")
		if err != nil {
			return err
		}
		e.processes = append(e.processes, p)
	}
	return nil
}

// reserve returns addresses of the loopback network, which are reserved until Stop.
func (e *Etcd) reserve(count int) ([]string, error) {
	var addresses []string
	for range count {
		port, release, err := ports.Open("127.0.0.1")
		if err != nil {
			return nil, err
		}
		e.releases = append(e.releases, release)
		addresses = append(addresses, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	}
	return addresses, nil
}

// Leader returns the address of the leader, host and port.
func (e *Etcd) Leader(ctx context.Context) (string, error) {
	for _, address := range e.clients {
		leads, err := etcdLeads(ctx, address)
		if err != nil {
			return "", err
		}
		if leads {
			return address, nil
		}
	}
	return "", errors.New("etcd has no leader")
}

// etcdLeads reports whether a member is the leader.
func etcdLeads(ctx context.Context, address string) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/v3/maintenance/status", bytes.NewReader([]byte("{}")))
	if err != nil {
		return false, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	var status struct {
		Header struct {
			Member string `json:"member_id"`
		} `json:"header"`
		Leader string `json:"leader"`
	}
	if err := json.NewDecoder(response.Body).Decode(&status); err != nil {
		return false, fmt.Errorf("read the status of etcd: %w", err)
	}
	return status.Leader != "" && status.Leader == status.Header.Member, nil
}

// PIDs returns the processes of the cluster.
func (e *Etcd) PIDs() []int { return withChildren(e.processes) }

// Stop ends the cluster.
func (e *Etcd) Stop() {
	for _, p := range e.processes {
		p.stop()
	}
	for _, release := range e.releases {
		release()
	}
}

// EtcdPut stores a value. It sends the request of etcd's gRPC API, whose message
// has the key in field 1 and the value in field 2, without etcd's client library.
func EtcdPut(ctx context.Context, conn *grpc.ClientConn, key string, value []byte) error {
	request := protowire.AppendTag(nil, 1, protowire.BytesType)
	request = protowire.AppendString(request, key)
	request = protowire.AppendTag(request, 2, protowire.BytesType)
	request = protowire.AppendBytes(request, value)
	var response []byte
	if err := conn.Invoke(ctx, "/etcdserverpb.KV/Put", &request, &response, grpc.ForceCodec(rawCodec{})); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	return nil
}

// rawCodec passes encoded messages on.
type rawCodec struct{}

// Marshal implements encoding.Codec.
func (rawCodec) Marshal(v any) ([]byte, error) {
	raw, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("%T is not an encoded message", v)
	}
	return *raw, nil
}

// Unmarshal implements encoding.Codec.
func (rawCodec) Unmarshal(data []byte, v any) error {
	raw, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("%T is not an encoded message", v)
	}
	*raw = bytes.Clone(data)
	return nil
}

// Name implements encoding.Codec.
func (rawCodec) Name() string { return "proto" }
