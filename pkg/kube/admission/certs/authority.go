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

// Keys of the Secret. Their values are the certificates and the private keys of
// all authorities, as PEM blocks.
const (
	certificatesKey = "ca.crt"
	keysKey         = "ca.key"
)

// skew is the clock skew that certificates tolerate.
const skew = 5 * time.Minute

// authority is a certificate authority that signs the certificates of the webhook.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func newAuthority(name string, now time.Time, life time.Duration) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, fmt.Errorf("generate the key of an authority: %w", err)
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
		return authority{}, fmt.Errorf("sign an authority: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return authority{}, fmt.Errorf("parse a signed authority: %w", err)
	}
	return authority{certificate: certificate, key: key}, nil
}

// issue signs a certificate for hosts. The certificate does not outlive the
// authority.
func (a authority) issue(hosts []string, now time.Time, life time.Duration) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate the key of a certificate: %w", err)
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
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse a signed certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("generate a serial number: %w", err)
	}
	return serial, nil
}

// encode returns the data of the Secret for authorities, the newest first.
func encode(all []authority) (map[string][]byte, error) {
	var certificates, keys bytes.Buffer
	for _, a := range all {
		der, err := x509.MarshalPKCS8PrivateKey(a.key)
		if err != nil {
			return nil, fmt.Errorf("encode the key of an authority: %w", err)
		}
		certificates.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw}))
		keys.Write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	return map[string][]byte{certificatesKey: certificates.Bytes(), keysKey: keys.Bytes()}, nil
}

// decode returns the authorities in the data of the Secret, the newest first. It
// skips certificates without a key and keys without a certificate.
func decode(data map[string][]byte) ([]authority, error) {
	certificates, err := parseCertificates(data[certificatesKey])
	if err != nil {
		return nil, err
	}
	var keys []crypto.Signer
	for block, rest := pem.Decode(data[keysKey]); block != nil; block, rest = pem.Decode(rest) {
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse %s: %w", keysKey, err)
		}
		key, ok := parsed.(*ecdsa.PrivateKey)
		if !ok {
			return nil, errors.New("parse " + keysKey + ": it contains a key that is not an ECDSA key")
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
			return nil, fmt.Errorf("parse certificates: %w", err)
		}
		all = append(all, certificate)
	}
	return all, nil
}

// bundle returns the caBundle with the certificates of authorities.
func bundle(all []authority) []byte {
	var text bytes.Buffer
	for _, a := range all {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw}))
	}
	return text.Bytes()
}
