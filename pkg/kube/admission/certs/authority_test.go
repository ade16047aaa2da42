package certs

import (
	"crypto/x509"
	"maps"
	"slices"
	"testing"
	"time"
)

func newTestAuthority(t *testing.T, now time.Time, life time.Duration) authority {
	t.Helper()
	a, err := newAuthority("test", now, life)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// The bundle of an authority, alone or with others, verifies the certificates that
// it issued, for their hosts only and not longer than the authority is valid.
func TestIssue(t *testing.T) {
	now := time.Now()
	old, young := newTestAuthority(t, now.Add(-time.Hour), 90*time.Minute), newTestAuthority(t, now, 24*time.Hour)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle([]authority{young, old}))
	for name, a := range map[string]authority{"old": old, "young": young} {
		leaf, err := a.issue([]string{"w.ns.svc", "w"}, now, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for host, trusted := range map[string]bool{"w.ns.svc": true, "w": true, "other.ns.svc": false} {
			_, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
			if (err == nil) != trusted {
				t.Errorf("%s authority, host %s: %v", name, host, err)
			}
		}
		if leaf.Leaf.NotAfter.After(a.certificate.NotAfter) {
			t.Errorf("%s: the certificate outlives its authority", name)
		}
		if leaf.Leaf.IsCA {
			t.Errorf("%s: the certificate is a CA", name)
		}
	}
}

func TestSecretAndBack(t *testing.T) {
	now := time.Now()
	old, young := newTestAuthority(t, now.Add(-time.Hour), 2*time.Hour), newTestAuthority(t, now, 2*time.Hour)
	good, err := encode([]authority{young, old})
	if err != nil {
		t.Fatal(err)
	}
	without := func(key string) map[string][]byte {
		data := maps.Clone(good)
		delete(data, key)
		return data
	}
	with := func(key, value string) map[string][]byte {
		data := maps.Clone(good)
		data[key] = []byte(value)
		return data
	}
	only := func(a authority) []byte { data, _ := encode([]authority{a}); return data[keysKey] }
	for _, test := range []struct {
		name  string
		data  map[string][]byte
		want  []authority
		fails bool
	}{
		{"both", good, []authority{young, old}, false},
		{"nothing", nil, nil, false},
		{"no keys", without(keysKey), nil, false},
		{"no certificates", without(certificatesKey), nil, false},
		{"one key", with(keysKey, string(only(old))), []authority{old}, false},
		{"no PEM", with(certificatesKey, "x"), nil, false},
		{"no certificate", with(certificatesKey, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), nil, true},
		{"no key", with(keysKey, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := decode(test.data)
			if (err != nil) != test.fails {
				t.Fatalf("error %v", err)
			}
			same := slices.EqualFunc(got, test.want, func(a, b authority) bool { return a.certificate.Equal(b.certificate) })
			if !same {
				t.Errorf("%d authorities, want %d", len(got), len(test.want))
			}
		})
	}
}

// A successor is created when a third of the lifetime remains, and an authority is
// removed when it expires.
func TestSuccessors(t *testing.T) {
	s := New(Options{Secret: "s", AuthorityLife: 3 * time.Hour})
	now := time.Now()
	first := newTestAuthority(t, now, 3*time.Hour)
	for _, test := range []struct {
		name  string
		have  []authority
		after time.Duration
		want  int
		fresh bool
	}{
		{"none", nil, 0, 1, true},
		{"a young one", []authority{first}, 119 * time.Minute, 1, false},
		{"one that is to be followed", []authority{first}, 121 * time.Minute, 2, true},
		{"one that is over", []authority{first}, 181 * time.Minute, 1, true},
		{"both", []authority{newTestAuthority(t, now.Add(2*time.Hour), 3*time.Hour), first}, 150 * time.Minute, 2, false},
		{"the old one is over", []authority{newTestAuthority(t, now.Add(2*time.Hour), 3*time.Hour), first}, 181 * time.Minute, 1, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := s.successors(test.have, now.Add(test.after))
			if err != nil {
				t.Fatal(err)
			}
			fresh := len(got) > 0 && !slices.ContainsFunc(test.have, func(a authority) bool { return a.certificate.Equal(got[0].certificate) })
			if len(got) != test.want || fresh != test.fresh {
				t.Errorf("%d authorities, a new one: %v", len(got), fresh)
			}
		})
	}
}

// An authority signs only after API servers had time to read the bundle, unless no
// authority has been published for long enough.
func TestSigner(t *testing.T) {
	s := New(Options{Secret: "s", AuthorityLife: time.Hour})
	now := time.Now()
	old, young := newTestAuthority(t, now.Add(-40*time.Minute), time.Hour), newTestAuthority(t, now, time.Hour)
	const never = -1
	for _, test := range []struct {
		name       string
		old, young time.Duration // since they were published
		want       authority
	}{
		{"nothing is published", never, never, young},
		{"only the old one is", time.Hour, never, old},
		{"the young one just was", time.Hour, time.Second, old},
		{"the young one was a while ago", time.Hour, time.Minute, young},
		{"both just were", time.Second, time.Second, old},
		{"the old one was withdrawn", never, time.Second, young},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.authorities, s.published = []authority{young, old}, map[string]time.Time{}
			for since, a := range map[*time.Duration]authority{&test.old: old, &test.young: young} {
				if *since != never {
					s.published[string(a.certificate.Raw)] = now.Add(-*since)
				}
			}
			if got := s.signer(now); got == nil || !got.certificate.Equal(test.want.certificate) {
				t.Errorf("another authority signs: %v", got)
			}
		})
	}
	if s.signer(now.Add(2*time.Hour)) != nil {
		t.Error("an expired authority signs")
	}
}
