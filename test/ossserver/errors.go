package ossserver

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// failure is an error response of OSS.
type failure struct {
	status     int
	code       string
	message    string
	ec         string
	retryAfter time.Duration
}

func (f *failure) Error() string { return strconv.Itoa(f.status) + " " + f.code + ": " + f.message }

func fail(status int, code, message string) error {
	return &failure{status: status, code: code, message: message}
}

func noBucket(name string) error {
	return &failure{status: http.StatusNotFound, code: "NoSuchBucket", message: "The specified bucket does not exist.", ec: "0015-00000101"}
}

func noKey() error {
	return &failure{status: http.StatusNotFound, code: "NoSuchKey", message: "The specified key does not exist.", ec: "0026-00000001"}
}

// xmlError is the body of an error.
type xmlError struct {
	XMLName    xml.Name `xml:"Error"`
	Code       string   `xml:"Code"`
	Message    string   `xml:"Message"`
	RequestID  string   `xml:"RequestId"`
	HostID     string   `xml:"HostId"`
	BucketName string   `xml:"BucketName,omitempty"`
	Key        string   `xml:"Key,omitempty"`
	EC         string   `xml:"EC,omitempty"`
}

// writeError writes an error response; to a HEAD, which has no body, in headers.
func writeError(w *response, r *http.Request, c call, err error) {
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{status: http.StatusInternalServerError, code: "InternalError", message: err.Error()}
	}
	if w.started {
		panic(http.ErrAbortHandler) // the body is incomplete, so the connection must be closed
	}
	body, _ := xml.Marshal(xmlError{
		Code: f.code, Message: f.message, RequestID: c.id, HostID: r.Host,
		BucketName: c.bucket, Key: c.key, EC: f.ec,
	})
	body = append([]byte(xml.Header), body...)
	header := w.Header()
	for _, name := range []string{"Content-Length", "Content-Range", "ETag", "Last-Modified"} {
		header.Del(name)
	}
	if f.ec != "" {
		header.Set("x-oss-ec", f.ec)
	}
	if f.retryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int((f.retryAfter+time.Second-1)/time.Second)))
	}
	if r.Method == http.MethodHead {
		header.Set("x-oss-err", base64.StdEncoding.EncodeToString(body))
		w.WriteHeader(f.status)
		return
	}
	header.Set("Content-Type", "application/xml")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(f.status)
	_, _ = w.Write(body)
}

func writeXML(w *response, value any) error {
	body, err := xml.Marshal(value)
	if err != nil {
		return err
	}
	body = append([]byte(xml.Header), body...)
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	_, err = w.Write(body)
	return err
}
