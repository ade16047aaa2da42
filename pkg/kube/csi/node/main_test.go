//go:build linux

package node

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/jindo-io/jindo/pkg/kube/csi/fdstore"
	"github.com/jindo-io/jindo/pkg/mount/fusefd"
	"github.com/jindo-io/jindo/pkg/mount/fusefs"
	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// processEnv names the environment variable that makes the test binary act as
// another program of the node.
const processEnv = "JINDO_CSI_TEST_PROCESS"

func TestMain(m *testing.M) {
	switch os.Getenv(processEnv) {
	case "server": // SOCKET STATE
		exit(actAsServer(os.Args[1], os.Args[2], memory{}))
	case "sealed": // SOCKET STATE DIRECTORY
		exit(actAsServer(os.Args[1], os.Args[2], sealed{dir: os.Args[3]}))
	case "fdstore": // SOCKET
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		err := fdstore.NewServer(slog.New(slog.DiscardHandler)).Serve(ctx, os.Args[1])
		stop()
		exit(err)
	case "plugin": // KUBELETDIR FDSTORE ENDPOINT
		exit(actAsPlugin(os.Args[1], os.Args[2], os.Args[3]))
	}
	// A goroutine of the sanity suite waits for signals until the process ends.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/onsi/ginkgo/v2/internal/interrupt_handler.(*InterruptHandler).registerForInterrupts.func2"))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func testLogger() *slog.Logger {
	if os.Getenv("JINDO_CSI_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("process", os.Getenv(processEnv))
	}
	return slog.New(slog.DiscardHandler)
}

// actAsServer runs a FUSE server with the files of a source, which serves one
// mount after another until it is killed.
func actAsServer(socket, state string, source fusefs.Source) error {
	ctx := context.Background()
	for {
		lease, err := fusefd.AttachLasting(ctx, socket)
		if err != nil {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		files, err := fusefs.New(fusefs.Config{
			Attachment: lease, StateDir: state, Source: source, AttrTTL: time.Second, EntryTTL: time.Second,
			NegativeTTL: time.Second, Timeout: 30 * time.Second, StopTime: time.Second, Logger: testLogger(),
		})
		if err != nil {
			return err
		}
		serving, cancel := context.WithCancel(ctx)
		stop := make(chan struct{})
		go func() {
			defer close(stop)
			select {
			case <-lease.Done():
			case <-serving.Done():
			}
			cancel()
		}()
		err = files.Serve(serving)
		cancel()
		<-stop
		if err != nil {
			return err
		}
	}
}

// memory is the content of the test's server: /data/hello and /data/sub/inner.
type memory struct{}

const content = "hello, pod\n"

func (memory) Mounts() []reader.Mount {
	return []reader.Mount{{ID: "m", Path: "/data"}}
}

func (memory) Changes() <-chan struct{} { return nil }

func (memory) Current(context.Context) error { return nil }

func (memory) entries(dir string) []reader.Entry {
	file := func(name string) reader.Entry {
		return reader.Entry{
			Name: name, Modified: time.Unix(1700000000, 0),
			Version: reader.Version{Mount: "m", Key: strings.TrimPrefix(dir+"/"+name, "/"), ETag: "e", Size: int64(len(content))},
		}
	}
	switch dir {
	case "":
		return []reader.Entry{file("hello"), {Name: "sub", Dir: true}}
	case "sub":
		return []reader.Entry{file("inner")}
	}
	return nil
}

func (m memory) Lookup(_ context.Context, _, dir, name string) (reader.Entry, error) {
	for _, e := range m.entries(dir) {
		if e.Name == name {
			return e, nil
		}
	}
	return reader.Entry{}, reader.ErrNotExist
}

func (m memory) List(_ context.Context, _, dir, after string) (reader.Page, error) {
	var left []reader.Entry
	for _, e := range m.entries(dir) {
		if e.Name > after {
			left = append(left, e)
		}
	}
	return reader.Page{Entries: left}, nil
}

func (memory) Open(context.Context, reader.Version) (fusefs.File, error) { return bytesOf{}, nil }

func (memory) Forget(context.Context, reader.Version) {}

type bytesOf struct{}

func (bytesOf) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	if off >= int64(len(content)) {
		return 0, io.EOF
	}
	return copy(p, content[off:]), nil
}

func (bytesOf) Close() error { return nil }
