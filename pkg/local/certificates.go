package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/jindo-io/jindo/pkg/mtls"
)

const (
	// certificateLife of what the authority signs. Certificates are issued at
	// each start and renewed when a third of it is left.
	certificateLife = 7 * 24 * time.Hour
	renewBefore     = certificateLife / 3
	// Admin is the name of the certificate for commands of the user.
	Admin = "admin"
)

// identityOf describes one certificate.
type identityOf struct {
	// component is the name of the certificate's directory.
	component string
	role      mtls.Role
	hosts     []string
	// grants are the mounts of a fuse certificate.
	grants []mtls.Grant
}

// openAuthority reads the runtime's certificate authority, or creates it.
func openAuthority(l Layout) (*mtls.Authority, error) {
	authority, err := mtls.LoadAuthority(l.authorityDir())
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return authority, err
	}
	authority, err = mtls.NewAuthority(l.String())
	if err != nil {
		return nil, err
	}
	return authority, authority.Save(l.authorityDir())
}

// issueAll issues every certificate.
func issueAll(l Layout, authority *mtls.Authority, identities []identityOf) error {
	for _, want := range identities {
		pair, err := authority.Issue(mtls.Peer{Role: want.role, Name: want.component}, want.hosts, certificateLife, want.grants...)
		if err != nil {
			return err
		}
		if err := pair.Save(l.TLS(want.component)); err != nil {
			return fmt.Errorf("save the certificate of %s: %w", want.component, err)
		}
	}
	return nil
}

// writeCredentials writes each key to its own file in <credentials>/<secret>,
// readable by the owner only, and removes earlier files.
func writeCredentials(l Layout, secrets map[string]map[string]string) error {
	if err := os.RemoveAll(l.credentials()); err != nil {
		return fmt.Errorf("remove old credentials: %w", err)
	}
	if err := os.MkdirAll(l.credentials(), 0o700); err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	for secret, keys := range secrets {
		dir := filepath.Join(l.credentials(), secret)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("write credentials: %w", err)
		}
		for key, value := range keys {
			if err := os.WriteFile(filepath.Join(dir, key), []byte(value), 0o600); err != nil {
				return fmt.Errorf("write credentials: %w", err)
			}
		}
	}
	return nil
}
