package ossserver

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// minPart is OSS's minimum size of all parts but the last.
const minPart = 100 << 10

// upload is an unfinished multipart upload. Its parts are unlinked temporary files,
// so that large ones do not use memory.
type upload struct {
	key   string
	meta  map[string]string
	parts map[int]*part
}

type part struct {
	etag string
	size int64
	file *os.File
}

func noUpload() error {
	return &failure{status: http.StatusNotFound, code: "NoSuchUpload", message: "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.", ec: "0042-00000002"}
}

type xmlInitiate struct {
	XMLName      xml.Name `xml:"InitiateMultipartUploadResult"`
	Bucket       string   `xml:"Bucket"`
	Key          string   `xml:"Key"`
	UploadID     string   `xml:"UploadId"`
	EncodingType string   `xml:"EncodingType,omitempty"`
}

func (b *bucket) initiate(w *response, r *http.Request, c call) error {
	meta, err := userMeta(r.Header)
	if err != nil {
		return err
	}
	id := newRequestID()
	b.mu.Lock()
	b.uploads[id] = &upload{key: c.key, meta: meta, parts: map[int]*part{}}
	b.mu.Unlock()
	return writeXML(w, xmlInitiate{
		Bucket: b.name, Key: encoded(c, c.key), UploadID: id, EncodingType: c.query.Get("encoding-type"),
	})
}

func encoded(c call, key string) string {
	if c.query.Get("encoding-type") == "url" {
		return escape(key, true)
	}
	return key
}

// upload returns an upload. The caller holds b.mu.
func (b *bucket) upload(c call) (*upload, error) {
	u := b.uploads[c.query.Get("uploadId")]
	if u == nil || u.key != c.key {
		return nil, noUpload()
	}
	return u, nil
}

func (b *bucket) uploadPart(w *response, r *http.Request, c call) error {
	n, err := strconv.Atoi(c.query.Get("partNumber"))
	if err != nil || n < 1 || n > 10000 {
		return fail(http.StatusBadRequest, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive.")
	}
	b.mu.Lock()
	_, err = b.upload(c)
	b.mu.Unlock()
	if err != nil {
		return err
	}
	p, err := receivePart(&countedReader{from: r.Body, counts: w.counts, kind: c.kind}, r.ContentLength)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	u, err := b.upload(c)
	if err != nil {
		_ = p.file.Close()
		return err
	}
	if old := u.parts[n]; old != nil {
		_ = old.file.Close()
	}
	u.parts[n] = p
	w.Header().Set("ETag", quote(p.etag))
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	return nil
}

func receivePart(body io.Reader, size int64) (*part, error) {
	if size < 0 {
		return nil, fail(http.StatusLengthRequired, "MissingContentLength", "You must provide the Content-Length HTTP header.")
	}
	file, err := os.CreateTemp("", "ossserver-part-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		_ = file.Close()
		return nil, err
	}
	sum := md5.New()
	n, err := io.Copy(io.MultiWriter(file, sum), io.LimitReader(body, size))
	if err != nil || n != size {
		_ = file.Close()
		return nil, fail(http.StatusBadRequest, "IncompleteBody", "The request body terminated unexpectedly.")
	}
	return &part{etag: strings.ToUpper(hex.EncodeToString(sum.Sum(nil))), size: size, file: file}, nil
}

type xmlComplete struct {
	XMLName xml.Name `xml:"CompleteMultipartUpload"`
	Parts   []struct {
		PartNumber int    `xml:"PartNumber"`
		ETag       string `xml:"ETag"`
	} `xml:"Part"`
}

type xmlCompleted struct {
	XMLName      xml.Name `xml:"CompleteMultipartUploadResult"`
	Bucket       string   `xml:"Bucket"`
	Key          string   `xml:"Key"`
	ETag         string   `xml:"ETag"`
	EncodingType string   `xml:"EncodingType,omitempty"`
}

func (b *bucket) complete(w *response, r *http.Request, c call) error {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		return fail(http.StatusBadRequest, "IncompleteBody", "The request body terminated unexpectedly.")
	}
	var list xmlComplete
	if err := xml.Unmarshal(raw, &list); err != nil || len(list.Parts) == 0 {
		return fail(http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema.")
	}
	// The lock is held throughout, so that an upload completes once.
	b.mu.Lock()
	defer b.mu.Unlock()
	u, err := b.upload(c)
	if err != nil {
		return err
	}
	body, size, etag, err := u.join(list)
	if err != nil {
		return err
	}
	forbid := b.versioning == "" && r.Header.Get("x-oss-forbid-overwrite") == "true"
	o, err := b.contents.put(withTag(r.Context(), etag), c.key, body, size, u.meta, forbid)
	if err != nil {
		return err
	}
	b.forget(c.query.Get("uploadId"))
	if b.versioning == "Enabled" {
		w.Header().Set("x-oss-version-id", "CAEQ"+o.etag)
	}
	return writeXML(w, xmlCompleted{
		Bucket: b.name, Key: encoded(c, c.key), ETag: quote(o.etag), EncodingType: c.query.Get("encoding-type"),
	})
}

// join returns the bytes of the listed parts, their size and the tag.
func (u *upload) join(list xmlComplete) (io.Reader, int64, string, error) {
	var readers []io.Reader
	var sums bytes.Buffer
	size, last := int64(0), 0
	for i, want := range list.Parts {
		if want.PartNumber <= last {
			return nil, 0, "", fail(http.StatusBadRequest, "InvalidPartOrder", "The list of parts was not in ascending order.")
		}
		last = want.PartNumber
		p := u.parts[want.PartNumber]
		if p == nil || p.etag != strings.Trim(want.ETag, `"`) {
			return nil, 0, "", fail(http.StatusBadRequest, "InvalidPart", "One or more of the specified parts could not be found or the specified entity tag might not have matched the part's entity tag.")
		}
		if p.size < minPart && i < len(list.Parts)-1 {
			return nil, 0, "", fail(http.StatusBadRequest, "EntityTooSmall", "Your proposed upload smaller than the minimum allowed size.")
		}
		raw, _ := hex.DecodeString(p.etag)
		sums.Write(raw)
		readers = append(readers, io.NewSectionReader(p.file, 0, p.size))
		size += p.size
	}
	sum := md5.Sum(sums.Bytes())
	etag := strings.ToUpper(hex.EncodeToString(sum[:])) + "-" + strconv.Itoa(len(list.Parts))
	return io.MultiReader(readers...), size, etag, nil
}

// forget closes and removes an upload. The caller holds b.mu.
func (b *bucket) forget(id string) {
	if u := b.uploads[id]; u != nil {
		for _, p := range u.parts {
			_ = p.file.Close()
		}
		delete(b.uploads, id)
	}
}

func (b *bucket) abort(w *response, c call) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, err := b.upload(c); err != nil {
		return err
	}
	b.forget(c.query.Get("uploadId"))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// tagKey is the context key of the tag of a completed upload.
type tagKey struct{}

func withTag(ctx context.Context, etag string) context.Context {
	return context.WithValue(ctx, tagKey{}, etag)
}

func tagOf(ctx context.Context) string {
	etag, _ := ctx.Value(tagKey{}).(string)
	return etag
}
