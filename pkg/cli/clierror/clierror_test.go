package clierror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestCodeAndText(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		code int
		text string
	}{
		"none":            {nil, OK, ""},
		"plain":           {errors.New("broken"), General, "error: broken\n"},
		"deadline":        {fmt.Errorf("waiting: %w", context.DeadlineExceeded), TimedOut, "error: waiting: context deadline exceeded\n"},
		"usage":           {Usagef("bad %q", "x").WithTry("do y"), Usage, "error: bad \"x\"\ntry: do y\n"},
		"hint":            {Generalf("bad").WithHint("see %s", "this").WithTry("go"), General, "error: bad\nhint: see this\ntry: go\n"},
		"wrapped":         {fmt.Errorf("outer: %w", Usagef("inner").WithHint("h")), Usage, "error: outer: inner\nhint: h\n"},
		"silent":          {&Error{Code: Unhealthy, Err: errors.New("no"), Silent: true}, Unhealthy, ""},
		"deadline inside": {Generalf("listing: %w", context.DeadlineExceeded), General, "error: listing: context deadline exceeded\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			Print(&out, test.err)
			if got := Code(test.err); got != test.code || out.String() != test.text {
				t.Errorf("got %d %q, want %d %q", got, out.String(), test.code, test.text)
			}
		})
	}
	cause := errors.New("cause")
	if !errors.Is(Generalf("act: %w", cause), cause) {
		t.Error("the error does not wrap its cause")
	}
}
