package client

import (
	"testing"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"google.golang.org/protobuf/proto"
)

func FuzzDecodeView(f *testing.F) {
	whole, err := encodeView(&commonv1.ClusterView{
		ClusterId: "c1", Index: 7,
		Mounts: []*commonv1.Mount{{Id: "m1", Path: "/hadoop", Options: map[string]string{"fs.oss.endpoint": "e"}}},
		Ring:   &commonv1.Ring{Epoch: 2, Members: []*commonv1.RingMember{{Name: "w0", Host: "h", Port: 1}}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte(viewMagic))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := decodeView(raw)
		if err != nil {
			return
		}
		again, err := encodeView(v)
		if err != nil {
			t.Fatal(err)
		}
		w, err := decodeView(again)
		if err != nil || !proto.Equal(v, w) {
			t.Fatalf("%v came back as %v, %v", v, w, err)
		}
	})
}
