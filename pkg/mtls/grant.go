package mtls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"path"
	"slices"
	"strings"
)

// grantScheme is the scheme of the URIs in a certificate that name mounts:
//
//	jindo-mount:///data        the mount at /data and those below it may be read
//	jindo-mount:///data?store  and their stores may be opened
const (
	grantScheme = "jindo-mount"
	grantStore  = "store"
)

// Grant is what a fuse certificate allows.
type Grant struct {
	// Path is the path of a mount in the file tree. The grant is for the mounts
	// at and below it; "/" is all of the runtime.
	Path string
	// Store allows to see what opening the store takes: the options of the mount
	// and the name of its secret. FUSE servers that read through workers do not
	// need it.
	Store bool
}

func (g Grant) uri() *url.URL {
	u := &url.URL{Scheme: grantScheme, Path: path.Join("/", g.Path)}
	if g.Store {
		u.RawQuery = grantStore
	}
	return u
}

// covers reports whether the grant is for the mount at a path.
func (g Grant) covers(mount string) bool {
	return g.Path == "/" || mount == g.Path || strings.HasPrefix(mount, g.Path+"/")
}

// Scope is what the holder of a certificate may see and read of a runtime's
// mounts. The zero value is nothing.
type Scope struct {
	// all is set for roles other than fuse.
	all    bool
	grants []Grant
}

// ScopeOf returns the scope of a verified certificate. A fuse certificate that
// names no mount, as those that earlier versions issued, allows to read every
// mount, without what opening the stores takes. A name that this version cannot
// read grants nothing.
func ScopeOf(cert *x509.Certificate) (Scope, error) {
	peer, err := PeerOf(cert)
	if err != nil {
		return Scope{}, err
	}
	if peer.Role != Fuse {
		return Scope{all: true}, nil
	}
	grants := GrantsOf(cert)
	if !slices.ContainsFunc(cert.URIs, isGrant) {
		grants = []Grant{{Path: "/"}}
	}
	return Scope{grants: grants}, nil
}

func isGrant(uri *url.URL) bool { return uri.Scheme == grantScheme }

// GrantsOf returns the grants in a certificate, in its order.
func GrantsOf(cert *x509.Certificate) []Grant {
	var grants []Grant
	for _, uri := range cert.URIs {
		if isGrant(uri) && uri.Host == "" && strings.HasPrefix(uri.Path, "/") {
			grants = append(grants, Grant{Path: path.Clean(uri.Path), Store: uri.RawQuery == grantStore})
		}
	}
	return grants
}

// ScopeOfState returns the scope of the peer of an established connection.
func ScopeOfState(state tls.ConnectionState) (Scope, error) {
	if _, err := PeerOfState(state); err != nil {
		return Scope{}, err
	}
	return ScopeOf(state.VerifiedChains[0][0])
}

// ScopeOfContext returns the scope of the peer of a gRPC call.
func ScopeOfContext(ctx context.Context) (Scope, error) {
	state, err := stateOfContext(ctx)
	if err != nil {
		return Scope{}, err
	}
	return ScopeOfState(state)
}

// MayRead reports whether the mount at a path may be read.
func (s Scope) MayRead(mount string) bool {
	read, _ := s.rights(mount)
	return read
}

// MayOpenStore reports whether the store of the mount at a path may be opened.
func (s Scope) MayOpenStore(mount string) bool {
	_, store := s.rights(mount)
	return store
}

func (s Scope) rights(mount string) (read, store bool) {
	if s.all {
		return true, true
	}
	for _, g := range s.grants {
		if g.covers(mount) {
			read, store = true, store || g.Store
		}
	}
	return read, store
}
