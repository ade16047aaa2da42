package wire

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

func testView() *commonv1.ClusterView {
	return &commonv1.ClusterView{
		ClusterId: "c1", Index: 7,
		Mounts: []*commonv1.Mount{{Id: "m1", Path: "/hadoop", Options: map[string]string{"fs.oss.endpoint": "e"}}},
		Ring:   &commonv1.Ring{Epoch: 2, Members: []*commonv1.RingMember{{Name: "w0", Host: "h", Port: 1}}},
	}
}

func TestViewRoundTrip(t *testing.T) {
	for _, format := range []ViewFormat{ClientView, WorkerView} {
		raw, err := format.Encode(testView())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := format.Decode(raw); err != nil || !proto.Equal(got, testView()) {
			t.Errorf("%q: decoded %v, %v", format, got, err)
		}
		for i := range raw {
			damaged := append([]byte(nil), raw...)
			damaged[i] ^= 1
			if _, err := format.Decode(damaged); err == nil {
				t.Errorf("%q: a file with byte %d damaged is accepted", format, i)
			}
			if _, err := format.Decode(raw[:i]); err == nil {
				t.Errorf("%q: a file cut to %d bytes is accepted", format, i)
			}
		}
	}
	raw, err := WorkerView.Encode(testView())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ClientView.Decode(raw); err == nil {
		t.Error("a client accepts the file of a worker")
	}
}

func FuzzDecodeView(f *testing.F) {
	for _, format := range []ViewFormat{ClientView, WorkerView} {
		whole, err := format.Encode(testView())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(whole)
		f.Add(whole[:len(whole)-1])
		f.Add([]byte(format))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, format := range []ViewFormat{ClientView, WorkerView} {
			view, err := format.Decode(raw)
			if err != nil {
				continue
			}
			again, err := format.Encode(view)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := format.Decode(again); err != nil || !proto.Equal(got, view) {
				t.Fatalf("%v was decoded again as %v, %v", view, got, err)
			}
		}
	})
}
