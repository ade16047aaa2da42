// Package certs issues the certificates that the webhook serves, and publishes
// their authorities to API servers.
//
// The authorities are stored in one Secret, which the first replica creates. Each
// replica has a short-lived certificate in memory. Rotation never causes a request
// to fail: an authority is in the caBundle of every configuration for a while
// before a certificate that it signed is served, and it remains there until all
// such certificates have expired. All replicas do this concurrently. Optimistic
// locking of the Secret and the configurations prevents them from undoing each
// other's changes.
package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Default lifetimes of certificates.
const (
	DefaultAuthorityLife = 365 * 24 * time.Hour
	DefaultLeafLife      = 7 * 24 * time.Hour
)

const (
	// syncTimeout is the time limit for the requests of one sync.
	syncTimeout = 10 * time.Second
	// settle is the time after which every API server has read a new bundle.
	settle = 15 * time.Second
	// resyncInterval is the longest time between two syncs.
	resyncInterval = time.Minute
	// retryInterval is the time until the next sync after an error.
	retryInterval = time.Second
)

// Options configures a Source.
type Options struct {
	// Client reads and writes objects without a cache.
	Client client.Client
	// Namespace and Secret of the authorities.
	Namespace, Secret string
	// Service that configurations send requests to, in Namespace.
	Service string
	// Hosts are further host names of the certificate, in addition to those of the
	// Service.
	Hosts []string
	// Mutating and Validating are the names of the configurations.
	Mutating, Validating string
	// AuthorityLife and LeafLife are the lifetimes of certificates. They default to
	// DefaultAuthorityLife and DefaultLeafLife.
	AuthorityLife, LeafLife time.Duration
	Logger                  *slog.Logger
}

// Source provides the certificate to serve. Its methods are safe for concurrent use,
// except that Run must be called once only.
type Source struct {
	o      Options
	settle time.Duration
	poke   chan struct{}

	// authorities, the newest first. Only Run uses it.
	authorities []authority
	// published maps the certificate of an authority to the time since which this
	// process has observed it in every configuration. Only Run uses it.
	published map[string]time.Time

	// mu guards the fields below.
	mu   sync.Mutex
	leaf *tls.Certificate
	// trusted reports that the authority of leaf is in every existing
	// configuration.
	trusted bool
	missing []string
	failed  error
}

// New returns a Source, which does nothing before Run is called.
func New(o Options) *Source {
	if o.AuthorityLife == 0 {
		o.AuthorityLife = DefaultAuthorityLife
	}
	if o.LeafLife == 0 {
		o.LeafLife = DefaultLeafLife
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Source{
		o: o, settle: min(settle, o.AuthorityLife/12), poke: make(chan struct{}, 1), published: map[string]time.Time{},
	}
}

// Poke triggers a sync, because the Secret or a configuration may have changed.
func (s *Source) Poke() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// Run renews and publishes certificates until ctx is canceled.
func (s *Source) Run(ctx context.Context) error {
	for {
		next := s.sync(ctx)
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-s.poke:
			timer.Stop()
		}
	}
}

// Certificate returns the certificate in use. It can be used as
// tls.Config.GetCertificate.
func (s *Source) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaf == nil {
		return nil, errors.New("no certificate was issued yet")
	}
	return s.leaf, nil
}

// Ready returns an error if API servers do not trust the certificate in use. A
// configuration that does not exist is not an error: see Missing.
func (s *Source) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.leaf == nil && s.failed != nil:
		return s.failed
	case s.leaf == nil:
		return errors.New("no certificate was issued yet")
	case time.Now().After(s.leaf.Leaf.NotAfter):
		return errors.Join(errors.New("the certificate has expired"), s.failed)
	case !s.trusted && s.failed != nil:
		return fmt.Errorf("the CA of the certificate is not published yet: %w", s.failed)
	case !s.trusted:
		return errors.New("the CA of the certificate is not published yet")
	}
	return nil
}

// Missing returns a message for each configuration that does not exist.
func (s *Source) Missing() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.missing
}

// Expires returns when the certificate in use expires, or the zero time before the
// first one is issued.
func (s *Source) Expires() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaf == nil {
		return time.Time{}
	}
	return s.leaf.Leaf.NotAfter
}

