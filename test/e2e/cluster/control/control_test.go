package control

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestForward(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = inner.Close() }()
	go func() {
		for {
			conn, err := inner.Accept()
			if err != nil {
				return
			}
			// Responds at the end of the request only, as some servers do.
			request, _ := io.ReadAll(conn)
			_, _ = conn.Write([]byte(strings.ToUpper(string(request))))
			_ = conn.Close()
		}
	}()
	outer, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go forward(t.Context(), outer, inner.Addr().String())
	conn, err := net.Dial("tcp", outer.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if heard, err := io.ReadAll(conn); err != nil || string(heard) != "HELLO" {
		t.Errorf("heard %q, %v", heard, err)
	}
}

func TestNodes(t *testing.T) {
	node := func(status string) string {
		return `{"status":{"conditions":[{"type":"MemoryPressure","status":"False"},{"type":"Ready","status":"` + status + `","message":"why"}]}}`
	}
	for _, c := range []struct {
		name, body string
		code       int
		want       string
	}{
		{"all ready", `{"items":[` + node("True") + `,` + node("True") + `,` + node("True") + `]}`, 200, ""},
		{"one not ready", `{"items":[` + node("True") + `,` + node("False") + `,` + node("True") + `]}`, 200, "2 of 3 nodes are ready; 3 have registered; why"},
		{"one unknown", `{"items":[` + node("True") + `,` + node("Unknown") + `,` + node("True") + `]}`, 200, "2 of 3"},
		{"none registered", `{"items":[]}`, 200, "0 of 3 nodes are ready; 0 have registered"},
		{"refused", `no`, 403, "403"},
		{"nonsense", `[`, 200, "unexpected end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.code)
				_, _ = io.WriteString(w, c.body)
			}))
			defer server.Close()
			err := (&api{client: server.Client(), base: server.URL}).nodes(t.Context())
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
