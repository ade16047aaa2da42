package ossserver

import (
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"strconv"
	"unicode/utf8"
)

type xmlListing struct {
	XMLName               xml.Name    `xml:"ListBucketResult"`
	Name                  string      `xml:"Name"`
	Prefix                string      `xml:"Prefix"`
	StartAfter            string      `xml:"StartAfter,omitempty"`
	ContinuationToken     string      `xml:"ContinuationToken,omitempty"`
	MaxKeys               int         `xml:"MaxKeys"`
	Delimiter             string      `xml:"Delimiter,omitempty"`
	EncodingType          string      `xml:"EncodingType,omitempty"`
	IsTruncated           bool        `xml:"IsTruncated"`
	NextContinuationToken string      `xml:"NextContinuationToken,omitempty"`
	Contents              []xmlObject `xml:"Contents"`
	CommonPrefixes        []xmlPrefix `xml:"CommonPrefixes"`
	KeyCount              int         `xml:"KeyCount"`
}

type xmlObject struct {
	Key          string `xml:"Key"`
	LastModified string `xml:"LastModified"`
	ETag         string `xml:"ETag"`
	Type         string `xml:"Type"`
	Size         int64  `xml:"Size"`
	StorageClass string `xml:"StorageClass"`
}

type xmlPrefix struct {
	Prefix string `xml:"Prefix"`
}

// list handles ListObjectsV2.
func (b *bucket) list(w *response, r *http.Request, c call) error {
	limit, err := maxKeys(c.query.Get("max-keys"))
	if err != nil {
		return err
	}
	encoding := c.query.Get("encoding-type")
	if encoding != "" && encoding != "url" {
		return fail(http.StatusBadRequest, "InvalidArgument", "Invalid Encoding Method specified in Request.")
	}
	delimiter := c.query.Get("delimiter")
	if delimiter != "" && delimiter != "/" {
		return fail(http.StatusBadRequest, "InvalidArgument", "This server supports only the delimiter /.")
	}
	q := query{prefix: c.query.Get("prefix"), delimiter: delimiter, startAfter: c.query.Get("start-after"), limit: limit}
	if token := c.query.Get("continuation-token"); token != "" {
		if q.continuation, err = parseToken(token); err != nil {
			return err
		}
	}
	page, err := b.contents.list(r.Context(), q)
	if err != nil {
		return err
	}
	out := b.render(page, c, limit, encoding == "url")
	w.fault.distort(&out)
	return writeXML(w, out)
}

// distort applies the fault to a page.
func (f *Fault) distort(page *xmlListing) {
	if f.WeakTags {
		for i := range page.Contents {
			page.Contents[i].ETag = "W/" + page.Contents[i].ETag
		}
	}
	if n := len(page.Contents); f.NoToken && n > 1 {
		page.Contents, page.IsTruncated, page.NextContinuationToken = page.Contents[:n/2], true, ""
	}
}

func maxKeys(text string) (int, error) {
	if text == "" {
		return 100, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1000 {
		return 0, fail(http.StatusBadRequest, "InvalidArgument", "Argument max-keys must be between 1 and 1000.")
	}
	return n, nil
}

func (b *bucket) render(page listing, c call, limit int, encode bool) xmlListing {
	text := func(s string) string {
		if encode {
			return escape(s, true)
		}
		return s
	}
	out := xmlListing{
		Name: b.name, Prefix: text(c.query.Get("prefix")), StartAfter: text(c.query.Get("start-after")),
		ContinuationToken: c.query.Get("continuation-token"), MaxKeys: limit,
		Delimiter: text(c.query.Get("delimiter")), EncodingType: c.query.Get("encoding-type"),
		IsTruncated: page.next != "", KeyCount: len(page.objects) + len(page.prefixes),
	}
	if page.next != "" {
		out.NextContinuationToken = newToken(page.next)
	}
	for _, o := range page.objects {
		out.Contents = append(out.Contents, xmlObject{
			Key: text(o.key), LastModified: xmlTime(o.modified), ETag: quote(o.etag),
			Type: "Normal", Size: o.size, StorageClass: "Standard",
		})
	}
	for _, prefix := range page.prefixes {
		out.CommonPrefixes = append(out.CommonPrefixes, xmlPrefix{Prefix: text(prefix)})
	}
	return out
}

// newToken returns a continuation token, which is opaque to clients.
func newToken(next string) string { return base64.StdEncoding.EncodeToString([]byte("1" + next)) }

func parseToken(token string) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(token)
	if err != nil || len(raw) < 2 || raw[0] != '1' || !utf8.Valid(raw) {
		return "", fail(http.StatusBadRequest, "InvalidArgument", "The continuation token provided is incorrect.")
	}
	return string(raw[1:]), nil
}
