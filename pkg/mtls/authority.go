package mtls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/jindo-io/jindo/pkg/atomicfile"
)

// Names of the files of an identity, as cert-manager and Kubernetes use them.
const (
	CAFile   = "ca.crt"
	CertFile = "tls.crt"
	KeyFile  = "tls.key"
	// caKeyFile holds the authority's key. It is never in the directory of an
	// identity.
	caKeyFile = "ca.key"
)

// clockSkew is how far the issuer's clock may be ahead of a verifier's.
const clockSkew = 5 * time.Minute

// Authority signs the certificates of one runtime.
type Authority struct {
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
	certPEM []byte
}

// NewAuthority creates the certificate authority of the named runtime. It is
// valid for ten years; the certificates that it signs are valid for much less.
func NewAuthority(runtime string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate the authority's key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "jindo " + runtime},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.AddDate(10, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("sign the authority's certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse the authority's certificate: %w", err)
	}
	return &Authority{cert: cert, key: key, certPEM: encodePEM("CERTIFICATE", der)}, nil
}

// LoadAuthority reads an authority that Save wrote.
func LoadAuthority(dir string) (*Authority, error) {
	certPEM, err := os.ReadFile(filepath.Join(dir, CAFile))
	if err != nil {
		return nil, fmt.Errorf("read authority: %w", err)
	}
	keyPEM, err := os.ReadFile(filepath.Join(dir, caKeyFile))
	if err != nil {
		return nil, fmt.Errorf("read authority: %w", err)
	}
	return ParseAuthority(certPEM, keyPEM)
}

// ParseAuthority returns the authority with the given certificate and key, both
// in PEM.
func ParseAuthority(certPEM, keyPEM []byte) (*Authority, error) {
	block, _ := pem.Decode(certPEM)
	if block == nil {
		return nil, fmt.Errorf("read authority: its certificate is not PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read the authority's certificate: %w", err)
	}
	block, _ = pem.Decode(keyPEM)
	if block == nil {
		return nil, fmt.Errorf("read authority: its key is not PEM")
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read the authority's key: %w", err)
	}
	return &Authority{cert: cert, key: key, certPEM: certPEM}, nil
}

// Save writes the authority to a directory. Only its owner may read the files.
func (a *Authority) Save(dir string) error {
	keyPEM, err := a.KeyPEM()
	if err != nil {
		return err
	}
	return writeFiles(dir, map[string][]byte{CAFile: a.certPEM, caKeyFile: keyPEM})
}

// CertPEM returns the authority's certificate, which is public.
func (a *Authority) CertPEM() []byte { return a.certPEM }

// KeyPEM returns the authority's key, which only the issuer may have.
func (a *Authority) KeyPEM() ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(a.key)
	if err != nil {
		return nil, fmt.Errorf("encode the authority's key: %w", err)
	}
	return encodePEM("EC PRIVATE KEY", der), nil
}

// Pair is a certificate and its key, with the certificate of the authority. All
// are in PEM.
type Pair struct {
	CA, Cert, Key []byte
}

// Save writes the pair to a directory. Each file is replaced atomically, so
// that an Identity that reads them at the same time never reads part of one.
func (p Pair) Save(dir string) error {
	return writeFiles(dir, map[string][]byte{CAFile: p.CA, CertFile: p.Cert, KeyFile: p.Key})
}

// Issue signs a certificate for a role and name, valid for hosts (DNS names and
// addresses) and for ttl. grants are the mounts of a fuse certificate.
func (a *Authority) Issue(peer Peer, hosts []string, ttl time.Duration, grants ...Grant) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("generate the key of %s: %w", peer, err)
	}
	serial, err := newSerial()
	if err != nil {
		return Pair{}, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: peer.Name},
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(ttl),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:         []*url.URL{peer.uri()},
	}
	for _, g := range grants {
		template.URIs = append(template.URIs, g.uri())
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return Pair{}, fmt.Errorf("sign the certificate of %s: %w", peer, err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("encode the key of %s: %w", peer, err)
	}
	return Pair{
		CA:   a.certPEM,
		Cert: encodePEM("CERTIFICATE", der),
		Key:  encodePEM("EC PRIVATE KEY", keyDER),
	}, nil
}

func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("generate serial number: %w", err)
	}
	return serial, nil
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func writeFiles(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create %s: %w", dir, err)
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := atomicfile.Write(path, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}
