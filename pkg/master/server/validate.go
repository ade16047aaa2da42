package server

import (
	"fmt"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

const (
	maxName    = 253
	maxText    = 1024
	maxPath    = 4096
	maxOptions = 256
	minSession = 16
	maxSession = 64
	minTTL     = 5 * time.Second
	defaultTTL = time.Minute
	maxTTL     = time.Hour
	// maxGranted bounds the time to live that is granted, so that the sessions of
	// a client that is gone do not count for long.
	maxGranted  = 10 * time.Minute
	maxIDLength = 128
)

// checkToken restricts ids to what is safe in a log, a path and a URL.
func checkToken(field, value string, shortest, longest int) error {
	if len(value) < shortest || len(value) > longest {
		return invalid("invalid %s: has %d characters: write %d to %d", field, len(value), shortest, longest)
	}
	for _, r := range value {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r) {
			continue
		}
		return invalid("invalid %s %q: contains %q: write only letters, digits, '-', '_' and '.'", field, value, r)
	}
	return nil
}

func checkSession(field, id string) error { return checkToken(field, id, minSession, maxSession) }

func checkName(field, name string) error { return checkToken(field, name, 1, maxName) }

// checkText restricts text to one line of bounded length.
func checkText(field, value string, longest int) error {
	if len(value) > longest {
		return invalid("invalid %s: has %d bytes: write at most %d", field, len(value), longest)
	}
	if !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return invalid("invalid %s: contains control characters: write one line of text", field)
	}
	return nil
}

func checkOpenSession(r *masterv1.OpenSessionRequest) (time.Duration, error) {
	if err := checkSession("session", r.GetSession()); err != nil {
		return 0, err
	}
	if r.GetReplaces() != "" {
		if err := checkSession("replaces", r.GetReplaces()); err != nil {
			return 0, err
		}
		if r.GetReplaces() == r.GetSession() {
			return 0, invalid("invalid session %s: it replaces itself: generate another id", r.GetSession())
		}
	}
	if err := checkText("holder", r.GetHolder(), maxText); err != nil {
		return 0, err
	}
	if r.GetTtl() == nil {
		return defaultTTL, nil
	}
	ttl := r.GetTtl().AsDuration()
	if ttl < minTTL || ttl > maxTTL {
		return 0, invalid("invalid ttl %s: write %s to %s", ttl, minTTL, maxTTL)
	}
	return min(ttl, maxGranted), nil
}

func checkRequest(id *masterv1.RequestId) error {
	switch {
	case id == nil:
		return invalid("request is missing: open a session, and set the session and a sequence in each command")
	case id.GetSequence() == 0:
		return invalid("invalid request.sequence 0: sequences start at 1")
	case id.GetAcknowledged() >= id.GetSequence():
		return invalid("invalid request.acknowledged %d: must be less than the sequence %d", id.GetAcknowledged(), id.GetSequence())
	}
	return checkSession("request.session", id.GetSession())
}

// checkMember validates the member that a worker registers, which must be
// itself.
func checkMember(m *commonv1.RingMember, from mtls.Peer) error {
	if m == nil {
		return invalid("member is missing")
	}
	if err := checkToken("member.id", m.GetId(), 1, maxIDLength); err != nil {
		return err
	}
	if err := checkName("member.name", m.GetName()); err != nil {
		return err
	}
	if m.GetName() != from.Name {
		return status.Error(codes.PermissionDenied, fmt.Sprintf("%s may register only itself, not %s", from, m.GetName()))
	}
	switch {
	case m.GetHost() == "" || len(m.GetHost()) > maxName || strings.ContainsAny(m.GetHost(), " /\t\n"):
		return invalid("invalid member.host %q: write a DNS name or an address", m.GetHost())
	case m.GetPort() < 1 || m.GetPort() > 65535:
		return invalid("invalid member.port %d: write 1 to 65535", m.GetPort())
	case m.GetWeight() == 0:
		return invalid("invalid member.weight 0: write the quota of the worker's tiers in bytes")
	}
	return nil
}

func checkPath(field, p string) error {
	switch {
	case p == "" || p[0] != '/':
		return invalid("invalid %s %q: write an absolute path, such as /data", field, p)
	case path.Clean(p) != p:
		return invalid("invalid %s %q: write %q", field, p, path.Clean(p))
	}
	return checkText(field, p, maxPath)
}

func checkMount(m *commonv1.Mount) error {
	if m == nil {
		return invalid("mount is missing")
	}
	if m.GetId() != "" || m.GetEpoch() != 0 {
		return invalid("mount.id and mount.epoch are set by the masters: omit them")
	}
	if err := checkPath("mount.path", m.GetPath()); err != nil {
		return err
	}
	if m.GetName() != "" {
		if err := checkText("mount.name", m.GetName(), maxName); err != nil {
			return err
		}
	}
	if scheme, rest, ok := strings.Cut(m.GetUri(), "://"); !ok || scheme == "" || rest == "" {
		return invalid("invalid mount.uri %q: write scheme://place, such as oss://bucket/prefix/", m.GetUri())
	}
	if err := checkText("mount.uri", m.GetUri(), maxPath); err != nil {
		return err
	}
	if err := checkText("mount.secret_ref", m.GetSecretRef(), maxName); err != nil {
		return err
	}
	if ref := m.GetSecretRef(); strings.ContainsAny(ref, "/") || ref == "." || ref == ".." {
		return invalid("invalid mount.secret_ref %q: write the name of a directory, not a path", ref)
	}
	if _, known := commonv1.MetaPolicy_name[int32(m.GetMetaPolicy())]; !known {
		return invalid("invalid mount.meta_policy %d: write ALWAYS or ONCE", m.GetMetaPolicy())
	}
	return checkOptions(m.GetOptions())
}

func checkOptions(options map[string]string) error {
	if len(options) > maxOptions {
		return invalid("invalid mount.options: has %d entries: write at most %d", len(options), maxOptions)
	}
	for key, value := range options {
		if key == "" {
			return invalid("invalid mount.options: has an entry without a key")
		}
		if err := checkText("mount.options: the key", key, maxText); err != nil {
			return err
		}
		if err := checkText("mount.options["+key+"]", value, maxPath); err != nil {
			return err
		}
		if secret(key) {
			return invalid("invalid mount.options[%s]: secrets must not be in the masters' log: write it to the directory that mount.secret_ref names", key)
		}
	}
	return nil
}

// secret reports whether the value of an option is a credential.
func secret(key string) bool {
	lower := strings.ToLower(key)
	return strings.HasSuffix(lower, "accesskeysecret") || strings.HasSuffix(lower, "secretkey") || strings.HasSuffix(lower, "securitytoken")
}
