package local

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// NotReadyError is the response of a component that is not ready.
type NotReadyError struct{ Reason string }

// Error returns what the component lacks.
func (e *NotReadyError) Error() string { return e.Reason }

// CheckReady requests the readiness of a component at its health port, host:port.
// It returns nil if the component is ready, and a *NotReadyError if it responds
// that it is not.
func CheckReady(ctx context.Context, address string) error {
	return requestReady(ctx, address, "")
}

// checkView also requires that the component has this or a newer view.
func checkView(ctx context.Context, address string, view uint64) error {
	return requestReady(ctx, address, "?view="+strconv.FormatUint(view, 10))
}

func requestReady(ctx context.Context, address, query string) error {
	const limit = 4 << 10
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz"+query, http.NoBody)
	if err != nil {
		return fmt.Errorf("check readiness: %w", err)
	}
	// A kept connection would only have to be closed.
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("check readiness: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, limit))
	if err != nil {
		return fmt.Errorf("check readiness: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return &NotReadyError{Reason: strings.ReplaceAll(strings.TrimSpace(string(body)), "\n", "; ")}
	}
	return nil
}