// sync brings the Secret, the configurations and the certificate up to date, and
// returns the time until the next sync.
func (s *Source) sync(ctx context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	// The order matters: the Secret is read after the configurations, so it
	// contains every authority that was published in them, and a configuration
	// that was changed since is not overwritten.
	configurations, err := s.configurations(ctx)
	if err == nil {
		err = s.ensureAuthorities(ctx)
	}
	if err == nil {
		err = s.publish(ctx, configurations)
	}
	s.observe(configurations, err)
	err = errors.Join(err, s.renew())
	s.mu.Lock()
	s.failed = err
	s.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil && !apierrors.IsConflict(err) {
			s.o.Logger.Warn("sync certificates", "error", err)
		}
		return retryInterval
	}
	return s.next()
}

// observe records which authorities are in every configuration.
func (s *Source) observe(configurations []configuration, err error) {
	if configurations == nil && err != nil {
		return // nothing was read
	}
	now := time.Now()
	var missing []string
	for _, c := range configurations {
		if !c.found {
			missing = append(missing, c.missing())
		}
	}
	published := map[string]time.Time{}
	for _, a := range s.authorities {
		id := string(a.certificate.Raw)
		everywhere := true
		for _, c := range configurations {
			everywhere = everywhere && (!c.found || c.trusts(a.certificate))
		}
		if !everywhere {
			continue
		}
		published[id] = now
		if since, before := s.published[id]; before {
			published[id] = since
		}
	}
	s.published = published
	s.mu.Lock()
	defer s.mu.Unlock()
	if text := strings.Join(missing, "; "); text != "" && text != strings.Join(s.missing, "; ") {
		s.o.Logger.Warn("API servers send no requests to this webhook", "reason", text)
	}
	s.missing = missing
}

// signer returns the newest authority that API servers trust. If none has been
// published for long enough, it returns the oldest published one.
func (s *Source) signer(now time.Time) *authority {
	var fallback *authority
	for i := range s.authorities {
		a := &s.authorities[i]
		if !now.Before(a.certificate.NotAfter) {
			continue
		}
		since, is := s.published[string(a.certificate.Raw)]
		switch {
		case is && now.Sub(since) >= s.settle:
			return a
		case is || fallback == nil:
			fallback = a
		}
	}
	return fallback
}

// renew issues a certificate if a newer authority can sign it, or if two thirds of
// the lifetime of the current one have passed.
func (s *Source) renew() error {
	now := time.Now()
	signer := s.signer(now)
	if signer == nil {
		return errors.New("no authority can sign a certificate")
	}
	s.mu.Lock()
	leaf := s.leaf
	s.mu.Unlock()
	if leaf == nil || !now.Before(s.renewal(leaf.Leaf)) || leaf.Leaf.CheckSignatureFrom(signer.certificate) != nil {
		made, err := signer.issue(s.hosts(), now, s.o.LeafLife)
		if err != nil {
			return err
		}
		leaf = made
		s.o.Logger.Info("issued certificate", "notAfter", leaf.Leaf.NotAfter, "authority", signer.certificate.Subject.SerialNumber)
	}
	_, trusted := s.published[string(signer.certificate.Raw)]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaf, s.trusted = leaf, trusted
	return nil
}

// hosts returns the host names by which API servers reach the webhook.
func (s *Source) hosts() []string {
	name := s.o.Service + "." + s.o.Namespace
	return append([]string{name + ".svc", name, s.o.Service, name + ".svc.cluster.local"}, s.o.Hosts...)
}

// renewal returns when a certificate is renewed.
func (s *Source) renewal(leaf *x509.Certificate) time.Time {
	issued := leaf.NotBefore.Add(skew)
	return issued.Add(leaf.NotAfter.Sub(issued) * 2 / 3)
}

// next returns the time until the next sync is required.
func (s *Source) next() time.Duration {
	now := time.Now()
	at := now.Add(resyncInterval)
	sooner := func(t time.Time) {
		if t.Before(at) {
			at = t
		}
	}
	s.mu.Lock()
	sooner(s.renewal(s.leaf.Leaf))
	s.mu.Unlock()
	for i, a := range s.authorities {
		if i == 0 {
			sooner(s.replacement(a))
		}
		sooner(a.certificate.NotAfter)
		if since, is := s.published[string(a.certificate.Raw)]; is && now.Sub(since) < s.settle {
			sooner(since.Add(s.settle))
		}
	}
	return max(at.Sub(now), 50*time.Millisecond)
}

// replacement returns when a successor of an authority is created.
func (s *Source) replacement(a authority) time.Time {
	return a.certificate.NotAfter.Add(-s.o.AuthorityLife / 3)
}
