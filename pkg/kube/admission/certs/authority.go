package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// Keys of the Secret: certificates and keys of all authorities, one PEM block
// each.
const (
	certificatesKey = "ca.crt"
	keysKey         = "ca.key"
)

// skew of clocks that certificates allow for.
const skew = 5 * time.Minute

// authority signs the certificates that the webhook serves.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func newAuthority(name string, now time.Time, life time.Duration) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, fmt.Errorf("drawing the key of an authority: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return authority{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name, SerialNumber: serial.Text(16)},
		NotBefore: now.Add(-skew), NotAfter: now.Add(life),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return authority{}, fmt.Errorf("signing an authority: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return authority{}, fmt.Errorf("reading an authority just signed: %w", err)
	}
	return authority{certificate: certificate, key: key}, nil
}

// issue signs a certificate for hosts, which ends with the authority at the
// latest.
func (a authority) issue(hosts []string, now time.Time, life time.Duration) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("drawing the key of a certificate: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	until := now.Add(life)
	if until.After(a.certificate.NotAfter) {
		until = a.certificate.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: hosts[0]}, DNSNames: hosts,
		NotBefore: now.Add(-skew), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading a certificate just signed: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("drawing a serial number: %w", err)
	}
	return serial, nil
}

// encode authorities, the newest first, as the Secret holds them.
func encode(all []authority) (map[string][]byte, error) {
	var certificates, keys bytes.Buffer
	for _, a := range all {
		der, err := x509.MarshalPKCS8PrivateKey(a.key)
		if err != nil {
			return nil, fmt.Errorf("encoding the key of an authority: %w", err)
		}
		certificates.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw}))
		keys.Write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	return map[string][]byte{certificatesKey: certificates.Bytes(), keysKey: keys.Bytes()}, nil
}

// decode authorities, the newest first. A certificate without its key, and a
// key without its certificate, are left out.
func decode(data map[string][]byte) ([]authority, error) {
	certificates, err := parseCertificates(data[certificatesKey])
	if err != nil {
		return nil, err
	}
	var keys []crypto.Signer
	for block, rest := pem.Decode(data[keysKey]); block != nil; block, rest = pem.Decode(rest) {
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", keysKey, err)
		}
		key, ok := parsed.(*ecdsa.PrivateKey)
		if !ok {
			return nil, errors.New("reading " + keysKey + ": it holds a key that was not made here")
		}
		keys = append(keys, key)
	}
	var all []authority
	for _, certificate := range certificates {
		public, ok := certificate.PublicKey.(*ecdsa.PublicKey)
		if !ok {
			continue
		}
		for _, key := range keys {
			if public.Equal(key.Public()) {
				all = append(all, authority{certificate, key})
				break
			}
		}
	}
	slices.SortStableFunc(all, func(a, b authority) int {
		return b.certificate.NotBefore.Compare(a.certificate.NotBefore)
	})
	return all, nil
}

func parseCertificates(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("reading certificates: %w", err)
		}
		all = append(all, certificate)
	}
	return all, nil
}

// bundle is what API servers are to trust.
func bundle(all []authority) []byte {
	var text bytes.Buffer
	for _, a := range all {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw}))
	}
	return text.Bytes()
}
