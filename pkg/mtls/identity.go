package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// reloadAfter is how long an Identity uses the contents of its files before it
// checks them again.
const reloadAfter = 10 * time.Second

// Identity is a component's own certificate and the authority that it trusts.
// One that was loaded from a directory is read again when the files change, so
// that certificates can be renewed under running servers. It is safe for
// concurrent use.
type Identity struct {
	load func() (*tls.Certificate, *x509.CertPool, error)
	peer Peer

	mu     sync.Mutex
	read   time.Time
	cert   *tls.Certificate
	pool   *x509.CertPool
	failed error
}

// LoadIdentity returns the identity in a directory (ca.crt, tls.crt, tls.key).
func LoadIdentity(dir string) (*Identity, error) { return LoadIdentityOf(dir, "") }

// LoadIdentityOf returns the identity of one instance from a directory that all
// instances of a role share: NAME.crt and NAME.key, or tls.crt and tls.key when
// these do not exist.
func LoadIdentityOf(dir, name string) (*Identity, error) {
	i, err := newIdentity(func() (*tls.Certificate, *x509.CertPool, error) { return readDir(dir, name) })
	if err != nil {
		return nil, fmt.Errorf("read identity in %s: %w", dir, err)
	}
	return i, nil
}

// NewIdentity returns an identity for a pair that was just issued. It is never
// read again.
func NewIdentity(pair Pair) (*Identity, error) {
	i, err := newIdentity(func() (*tls.Certificate, *x509.CertPool, error) {
		return parse(pair.Cert, pair.Key, pair.CA)
	})
	if err != nil {
		return nil, fmt.Errorf("use identity: %w", err)
	}
	return i, nil
}

func newIdentity(load func() (*tls.Certificate, *x509.CertPool, error)) (*Identity, error) {
	i := &Identity{load: load}
	cert, _, err := i.material()
	if err != nil {
		return nil, err
	}
	i.peer, err = PeerOf(cert.Leaf)
	return i, err
}

// Peer returns the role and name in the certificate of this identity.
func (i *Identity) Peer() Peer { return i.peer }

// ServerConfig returns a configuration that accepts peers of the given roles,
// and of every role when none is given. It requires TLS 1.3.
func (i *Identity) ServerConfig(accept ...Role) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		// The configuration is created for each connection, so that a new
		// authority is trusted without a restart.
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			cert, pool, err := i.material()
			if err != nil {
				return nil, err
			}
			return &tls.Config{
				MinVersion:   tls.VersionTLS13,
				Certificates: []tls.Certificate{*cert},
				ClientAuth:   tls.RequireAndVerifyClientCert,
				ClientCAs:    pool,
				NextProtos:   []string{"h2", "http/1.1"},
				VerifyConnection: func(state tls.ConnectionState) error {
					return checkRole(state, accept)
				},
			}, nil
		},
	}
}

// ClientConfig returns a configuration for a connection to a server that must
// have the given role and, unless name is empty, that name. The address that is
// dialled does not matter: only the name in the certificate is trusted.
func (i *Identity) ClientConfig(role Role, name string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			cert, _, err := i.material()
			return cert, err
		},
		// Chain and role are verified below, against an authority that may have
		// been renewed since. Only the check of the host name is omitted.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			return i.verifyServer(state, Peer{Role: role, Name: name})
		},
	}
}

func (i *Identity) verifyServer(state tls.ConnectionState, want Peer) error {
	_, pool, err := i.material()
	if err != nil {
		return err
	}
	if len(state.PeerCertificates) == 0 {
		return fmt.Errorf("the server sent no certificate")
	}
	intermediates := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		intermediates.AddCert(cert)
	}
	leaf := state.PeerCertificates[0]
	if _, err := leaf.Verify(x509.VerifyOptions{
		Roots:         pool,
		Intermediates: intermediates,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}); err != nil {
		return fmt.Errorf("verify the server's certificate: %w", err)
	}
	got, err := PeerOf(leaf)
	if err != nil {
		return err
	}
	if got.Role != want.Role || want.Name != "" && got.Name != want.Name {
		return fmt.Errorf("the server is %s, want %s", got, want)
	}
	return nil
}

func checkRole(state tls.ConnectionState, accept []Role) error {
	got, err := PeerOfState(state)
	if err != nil {
		return err
	}
	if len(accept) > 0 && !got.Is(accept...) {
		return fmt.Errorf("%s may not connect to this port: allowed roles are %v", got, accept)
	}
	return nil
}

// material returns the newest certificate and pool. When the files can no
// longer be read, the last certificate is used until it expires.
func (i *Identity) material() (*tls.Certificate, *x509.CertPool, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.cert != nil && time.Since(i.read) < reloadAfter {
		return i.cert, i.pool, nil
	}
	cert, pool, err := i.load()
	if err != nil {
		i.failed = err
		if i.cert == nil {
			return nil, nil, err
		}
	} else {
		i.cert, i.pool, i.failed = cert, pool, nil
	}
	i.read = time.Now()
	return i.cert, i.pool, nil
}

func readDir(dir, name string) (*tls.Certificate, *x509.CertPool, error) {
	certFile, keyFile := CertFile, KeyFile
	if name != "" {
		if _, err := os.Stat(filepath.Join(dir, name+".crt")); err == nil {
			certFile, keyFile = name+".crt", name+".key"
		}
	}
	files := make([][]byte, 3)
	for i, file := range []string{certFile, keyFile, CAFile} {
		var err error
		if files[i], err = os.ReadFile(filepath.Join(dir, file)); err != nil {
			return nil, nil, err
		}
	}
	return parse(files[0], files[1], files[2])
}

func parse(certPEM, keyPEM, caPEM []byte) (*tls.Certificate, *x509.CertPool, error) {
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(caPEM) {
		return nil, nil, fmt.Errorf("%s has no certificate", CAFile)
	}
	return &cert, pool, nil
}

// Err returns the error of the last attempt to read the files; nil when it
// succeeded.
func (i *Identity) Err() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.failed
}

// Expires returns when the certificate in use expires.
func (i *Identity) Expires() time.Time {
	cert, _, err := i.material()
	if err != nil {
		return time.Time{}
	}
	return cert.Leaf.NotAfter
}
