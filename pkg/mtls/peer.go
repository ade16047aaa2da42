// Package mtls is who may talk to whom: certificates that carry a role and a
// name as a SPIFFE URI, and the two ends of a mutually authenticated
// connection.
//
// Each runtime has an [Authority] of its own, so a certificate of one runtime
// says nothing to another. What a role may call is decided by the servers;
// [Peer] is what they decide by.
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

// Role of a component.
type Role string

// The roles of a runtime. Admin is a person, or a controller on behalf of one.
const (
	Master Role = "master"
	Worker Role = "worker"
	Fuse   Role = "fuse"
	Admin  Role = "admin"
)

// trustDomain of the SPIFFE URIs.
const trustDomain = "jindo.io"

// Peer is who is at the other end.
type Peer struct {
	Role Role
	// Name is the component's: "hadoop-jindofs-master-0".
	Name string
}

// String is "role/name".
func (p Peer) String() string { return string(p.Role) + "/" + p.Name }

// Is tells whether the peer has one of the roles.
func (p Peer) Is(roles ...Role) bool { return slices.Contains(roles, p.Role) }

func (p Peer) uri() *url.URL {
	return &url.URL{Scheme: "spiffe", Host: trustDomain, Path: "/" + string(p.Role) + "/" + p.Name}
}

// PeerOf reads role and name from a verified certificate.
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
	return Peer{}, fmt.Errorf("certificate %q names no role: it has no URI spiffe://%s/<role>/<name>", cert.Subject.CommonName, trustDomain)
}

// PeerOfState is the peer of an established connection.
func PeerOfState(state tls.ConnectionState) (Peer, error) {
	if len(state.VerifiedChains) == 0 {
		return Peer{}, fmt.Errorf("the connection carries no verified certificate")
	}
	return PeerOf(state.VerifiedChains[0][0])
}

// PeerOfContext is the peer of a gRPC call.
func PeerOfContext(ctx context.Context) (Peer, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return Peer{}, fmt.Errorf("the call has no peer")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return Peer{}, fmt.Errorf("the call did not come over TLS")
	}
	return PeerOfState(info.State)
}
