package certs

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// ensureAuthorities reads the authorities, creates the first one or a successor, and
// removes expired ones. If another replica writes the Secret concurrently, it
// returns a conflict, and the caller retries.
func (s *Source) ensureAuthorities(ctx context.Context) error {
	secret := &corev1.Secret{}
	err := s.o.Client.Get(ctx, client.ObjectKey{Namespace: s.o.Namespace, Name: s.o.Secret}, secret)
	absent := apierrors.IsNotFound(err)
	if err != nil && !absent {
		return fmt.Errorf("read Secret %s/%s: %w", s.o.Namespace, s.o.Secret, err)
	}
	// The certificate in use must remain trusted, so a Secret that was deleted is
	// created again with the same authorities.
	have := s.authorities
	if !absent {
		if have, err = decode(secret.Data); err != nil {
			s.o.Logger.Warn("replacing the invalid Secret of authorities", "secret", s.o.Secret, "error", err)
			have = s.authorities
		}
	}
	want, err := s.successors(have, time.Now())
	if err != nil {
		return err
	}
	data, err := encode(want)
	if err != nil {
		return err
	}
	switch {
	case absent:
		err = s.o.Client.Create(ctx, s.secret(data))
	case string(data[certificatesKey]) != string(secret.Data[certificatesKey]) || string(data[keysKey]) != string(secret.Data[keysKey]):
		secret.Data = data
		err = s.o.Client.Update(ctx, secret, client.FieldOwner(FieldManager))
	}
	if err != nil {
		return fmt.Errorf("write Secret %s/%s: %w", s.o.Namespace, s.o.Secret, err)
	}
	s.authorities = want
	return nil
}

// successors returns the authorities that should exist, the newest first.
func (s *Source) successors(have []authority, now time.Time) ([]authority, error) {
	var want []authority
	for _, a := range have {
		if now.Before(a.certificate.NotAfter) {
			want = append(want, a)
		}
	}
	if len(want) > 0 && now.Before(s.replacement(want[0])) {
		return want, nil
	}
	made, err := newAuthority(s.o.Secret, now, s.o.AuthorityLife)
	if err != nil {
		return nil, err
	}
	s.o.Logger.Info("created certificate authority", "notAfter", made.certificate.NotAfter, "others", len(want))
	return append([]authority{made}, want...), nil
}

func (s *Source) secret(data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.o.Namespace, Name: s.o.Secret,
			Labels: map[string]string{names.LabelApp: names.Webhook, "app.kubernetes.io/part-of": names.App},
		},
		Type: corev1.SecretTypeOpaque, Data: data,
	}
}
