package ufstest

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// header returns a change of the header of successes that describe the object.
func header(change func(h http.Header)) func(*hostileStore) {
	return func(s *hostileStore) { s.header = change }
}

// on returns a change that handles requests of a method.
func on(method string, respond func(w http.ResponseWriter, r *http.Request)) func(*hostileStore) {
	return func(s *hostileStore) {
		s.respond = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != method {
				return false
			}
			respond(w, r)
			return true
		}
	}
}

// sends returns a change that sends an object with a header in pairs.
func sends(status int, body string, pairs ...string) func(*hostileStore) {
	return on(http.MethodGet, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT")
		w.Header().Set("ETag", hostileTag)
		for i := 0; i+1 < len(pairs); i += 2 {
			w.Header().Set(pairs[i], pairs[i+1])
			if pairs[i+1] == "" {
				w.Header().Del(pairs[i])
			}
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// raw writes a whole response to the connection.
func raw(response string) func(*hostileStore) {
	return on(http.MethodGet, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, response)
		_ = conn.Close()
	})
}

func errorBody(code string) string { return "<Error><Code>" + code + "</Code></Error>" }

// elsewhere redirects every request to another host.
func elsewhere(status int) func(*hostileStore) {
	return func(s *hostileStore) {
		s.respond = func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, s.other+r.URL.RequestURI(), status)
			return true
		}
	}
}

