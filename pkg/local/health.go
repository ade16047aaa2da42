package local

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// NotReadyError is an answer: the component is there and says what it lacks.
type NotReadyError struct{ Reason string }

// Error is what the component lacks.
func (e *NotReadyError) Error() string { return e.Reason }

// AskReady asks the health port of a component, host:port, whether it is ready:
// nil when it is, a *NotReadyError when it says that it is not.
func AskReady(ctx context.Context, address string) error {
	return askReady(ctx, address, "")
}

// askView asks as well whether it acts on a view of the runtime or a newer one.
func askView(ctx context.Context, address string, view uint64) error {
	return askReady(ctx, address, "?view="+strconv.FormatUint(view, 10))
}

func askReady(ctx context.Context, address, query string) error {
	const limit = 4 << 10
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz"+query, http.NoBody)
	if err != nil {
		return fmt.Errorf("asking whether it is ready: %w", err)
	}
	// One question: a kept connection would only have to be closed.
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("asking whether it is ready: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, limit))
	if err != nil {
		return fmt.Errorf("asking whether it is ready: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return &NotReadyError{Reason: strings.ReplaceAll(strings.TrimSpace(string(body)), "\n", "; ")}
	}
	return nil
}
