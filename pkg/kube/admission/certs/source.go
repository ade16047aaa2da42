// Package certs makes the certificates that the webhook serves, and has API
// servers trust them.
//
// Authorities lie in one Secret, made by whichever replica is first. Each
// replica keeps a short-lived certificate of its own in memory only. What it
// promises is that rotation is never noticed: an authority is in the caBundle
// of every configuration, and has been for a while, before anything it signed
// is served, and it stays there until everything it signed has expired. Of
// several replicas each does all of this, and none undoes another's work: the
// Secret and the configurations are only written over what was just read.
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

// Lives of certificates, unless somebody says otherwise.
const (
	DefaultAuthorityLife = 365 * 24 * time.Hour
	DefaultLeafLife      = 7 * 24 * time.Hour
)

const (
	// callTimeout of one request to the API server.
	callTimeout = 10 * time.Second
	// settle is how long every API server has, at most, to hear of a bundle.
	settle = 15 * time.Second
	// lookAgain at what others may have changed, beside being told.
	lookAgain = time.Minute
	// retry after something failed.
	retry = time.Second
)

// Options of a Source.
type Options struct {
	// Client reads and writes past any cache.
	Client client.Client
	// Namespace and Secret of the authorities.
	Namespace, Secret string
	// Service that configurations send requests to, in Namespace.
	Service string
	// Hosts that the certificate is for, beside those of the Service.
	Hosts []string
	// Mutating and Validating are the names of the configurations.
	Mutating, Validating string
	// AuthorityLife and LeafLife of certificates; the defaults when 0.
	AuthorityLife, LeafLife time.Duration
	Logger                  *slog.Logger
}

// Source of the certificate to serve now.
type Source struct {
	o      Options
	settle time.Duration
	poke   chan struct{}

	// Of Run alone.
	authorities []authority
	// published says since when this process has seen an authority in every
	// configuration, by the authority's certificate.
	published map[string]time.Time

	mu   sync.Mutex
	leaf *tls.Certificate
	// trusted: the leaf's authority is in every configuration there is.
	trusted bool
	missing []string
	failed  error
}

// New makes a Source; nothing happens before Run.
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

// Poke says that the Secret or a configuration may have changed.
func (s *Source) Poke() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// Run keeps everything as it should be until the context ends.
func (s *Source) Run(ctx context.Context) error {
	for {
		next := s.look(ctx)
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

// Certificate is tls.Config.GetCertificate.
func (s *Source) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaf == nil {
		return nil, errors.New("there is no certificate yet")
	}
	return s.leaf, nil
}

// Ready says why API servers cannot trust what is served; a configuration that
// is not there trusts nobody and is no reason.
func (s *Source) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.leaf == nil && s.failed != nil:
		return s.failed
	case s.leaf == nil:
		return errors.New("there is no certificate yet")
	case time.Now().After(s.leaf.Leaf.NotAfter):
		return errors.Join(errors.New("the certificate has expired"), s.failed)
	case !s.trusted && s.failed != nil:
		return fmt.Errorf("the certificate's authority is not published yet: %w", s.failed)
	case !s.trusted:
		return errors.New("the certificate's authority is not published yet")
	}
	return nil
}

// Missing says, for people, which configurations are not there.
func (s *Source) Missing() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.missing
}

// Expires is when the certificate does that is served now.
func (s *Source) Expires() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaf == nil {
		return time.Time{}
	}
	return s.leaf.Leaf.NotAfter
}

// look does what there is to do, and answers when to look again.
func (s *Source) look(ctx context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	// In this order: a Secret read after a configuration holds every authority
	// that whoever wrote the configuration knew, and a configuration that was
	// written since is not written over.
	configurations, err := s.configurations(ctx)
	if err == nil {
		err = s.ensureAuthorities(ctx)
	}
	if err == nil {
		err = s.publish(ctx, configurations)
	}
	s.see(configurations, err)
	err = errors.Join(err, s.renew())
	s.mu.Lock()
	s.failed = err
	s.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil && !apierrors.IsConflict(err) {
			s.o.Logger.Warn("keeping certificates", "error", err)
		}
		return retry
	}
	return s.next()
}

// see notes which authorities are in every configuration.
func (s *Source) see(configurations []configuration, err error) {
	if configurations == nil && err != nil {
		return // nothing was seen
	}
	now := time.Now()
	var missing []string
	for _, c := range configurations {
		if !c.found {
			missing = append(missing, c.missing())
		}
	}
	seen := map[string]time.Time{}
	for _, a := range s.authorities {
		id := string(a.certificate.Raw)
		everywhere := true
		for _, c := range configurations {
			everywhere = everywhere && (!c.found || c.trusts(a.certificate))
		}
		if !everywhere {
			continue
		}
		seen[id] = now
		if since, before := s.published[id]; before {
			seen[id] = since
		}
	}
	s.published = seen
	s.mu.Lock()
	defer s.mu.Unlock()
	if text := strings.Join(missing, "; "); text != "" && text != strings.Join(s.missing, "; ") {
		s.o.Logger.Warn("nobody asks this webhook", "why", text)
	}
	s.missing = missing
}

// signer is the newest authority that API servers have heard of. Where none has
// been published for long, the oldest that is.
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

// renew makes a certificate when a newer authority may sign it, and when two
// thirds of its life are over.
func (s *Source) renew() error {
	now := time.Now()
	signer := s.signer(now)
	if signer == nil {
		return errors.New("there is no authority to sign a certificate")
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
		s.o.Logger.Info("serving a new certificate", "until", leaf.Leaf.NotAfter, "authority", signer.certificate.Subject.SerialNumber)
	}
	_, trusted := s.published[string(signer.certificate.Raw)]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaf, s.trusted = leaf, trusted
	return nil
}

// hosts that API servers may call the webhook by.
func (s *Source) hosts() []string {
	name := s.o.Service + "." + s.o.Namespace
	return append([]string{name + ".svc", name, s.o.Service, name + ".svc.cluster.local"}, s.o.Hosts...)
}

// renewal is when a certificate is replaced.
func (s *Source) renewal(leaf *x509.Certificate) time.Time {
	issued := leaf.NotBefore.Add(skew)
	return issued.Add(leaf.NotAfter.Sub(issued) * 2 / 3)
}

// next is how long nothing need be done.
func (s *Source) next() time.Duration {
	now := time.Now()
	at := now.Add(lookAgain)
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

// replacement is when an authority gets a successor.
func (s *Source) replacement(a authority) time.Time {
	return a.certificate.NotAfter.Add(-s.o.AuthorityLife / 3)
}
