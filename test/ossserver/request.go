package ossserver

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Kind is the kind of a request, named as in OSS's API.
type Kind string

// The supported kinds of requests.
const (
	ListBuckets             Kind = "ListBuckets"
	ListObjectsV2           Kind = "ListObjectsV2"
	GetBucketInfo           Kind = "GetBucketInfo"
	GetBucketLocation       Kind = "GetBucketLocation"
	GetBucketVersioning     Kind = "GetBucketVersioning"
	GetObject               Kind = "GetObject"
	HeadObject              Kind = "HeadObject"
	PutObject               Kind = "PutObject"
	CopyObject              Kind = "CopyObject"
	DeleteObject            Kind = "DeleteObject"
	InitiateMultipartUpload Kind = "InitiateMultipartUpload"
	UploadPart              Kind = "UploadPart"
	CompleteMultipartUpload Kind = "CompleteMultipartUpload"
	AbortMultipartUpload    Kind = "AbortMultipartUpload"
	// Unknown requests get a response with status 501.
	Unknown Kind = "Unknown"
)

// call is a parsed request.
type call struct {
	id     string
	kind   Kind
	bucket string
	key    string
	query  url.Values
}

// parse parses a request. The call is valid also with an error, for the counters.
func (s *Server) parse(r *http.Request) (call, error) {
	c := call{kind: Unknown}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return c, fail(http.StatusBadRequest, "InvalidArgument", "The query string is malformed: "+err.Error())
	}
	c.query = query
	c.bucket, c.key = s.resource(r)
	c.kind = kindOf(r.Method, c, r.Header.Get("x-oss-copy-source") != "")
	if c.key != "" && !validKey(c.key) {
		return c, fail(http.StatusBadRequest, "InvalidObjectName", "The specified object is not valid.")
	}
	return c, nil
}

// resource returns bucket and key from the host or the path.
func (s *Server) resource(r *http.Request) (string, string) {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	if s.config.Host != "" {
		if name, below := strings.CutSuffix(strings.ToLower(host), "."+s.config.Host); below {
			return name, path
		}
	}
	bucket, key, _ := strings.Cut(path, "/")
	return bucket, key
}

func validKey(key string) bool {
	return len(key) <= 1023 && utf8.ValidString(key) && key[0] != '/' && key[0] != '\\'
}

func kindOf(method string, c call, copies bool) Kind {
	switch {
	case c.bucket == "":
		if method == http.MethodGet {
			return ListBuckets
		}
	case c.key == "":
		if method == http.MethodGet {
			return bucketKind(c.query)
		}
	default:
		return objectKind(method, c.query, copies)
	}
	return Unknown
}

func bucketKind(query url.Values) Kind {
	switch {
	case query.Has("bucketInfo"):
		return GetBucketInfo
	case query.Has("location"):
		return GetBucketLocation
	case query.Has("versioning"):
		return GetBucketVersioning
	case query.Get("list-type") == "2":
		return ListObjectsV2
	}
	return Unknown
}

func objectKind(method string, query url.Values, copies bool) Kind {
	upload := query.Has("uploadId")
	switch {
	case method == http.MethodPost && query.Has("uploads"):
		return InitiateMultipartUpload
	case method == http.MethodPost && upload:
		return CompleteMultipartUpload
	case method == http.MethodPut && upload && query.Has("partNumber") && !copies:
		return UploadPart
	case method == http.MethodDelete && upload:
		return AbortMultipartUpload
	case upload:
		return Unknown
	case method == http.MethodPut && copies:
		return CopyObject
	case method == http.MethodPut:
		return PutObject
	case method == http.MethodGet:
		return GetObject
	case method == http.MethodHead:
		return HeadObject
	case method == http.MethodDelete:
		return DeleteObject
	}
	return Unknown
}

// serve handles an authorised call.
func (s *Server) serve(w *response, r *http.Request, c call) error {
	if c.kind == Unknown {
		return fail(http.StatusNotImplemented, "NotImplemented", "A header or method you provided implies functionality that is not implemented.")
	}
	if c.kind == ListBuckets {
		return s.listBuckets(w)
	}
	b, err := s.bucket(c.bucket)
	if err != nil {
		return err
	}
	switch c.kind {
	case ListObjectsV2:
		return b.list(w, r, c)
	case GetBucketInfo, GetBucketLocation, GetBucketVersioning:
		return s.describe(w, b, c)
	case GetObject, HeadObject:
		return b.get(w, r, c)
	case PutObject:
		return b.put(w, r, c)
	case CopyObject:
		return s.copy(w, r, b, c)
	case DeleteObject:
		return b.remove(w, c)
	case InitiateMultipartUpload:
		return b.initiate(w, r, c)
	case UploadPart:
		return b.uploadPart(w, r, c)
	case CompleteMultipartUpload:
		return b.complete(w, r, c)
	default: // AbortMultipartUpload
		return b.abort(w, c)
	}
}
