package message

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"":                 "",
		"plain ä \ufffd":   "plain ä \ufffd",
		"a\xffb":           `a\xffb`,
		"\xed\xa0\x80":     `\xed\xa0\x80`,
		"open /\xf6: gone": `open /\xf6: gone`,
	} {
		if got := Text(in); got != want {
			t.Errorf("Text of %q is %q, want %q", in, got, want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\xff")
	f.Add(strings.Repeat("ä", MaxText))
	f.Add(strings.Repeat("\xff", MaxText))
	f.Fuzz(func(t *testing.T, s string) {
		got := Text(s)
		if !utf8.ValidString(got) || len(got) > MaxText {
			t.Errorf("%d bytes, valid %v", len(got), utf8.ValidString(got))
		}
		if utf8.ValidString(s) && len(s) <= MaxText && got != s {
			t.Errorf("%q became %q", s, got)
		}
	})
}

func TestStatusKeepsCodeAndDetails(t *testing.T) {
	s, err := status.New(codes.Unavailable, "open \xff").WithDetails(&errdetails.ErrorInfo{Reason: "no_bucket"})
	if err != nil {
		t.Fatal(err)
	}
	got := status.Convert(Status(s.Err()))
	if got.Code() != codes.Unavailable || got.Message() != `open \xff` || len(got.Details()) != 1 {
		t.Errorf("the status is %v", got.Proto())
	}
	if _, err := proto.Marshal(got.Proto()); err != nil {
		t.Error(err)
	}
	plain := errors.New("plain")
	if Status(nil) != nil || !errors.Is(Status(plain), plain) {
		t.Error("an error whose text is valid was changed")
	}
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		request proto.Message
		invalid bool
	}{
		"names of any bytes": {&workerv1.LookupRequest{MountId: "m", Directory: []byte("\xff\x00"), Name: []byte("\xed\xa0\x80")}, false},
		"text not UTF-8":     {&commonv1.WorkerReport{Name: "\xff"}, true},
		"nested text":        {&commonv1.WorkerReport{Mounts: []*commonv1.MountHealth{{Error: "\xff"}}}, true},
		"too large":          {&workerv1.LookupRequest{Name: make([]byte, MaxRequest)}, true},
	} {
		err := Check(c.request)
		if IsInvalid(err) != c.invalid || (err == nil) == c.invalid {
			t.Errorf("%s: %v", name, err)
		}
		if c.invalid && (status.Code(err) != codes.InvalidArgument || !IsInvalid(fmt.Errorf("wrapped: %w", err))) {
			t.Errorf("%s: code %s of %v", name, status.Code(err), err)
		}
	}
}
