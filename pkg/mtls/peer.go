// Package mtls authenticates the components of a runtime to each other:
// certificates that carry a role and a name as a SPIFFE URI, and both ends of a
// mutually authenticated connection.
//
// Each runtime has an [Authority] of its own, so that a certificate of one
// runtime is not accepted by another. Servers decide what a role may call,
// based on the [Peer].
package mtls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// Role is the role of a component.
type Role string

// The roles of a runtime. Admin is a person, or a controller on behalf of one.
const (
	Master Role = "master"
	Worker Role = "worker"
	Fuse   Role = "fuse"
	Admin  Role = "admin"
)

// trustDomain is the trust domain of the SPIFFE URIs.
const trustDomain = "jindo.io"

// Peer is the role and name of the other end of a connection.
type Peer struct {
	Role Role
	// Name is the name of the component, for example "hadoop-jindofs-master-0".
	Name string
}

// String returns "role/name".
func (p Peer) String() string { return string(p.Role) + "/" + p.Name }

// Is reports whether the peer has one of the roles.
func (p Peer) Is(roles ...Role) bool { return slices.Contains(roles, p.Role) }

func (p Peer) uri() *url.URL {
	return &url.URL{Scheme: "spiffe", Host: trustDomain, Path: "/" + string(p.Role) + "/" + p.Name}
}

// PeerOf returns the role and name in a verified certificate.
func PeerOf(cert *x509.Certificate) (Peer, error) {
	for _, uri := range cert.URIs {
		if uri.Scheme != "spiffe" || uri.Host != trustDomain {
			continue
		}
		role, name, ok := strings.Cut(strings.TrimPrefix(uri.Path, "/"), "/")
		if ok && name != "" && Role(role) != "" {
			return Peer{Role: Role(role), Name: name}, nil
		}
	}
	return Peer{}, fmt.Errorf("certificate %q has no role: want a URI spiffe://%s/<role>/<name>", cert.Subject.CommonName, trustDomain)
}

// PeerOfState returns the peer of an established connection.
func PeerOfState(state tls.ConnectionState) (Peer, error) {
	if len(state.VerifiedChains) == 0 {
		return Peer{}, fmt.Errorf("the connection has no verified certificate")
	}
	return PeerOf(state.VerifiedChains[0][0])
}

// PeerOfContext returns the peer of a gRPC call.
func PeerOfContext(ctx context.Context) (Peer, error) {
	state, err := stateOfContext(ctx)
	if err != nil {
		return Peer{}, err
	}
	return PeerOfState(state)
}

func stateOfContext(ctx context.Context) (tls.ConnectionState, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return tls.ConnectionState{}, fmt.Errorf("the call has no peer")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return tls.ConnectionState{}, fmt.Errorf("the call was not made over TLS")
	}
	return info.State, nil
}
