package pki

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
)

// Kubeconfig writes a kubeconfig for the API server at address, with the client
// certificate name of dir. It embeds the certificates, so it can be copied.
func Kubeconfig(to, dir, name, address string) error {
	encoded := make([]any, 0, 3)
	for _, file := range []string{"ca.crt", name + ".crt", name + ".key"} {
		raw, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return fmt.Errorf("write the kubeconfig of %s: %w", name, err)
		}
		encoded = append(encoded, base64.StdEncoding.EncodeToString(raw))
	}
	text := fmt.Sprintf(kubeconfig, append([]any{address}, encoded...)...)
	return os.WriteFile(to, []byte(text), 0o600)
}

const kubeconfig = `apiVersion: v1
kind: Config
current-context: jindo-test
clusters:
- name: jindo-test
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: jindo-test
  user:
    client-certificate-data: %s
    client-key-data: %s
contexts:
- name: jindo-test
  context: {cluster: jindo-test, user: jindo-test, namespace: default}
`
