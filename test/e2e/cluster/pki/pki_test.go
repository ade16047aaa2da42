package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func TestIssue(t *testing.T) {
	dir := t.TempDir()
	authority, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := authority.Issue("node1", Name{User: "system:node:node1", Groups: []string{"system:nodes"}, Hosts: []string{"node1", "10.240.0.11"}}); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "node1.crt"), filepath.Join(dir, "node1.key"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(read(t, dir, "ca.crt"))
	for _, host := range []string{"node1", "10.240.0.11"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
			t.Errorf("as server %s: %v", host, err)
		}
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: "node2", Roots: roots}); err == nil {
		t.Error("the certificate is valid for a name that it was not issued for")
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Errorf("as client: %v", err)
	}
	if got := pair.Leaf.Subject; got.CommonName != "system:node:node1" || len(got.Organization) != 1 || got.Organization[0] != "system:nodes" {
		t.Errorf("subject %v", got)
	}
}

func TestServiceAccountKeys(t *testing.T) {
	dir := t.TempDir()
	authority, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := authority.ServiceAccountKeys(); err != nil {
		t.Fatal(err)
	}
	private, _ := pem.Decode(read(t, dir, "sa.key"))
	key, err := x509.ParseECPrivateKey(private.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	public, _ := pem.Decode(read(t, dir, "sa.pub"))
	parsed, err := x509.ParsePKIXPublicKey(public.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !key.PublicKey.Equal(parsed) {
		t.Error("the public key is not that of the private one")
	}
}

func TestKubeconfig(t *testing.T) {
	dir := t.TempDir()
	authority, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := authority.Issue("admin", Name{User: "admin"}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "kubeconfig")
	if err := Kubeconfig(path, dir, "admin", "https://127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	text := read(t, dir, "kubeconfig")
	for name, file := range map[string]string{"certificate-authority-data": "ca.crt", "client-certificate-data": "admin.crt", "client-key-data": "admin.key"} {
		found := regexp.MustCompile(name + `: (\S+)`).FindSubmatch(text)
		if found == nil {
			t.Fatalf("no %s in %s", name, text)
		}
		raw, err := base64.StdEncoding.DecodeString(string(found[1]))
		if err != nil || string(raw) != string(read(t, dir, file)) {
			t.Errorf("%s is not %s (%v)", name, file, err)
		}
	}
	if err := Kubeconfig(path, dir, "nobody", ""); err == nil {
		t.Error("a kubeconfig was written without a certificate")
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
