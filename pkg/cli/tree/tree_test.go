package tree

import (
	"bytes"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/test/cli/golden"
)

var update = golden.Flag()

func sample(now time.Time) *Report {
	at := func(kind, name string, level health.Level, state, node, reason string, children ...Node) Node {
		created := metav1.NewTime(now.Add(-41 * 24 * time.Hour))
		return Node{Kind: kind, Name: name, Health: level, State: state, Node: node, Reason: reason, Created: &created, Children: children}
	}
	return &Report{
		Root: at("Dataset", "hbase", health.Ready, "Bound", "", "",
			at("JindoRuntime", "hadoop", health.Failed, "NotReady", "", "two of three masters find no node: 0/3 nodes are available; name another storage class in spec.master.storageClassName",
				at("StatefulSet", "hadoop-jindofs-master", health.Pending, "1/3", "", "",
					at("Pod", "hadoop-jindofs-master-0", health.Ready, "Running", "cn-h-07", ""),
					at("Pod", "hadoop-jindofs-master-1", health.Failed, "ImagePullBackOff", "cn-h-12", "container master: ImagePullBackOff: no such image")),
				at("Secret", "hadoop-jindofs-admin", health.Ready, "", "", "")),
			at("PersistentVolumeClaim", "hbase", health.Ready, "Bound", "", "",
				at("PersistentVolume", "default-hbase", health.Ready, "Bound", "", ""),
				at("Pod", "训练-0", health.Ready, "Running", "cn-h-31", "mounts it at /data through its sidecar"))),
	}
}

func TestDraw(t *testing.T) {
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		screen  iostreams.Screen
		options Options
	}{
		"80-plain":   {iostreams.Screen{Width: 80, TTY: true, Unicode: true}, Options{}},
		"80-ascii":   {iostreams.Screen{Width: 80, TTY: true}, Options{NoHeaders: true}},
		"160-colour": {iostreams.Screen{Width: 160, TTY: true, Unicode: true, Colour: true}, Options{}},
		"pipe-wide":  {iostreams.Screen{Unicode: true}, Options{Wide: true}},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := Draw(&out, test.screen, sample(now), now, test.options); err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, *update, name+".txt", out.String())
		})
	}
}
