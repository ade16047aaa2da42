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

// reloadAfter is how long an Identity trusts what it read from its files.
const reloadAfter = 10 * time.Second

// Identity is a component's own certificate and the authority it trusts. One
// that comes from a directory is read again when the files change, so that
// certificates are renewed under running servers. Safe for concurrent use.
type Identity struct {
	load func() (*tls.Certificate, *x509.CertPool, error)
	peer Peer

	mu     sync.Mutex
	read   time.Time
	cert   *tls.Certificate
	pool   *x509.CertPool
	failed error
}

// LoadIdentity reads the identity in a directory (ca.crt, tls.crt, tls.key).
func LoadIdentity(dir string) (*Identity, error) { return LoadIdentityOf(dir, "") }

// LoadIdentityOf reads the identity of one instance in a directory that all
// instances of a role share: NAME.crt and NAME.key, or tls.crt and tls.key
// where the directory has none of that name.
func LoadIdentityOf(dir, name string) (*Identity, error) {
	i, err := newIdentity(func() (*tls.Certificate, *x509.CertPool, error) { return readDir(dir, name) })
	if err != nil {
		return nil, fmt.Errorf("reading identity in %s: %w", dir, err)
	}
	return i, nil
}

// NewIdentity is an identity that was just issued; it is never read again.
func NewIdentity(pair Pair) (*Identity, error) {
	i, err := newIdentity(func() (*tls.Certificate, *x509.CertPool, error) {
		return parse(pair.Cert, pair.Key, pair.CA)
	})
	if err != nil {
		return nil, fmt.Errorf("using an identity: %w", err)
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

// Peer is who this identity says its holder is.
func (i *Identity) Peer() Peer { return i.peer }

// ServerConfig accepts peers of the given roles, and of every role when none
// is given. TLS 1.3 only.
func (i *Identity) ServerConfig(accept ...Role) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		// The configuration is made for each connection, so that a new
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

// ClientConfig dials a server that must have the given role and, unless name
// is empty, that name. Which address it was dialled at does not matter: the
// name in the certificate is what is trusted.
func (i *Identity) ClientConfig(role Role, name string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			cert, _, err := i.material()
			return cert, err
		},
		// Chain and role are verified below, against an authority that may
		// have been renewed since; only the check of the host name is left out.
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
		return fmt.Errorf("the server showed no certificate")
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
		return fmt.Errorf("verifying the server's certificate: %w", err)
	}
	got, err := PeerOf(leaf)
	if err != nil {
		return err
	}
	if got.Role != want.Role || want.Name != "" && got.Name != want.Name {
		return fmt.Errorf("the server is %s, not %s", got, want)
	}
	return nil
}

func checkRole(state tls.ConnectionState, accept []Role) error {
	got, err := PeerOfState(state)
	if err != nil {
		return err
	}
	if len(accept) > 0 && !got.Is(accept...) {
		return fmt.Errorf("%s may not connect here: this port takes %v", got, accept)
	}
	return nil
}

// material is the newest certificate and pool. When the files cannot be read
// any more, what was read before goes on being used until it expires.
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

// Err is why the files could not be read the last time, nil when they could.
func (i *Identity) Err() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.failed
}

// Expires is when the certificate in use ends.
func (i *Identity) Expires() time.Time {
	cert, _, err := i.material()
	if err != nil {
		return time.Time{}
	}
	return cert.Leaf.NotAfter
}
