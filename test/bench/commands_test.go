package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/jindo-io/jindo/test/bench/raftlog"
)

func TestSendAll(t *testing.T) {
	var mu sync.Mutex
	sent := map[int]int{}
	w, err := sendAll(t.Context(), 3, 20*time.Millisecond, func(_ context.Context, client int) error {
		mu.Lock()
		defer mu.Unlock()
		sent[client]++
		return nil
	})
	if err != nil || len(sent) != 3 || int(w.amount) != sent[0]+sent[1]+sent[2] {
		t.Errorf("%+v, %v, sent %v", w, err, sent)
	}
	fail := errors.New("refused")
	if _, err := sendAll(t.Context(), 2, time.Hour, func(context.Context, int) error { return fail }); !errors.Is(err, fail) {
		t.Errorf("a command failed: %v", err)
	}
}

// A log in another process prints a line when it is ready and one for each load,
// and ends with its input.
func TestServeLog(t *testing.T) {
	requests, send := io.Pipe()
	receive, responses := io.Pipe()
	ended := make(chan error, 1)
	dir := t.TempDir()
	go func() {
		err := serveLog(t.Context(), raftlog.Hashicorp, dir, requests, responses)
		_ = responses.Close()
		ended <- err
	}()
	lines := bufio.NewReader(receive)
	if line, err := lines.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the log printed %q, %v, %v", line, err, <-ended)
	}
	for _, clients := range []int{1, 4} {
		fmt.Fprintln(send, clients, int64(50*time.Millisecond))
		var committed int
		var seconds float64
		if _, err := fmt.Fscanln(lines, &committed, &seconds); err != nil || committed < clients || seconds < 0.05 {
			t.Errorf("%d clients: %d commands in %f s, %v", clients, committed, seconds, err)
		}
	}
	_ = send.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
