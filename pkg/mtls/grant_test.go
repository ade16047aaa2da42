package mtls

import (
	"crypto/x509"
	"net/url"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// scopeOf returns the scope and the grants of an issued certificate.
func scopeOf(t *testing.T, role Role, grants ...Grant) (Scope, []Grant) {
	t.Helper()
	pair, err := authority(t).Issue(Peer{Role: role, Name: "x"}, nil, time.Hour, grants...)
	if err != nil {
		t.Fatal(err)
	}
	cert, _, err := parse(pair.Cert, pair.Key, pair.CA)
	if err != nil {
		t.Fatal(err)
	}
	if peer, err := PeerOf(cert.Leaf); err != nil || (peer != Peer{Role: role, Name: "x"}) {
		t.Fatalf("the certificate is for %s (%v)", peer, err)
	}
	scope, err := ScopeOf(cert.Leaf)
	if err != nil {
		t.Fatal(err)
	}
	return scope, GrantsOf(cert.Leaf)
}

func TestScope(t *testing.T) {
	for name, test := range map[string]struct {
		role   Role
		grants []Grant
		// read and store are the mounts that may be read, and whose stores may be
		// opened.
		read, store []string
	}{
		"a worker":         {Worker, nil, []string{"/", "/a", "/a/b", "/ab", "/ü %?"}, []string{"/", "/a", "/a/b", "/ab", "/ü %?"}},
		"no mount":         {Fuse, nil, []string{"/", "/a", "/a/b", "/ab", "/ü %?"}, nil},
		"one mount":        {Fuse, []Grant{{Path: "/a"}}, []string{"/a", "/a/b"}, nil},
		"a mount below":    {Fuse, []Grant{{Path: "/a/b"}}, []string{"/a/b"}, nil},
		"a store":          {Fuse, []Grant{{Path: "/a", Store: true}}, []string{"/a", "/a/b"}, []string{"/a", "/a/b"}},
		"two":              {Fuse, []Grant{{Path: "/ab"}, {Path: "/a/b", Store: true}}, []string{"/a/b", "/ab"}, []string{"/a/b"}},
		"all":              {Fuse, []Grant{{Path: "/"}}, []string{"/", "/a", "/a/b", "/ab", "/ü %?"}, nil},
		"another":          {Fuse, []Grant{{Path: "/c"}}, nil, nil},
		"characters":       {Fuse, []Grant{{Path: "/ü %?"}}, []string{"/ü %?"}, nil},
		"a path with dots": {Fuse, []Grant{{Path: "/c/../a"}}, []string{"/a", "/a/b"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			scope, grants := scopeOf(t, test.role, test.grants...)
			if name != "a path with dots" && !slices.Equal(grants, test.grants) {
				t.Errorf("the certificate has %v", grants)
			}
			var read, store []string
			view := &commonv1.ClusterView{ClusterId: "c", FormatVersion: 1, Index: 7, Ring: &commonv1.Ring{Epoch: 3}, PreviousRings: []*commonv1.Ring{{Epoch: 2}}}
			for _, path := range []string{"/", "/a", "/a/b", "/ab", "/ü %?"} {
				if scope.MayRead(path) {
					read = append(read, path)
				}
				if scope.MayOpenStore(path) {
					store = append(store, path)
				}
				view.Mounts = append(view.Mounts, &commonv1.Mount{
					Id: "id-" + path, Name: "n", Path: path, Uri: "oss://b/", Options: map[string]string{"k": "v"}, SecretRef: "s",
					ReadOnly: true, MetaPolicy: commonv1.MetaPolicy_META_POLICY_ONCE, Epoch: 5,
				})
			}
			if !slices.Equal(read, test.read) || !slices.Equal(store, test.store) {
				t.Errorf("may read %q and open the stores of %q", read, store)
			}
			checkView(t, view, scope, test.read, test.store)
		})
	}
	if (Scope{}).MayRead("/") {
		t.Error("the zero value allows to read")
	}
}

// checkView checks what a scope shows of a view.
func checkView(t *testing.T, view *commonv1.ClusterView, scope Scope, read, store []string) {
	t.Helper()
	want := proto.CloneOf(view)
	want.Mounts = slices.DeleteFunc(want.GetMounts(), func(m *commonv1.Mount) bool { return !slices.Contains(read, m.GetPath()) })
	for _, m := range want.GetMounts() {
		if !slices.Contains(store, m.GetPath()) {
			m.Options, m.SecretRef = nil, ""
		}
	}
	if got := scope.View(view); !proto.Equal(got, want) {
		t.Errorf("the view is %v, want %v", got, want)
	}
}

// TestNoFieldOfAViewIsForgotten: a new field of a view or a mount must be added
// to View, or left out of it on purpose.
func TestNoFieldOfAViewIsForgotten(t *testing.T) {
	if fields := (&commonv1.ClusterView{}).ProtoReflect().Descriptor().Fields().Len(); fields != 6 {
		t.Errorf("a view has %d fields", fields)
	}
	if fields := (&commonv1.Mount{}).ProtoReflect().Descriptor().Fields().Len(); fields != 9 {
		t.Errorf("a mount has %d fields", fields)
	}
}

// A grant that cannot be read does not make the certificate one that names no
// mount, which may read all of them.
func TestAGrantThatCannotBeReadGrantsNothing(t *testing.T) {
	for _, grant := range []string{"jindo-mount://data", "jindo-mount://host/data", "jindo-mount:data", "JINDO-MOUNT://host/data"} {
		var cert x509.Certificate
		for _, text := range []string{"spiffe://jindo.io/fuse/x", grant} {
			uri, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			cert.URIs = append(cert.URIs, uri)
		}
		scope, err := ScopeOf(&cert)
		if err != nil {
			t.Fatal(err)
		}
		if scope.MayRead("/data") || scope.MayRead("/other") {
			t.Errorf("%s allows to read", grant)
		}
	}
}