// getBehaviours read the object: bytes 5 to 14, then all, unless act says
// otherwise.
func getBehaviours() []behaviour {
	bad, part := ufs.ErrUnavailable, hostileBody[5:15]
	atStart, beyond := readAt(ufs.Range{Offset: 0, Length: 5}), readAt(ufs.Range{Offset: 20, Length: 5})
	list := []behaviour{
		{name: "get: good"},
		{name: "get: past the end", act: beyond, kind: ufs.ErrInvalidRange},
		{name: "get: 416 within the object", kind: bad, change: sends(416, errorBody("InvalidRange"))},
		{name: "get: 416 of a replaced object", kind: ufs.ErrPrecondition, change: func(s *hostileStore) {
			sends(416, errorBody("InvalidRange"))(s)
			s.tag = `"tag-2"`
		}},
		{name: "get: a range ignored at the start", act: atStart, change: sends(200, hostileBody)},
		{name: "get: a range ignored elsewhere", kind: bad, change: sends(200, hostileBody)},
		{name: "get: a part as a whole", kind: bad, change: sends(200, part, "Content-Range", "bytes 5-14/20")},
		{name: "get: other bytes of the object", kind: bad, change: sends(206, hostileBody[6:16], "Content-Range", "bytes 6-15/20")},
		{name: "get: fewer bytes", kind: bad, change: sends(206, part[:9], "Content-Range", "bytes 5-13/20")},
		{name: "get: more bytes", kind: bad, change: sends(206, hostileBody[5:16], "Content-Range", "bytes 5-15/20")},
		{name: "get: a part without its range", kind: bad, change: sends(206, part)},
		{name: "get: a part at the start without its range", act: atStart, kind: bad, change: sends(206, hostileBody[:5])},
		{name: "get: a part without the size", kind: bad, change: sends(206, part, "Content-Range", "bytes 5-14/*")},
		{name: "get: a range of nonsense", kind: bad, change: sends(206, part, "Content-Range", "bytes 14-5/20")},
		{name: "get: several parts", kind: bad, change: sends(206, "--x\r\n\r\n"+part+"\r\n--x--", "Content-Type", "multipart/byteranges; boundary=x")},
		{name: "get: 201", act: atStart, kind: bad, change: sends(201, hostileBody)},
		{name: "get: 204", act: atStart, kind: bad, change: sends(204, "")},
		{name: "get: another version", kind: ufs.ErrPrecondition, change: sends(206, part, "Content-Range", "bytes 5-14/20", "ETag", `"tag-2"`)},
		{name: "get: no tag, a time", kind: ufs.ErrPrecondition, change: sends(206, part, "Content-Range", "bytes 5-14/20", "ETag", "")},
		{name: "get: neither tag nor time", kind: bad, change: sends(206, part, "Content-Range", "bytes 5-14/20", "ETag", "", "Last-Modified", "")},
		{name: "get: the tag as a weak one", change: func(s *hostileStore) {
			s.header = func(h http.Header) { h["ETag"] = []string{`W/` + hostileTag} }
		}},
		{name: "get: a weak tag and an encoding", kind: bad, change: func(s *hostileStore) {
			s.header = func(h http.Header) {
				h["ETag"] = []string{`W/` + hostileTag}
				h.Set("Content-Encoding", "gzip")
			}
		}},
		{name: "get: stored with an encoding", change: header(func(h http.Header) { h.Set("Content-Encoding", "gzip") })},
		{name: "get: without a length", act: readAt(ufs.Whole), kind: bad, change: on(http.MethodGet, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", hostileTag)
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, hostileBody)
		})},
		{name: "get: a time of nonsense", kind: bad, change: header(func(h http.Header) { h.Set("Last-Modified", "yesterday") })},
		{name: "get: an error in a success", kind: bad, act: readAt(ufs.Whole), change: sends(200, errorBody("NoSuchKey"), "ETag", "", "Last-Modified", "", "Content-Type", "application/xml")},
		{name: "get: an error in a success, with a time", kind: ufs.ErrPrecondition, act: readAt(ufs.Whole), change: sends(200, errorBody("NoSuchKey"), "ETag", "", "Content-Type", "application/xml")},
		{name: "get: a web page", kind: bad, act: readAt(ufs.Whole), change: sends(200, "<html>", "ETag", "", "Last-Modified", "", "Content-Type", "text/html")},
		{name: "get: a body that is always short", kind: bad, act: readAt(ufs.Whole), change: on(http.MethodGet, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", hostileTag)
			w.Header().Set("Content-Length", "20")
			w.WriteHeader(http.StatusOK)
			panic(http.ErrAbortHandler)
		})},
		{name: "get: a body that is longer than its length", act: readAt(ufs.Whole), change: raw("HTTP/1.1 200 OK\r\nETag: " + hostileTag + "\r\nContent-Length: 20\r\n\r\n" + hostileBody + "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\nand more")},
		{name: "get: two lengths", kind: bad, change: raw("HTTP/1.1 200 OK\r\nETag: " + hostileTag + "\r\nContent-Length: 20\r\nContent-Length: 5\r\n\r\n" + hostileBody)},
		{name: "get: a negative length", kind: bad, change: raw("HTTP/1.1 200 OK\r\nETag: " + hostileTag + "\r\nContent-Length: -20\r\n\r\n" + hostileBody)},
		{name: "get: a length that overflows", kind: bad, change: raw("HTTP/1.1 200 OK\r\nETag: " + hostileTag + "\r\nContent-Length: 18446744073709551636\r\n\r\n" + hostileBody)},
		{name: "get: not HTTP", kind: bad, change: raw("SSH-2.0-OpenSSH_9.6\r\n")},
		{name: "get: nothing", kind: bad, change: raw("")},
		{name: "get: a header of 16 MiB", kind: bad, change: raw("HTTP/1.1 200 OK\r\nX-Long: " + strings.Repeat("h", 16<<20) + "\r\n\r\n")},
		{name: "get: drips", kind: bad, slow: true, act: readAt(ufs.Whole), change: on(http.MethodGet, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", hostileTag)
			w.Header().Set("Content-Length", strconv.Itoa(1<<30))
			w.WriteHeader(http.StatusOK)
			drip(r.Context(), w, hostileBody)
		})},
		{name: "get: header hangs", kind: bad, slow: true, change: on(http.MethodGet, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })},
		{name: "get: body hangs", kind: bad, slow: true, act: readAt(ufs.Whole), change: on(http.MethodGet, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", hostileTag)
			w.Header().Set("Content-Length", "20")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})},
		{name: "get: replaced while it is resumed", kind: ufs.ErrPrecondition, act: readAt(ufs.Whole), change: func(s *hostileStore) {
			first := true
			s.respond = func(w http.ResponseWriter, r *http.Request) bool {
				if !first {
					s.tag = `"tag-2"`
					return false
				}
				first = false
				w.Header().Set("ETag", hostileTag)
				w.Header().Set("Content-Length", "20")
				_, _ = io.WriteString(w, hostileBody[:7])
				panic(http.ErrAbortHandler)
			}
		}},
		{name: "get: 404 NoSuchKey", kind: ufs.ErrNotFound, change: sends(404, errorBody("NoSuchKey"))},
		{name: "get: 404 NoSuchBucket", kind: ufs.ErrNoBucket, change: sends(404, errorBody("NoSuchBucket"))},
		{name: "get: 404 without a body", kind: bad, change: sends(404, "")},
		{name: "get: 404 of a web page", kind: bad, change: sends(404, "<html>default backend - 404</html>")},
		{name: "get: 404 in JSON", kind: bad, change: sends(404, `{"Code": "NoSuchKey"}`, "Content-Type", "application/json")},
		{name: "get: 404 in a nested element", kind: bad, change: sends(404, "<Html><Error><Code>NoSuchKey</Code></Error></Html>")},
		{name: "get: 410", kind: ufs.ErrInvalid, change: sends(410, "")},
		{name: "get: 500 NoSuchKey", kind: bad, change: sends(500, errorBody("NoSuchKey"))},
		{name: "get: 500 with another status inside", kind: bad, change: sends(500, `<Error><Code>NoSuchKey</Code><StatusCode>404</StatusCode></Error>`)},
		{name: "get: 500 in JSON with another status inside", kind: bad, change: sends(500, `{"Code": "NoSuchKey", "StatusCode": 404}`, "Content-Type", "application/json")},
		{name: "get: 403 NoSuchKey", kind: ufs.ErrPermission, change: sends(403, errorBody("NoSuchKey"))},
		{name: "get: clock skew", kind: ufs.ErrPermission, change: sends(403, errorBody("RequestTimeTooSkewed"))},
		{name: "get: 304", kind: bad, change: sends(304, "")},
		{name: "get: an error of 16 MiB", kind: ufs.ErrNotFound, change: sends(404, "<Error><Code>NoSuchKey</Code><Message>"+strings.Repeat("m", 16<<20)+"</Message></Error>")},
		{name: "get: an error without end", kind: bad, change: on(http.MethodGet, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			flood(r.Context(), w, "<Error>")
		})},
		{name: "get: an error that drips", kind: ufs.ErrPermission, slow: true, change: on(http.MethodGet, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			drip(r.Context(), w, " ")
		})},
		{name: "get: an error of control characters", kind: ufs.ErrInvalid, change: sends(400, "<Error><Code>&#10;&#13;X-Evil</Code><Message>&#10;level=error msg=forged</Message></Error>")},
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		list = append(list, behaviour{name: fmt.Sprintf("redirect %d: get", status), kind: ufs.ErrInvalid, change: elsewhere(status)},
			behaviour{name: fmt.Sprintf("redirect %d: head", status), kind: ufs.ErrInvalid, change: elsewhere(status), act: stat},
			behaviour{name: fmt.Sprintf("redirect %d: list", status), kind: ufs.ErrInvalid, change: elsewhere(status), act: walk(top)})
	}
	return list
}

