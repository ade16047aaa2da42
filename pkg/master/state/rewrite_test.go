package state

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

func TestRewrite(t *testing.T) {
	f := busy(t)
	before := f.View().Digest()
	same, err := f.Rewrite(func(proto.Message) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	if got := same.View(); got.Digest() != before || got.ViewIndex() != f.View().ViewIndex() || got.Index() != f.View().Index() {
		t.Errorf("a state that was not edited has digest %s, want %s", got.Digest(), before)
	}
	edited, err := f.Rewrite(func(row proto.Message) bool {
		switch row := row.(type) {
		case *statev1.Session, *statev1.Remembered:
			return false
		case *commonv1.Mount:
			row.Epoch++
		case *statev1.Meta:
			row.Clock++
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	view := edited.View()
	if len(view.Sessions()) != 0 || view.Mounts() != f.View().Mounts() || view.Clock() != f.View().Clock()+1 {
		t.Errorf("the edited state has %d sessions, %d mounts and clock %d", len(view.Sessions()), view.Mounts(), view.Clock())
	}
	if f.View().Digest() != before {
		t.Error("the original state changed")
	}
	_, err = f.Rewrite(func(row proto.Message) bool {
		if m, ok := row.(*commonv1.Mount); ok {
			m.Id, m.Path, m.Name = "same", "/same", "same"
		}
		return true
	})
	if !errors.Is(err, errDamaged) {
		t.Errorf("two mounts with one key: %v", err)
	}
}
