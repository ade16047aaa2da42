package local

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/ufs/drivers"
	"github.com/jindo-io/jindo/pkg/ufs/storecheck"
)

// asProgram makes the test binary run the hidden commands.
const asProgram = "JINDO_LOCAL_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" && len(os.Args) > 1 {
		os.Exit(program(os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

func program(args []string) int {
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	var err error
	switch args[0] {
	case "supervise":
		err = Supervise(os.Stdin, []string{"/proc/self/exe"}, logger)
		if err != nil {
			_, _ = os.NewFile(3, "report").WriteString(err.Error())
		}
	case "guard": // --root R --namespace N NAME
		err = ReapOrphans(NewLayout(args[2], args[4], args[5]), os.NewFile(3, "watch"), logger)
	case storecheck.Flag:
		err = drivers.ServeCheck(context.Background(), os.Stdin, os.Stdout)
	default:
		return 2
	}
	if err != nil {
		logger.Error("ended", "error", err)
		return 1
	}
	return 0
}

func encodeID(id ProcessID) string {
	raw, _ := json.Marshal(id)
	return string(raw)
}

func decodeID(t *testing.T, text string) ProcessID {
	t.Helper()
	var id ProcessID
	if err := json.Unmarshal([]byte(text), &id); err != nil {
		t.Fatal(err)
	}
	return id
}

func discardLogger() *slog.Logger { return slog.New(slog.DiscardHandler) }

func mountTmpfs(t *testing.T, point string) {
	t.Helper()
	if err := unix.Mount("jindo-test", point, "tmpfs", 0, "size=65536"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(point, unix.MNT_DETACH) })
}