// headBehaviours describe the object.
func headBehaviours() []behaviour {
	bad := ufs.ErrUnavailable
	absent := func(status int, body string) func(*hostileStore) {
		return func(s *hostileStore) {
			s.respond = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodHead {
					w.WriteHeader(http.StatusNotFound)
					return true
				}
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
				return true
			}
		}
	}
	list := []behaviour{
		{name: "head: good"},
		{name: "head: no length", kind: bad, change: on(http.MethodHead, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", hostileTag)
			_ = http.NewResponseController(w).Flush()
		})},
		{name: "head: neither tag nor time", kind: bad, change: header(func(h http.Header) { delete(h, "ETag"); h.Del("Last-Modified") })},
		{name: "head: a time of nonsense", kind: bad, change: header(func(h http.Header) { h.Set("Last-Modified", "yesterday") })},
		{name: "head: 204", kind: bad, change: on(http.MethodHead, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })},
		{name: "head: 404, 404 NoSuchKey", kind: ufs.ErrNotFound, change: absent(404, errorBody("NoSuchKey"))},
		{name: "head: 404, 404 NoSuchBucket", kind: ufs.ErrNoBucket, change: absent(404, errorBody("NoSuchBucket"))},
		{name: "head: 404, 404 of a web page", kind: bad, change: absent(404, "<html>404</html>")},
		{name: "head: 404, 403", kind: ufs.ErrPermission, change: absent(403, errorBody("AccessDenied"))},
		{name: "head: 404, 500", kind: bad, change: absent(500, errorBody("NoSuchKey"))},
		{name: "head: 404, found", kind: bad, change: on(http.MethodHead, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })},
		{name: "head: hangs", kind: bad, slow: true, change: on(http.MethodHead, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })},
	}
	for i := range list {
		list[i].act = stat
	}
	return list
}

// writeBehaviours write the object.
func writeBehaviours() []behaviour {
	put := func(f *hostileFixture) error {
		object, err := f.putIf(hostileKey, hostileBody, ufs.Conditions{})
		if err == nil && object.ETag != "tag-1" {
			f.t.Errorf("put %+v", object)
		}
		return err
	}
	part := func(f *hostileFixture) error {
		_, err := f.UploadPart(f.ctx, hostileKey, "upload", 1, strings.NewReader("part"), 4)
		return err
	}
	join := func(f *hostileFixture) error {
		_, err := f.CompleteMultipart(f.ctx, hostileKey, "upload", []ufs.Part{{Number: 1, ETag: "part", Size: 20}}, ufs.Conditions{})
		return err
	}
	succeeds := func(method, body string) func(*hostileStore) {
		return on(method, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, body)
		})
	}
	return []behaviour{
		{name: "put: no tag", act: put, change: succeeds(http.MethodPut, "")},
		{name: "put: an error in a success", act: put, kind: ufs.ErrUnavailable, change: succeeds(http.MethodPut, errorBody("InternalError"))},
		{name: "put: redirected", act: put, kind: ufs.ErrInvalid, change: elsewhere(307)},
		{name: "part: no tag", act: part, kind: ufs.ErrUnavailable, change: succeeds(http.MethodPut, "")},
		{name: "join: an error in a success", act: join, kind: ufs.ErrUnavailable, change: succeeds(http.MethodPost, errorBody("InternalError"))},
		{name: "join: a body without end", act: join, kind: ufs.ErrUnavailable, change: on(http.MethodPost, func(w http.ResponseWriter, r *http.Request) {
			flood(r.Context(), w, "<CompleteMultipartUploadResult>")
		})},
	}
}
