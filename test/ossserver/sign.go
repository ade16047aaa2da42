package ossserver

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	algorithm       = "OSS4-HMAC-SHA256"
	unsignedPayload = "UNSIGNED-PAYLOAD"
	timeFormat      = "20060102T150405Z"
	// maxSkew is the largest accepted difference between a signature's date and the
	// server's clock.
	maxSkew = 15 * time.Minute
)

// authorization is the parsed header of a V4 signature.
type authorization struct {
	accessKeyID string
	date        string
	region      string
	// additional headers that are signed, in lower case.
	additional []string
	signature  string
}

// parseAuthorization parses "OSS4-HMAC-SHA256 Credential=ID/DATE/REGION/oss/
// aliyun_v4_request,AdditionalHeaders=a;b,Signature=HEX".
func parseAuthorization(header string) (authorization, error) {
	malformed := func(what string) (authorization, error) {
		return authorization{}, fail(http.StatusBadRequest, "InvalidArgument", "The Authorization header is malformed: "+what+".")
	}
	rest, found := strings.CutPrefix(header, algorithm+" ")
	if !found {
		return malformed("it does not start with " + algorithm)
	}
	fields := map[string]string{}
	for field := range strings.SplitSeq(rest, ",") {
		name, value, found := strings.Cut(strings.TrimSpace(field), "=")
		if _, twice := fields[name]; !found || twice {
			return malformed("the field " + field)
		}
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 || scope[0] == "" || scope[3] != "oss" || scope[4] != "aliyun_v4_request" {
		return malformed("the Credential")
	}
	a := authorization{accessKeyID: scope[0], date: scope[1], region: scope[2], signature: fields["Signature"]}
	if raw, err := hex.DecodeString(a.signature); err != nil || len(raw) != sha256.Size {
		return malformed("the Signature")
	}
	if names := fields["AdditionalHeaders"]; names != "" {
		a.additional = strings.Split(strings.ToLower(names), ";")
		if !slices.IsSorted(a.additional) {
			return malformed("AdditionalHeaders are not in order")
		}
	}
	return a, nil
}

// authorise checks the signature and the key's rights.
func (s *Server) authorise(r *http.Request, c call) error {
	s.mu.Lock()
	keys := s.keys
	s.mu.Unlock()
	if len(keys) == 0 {
		return nil
	}
	header := r.Header.Get("Authorization")
	if header == "" {
		return &failure{status: http.StatusForbidden, code: "AccessDenied", message: "Anonymous access is forbidden for this operation.", ec: "0003-00000901"}
	}
	a, err := parseAuthorization(header)
	if err != nil {
		return err
	}
	key, known := keys[a.accessKeyID]
	if !known {
		return &failure{status: http.StatusForbidden, code: "InvalidAccessKeyId", message: "The OSS Access Key Id you provided does not exist in our records.", ec: "0002-00000902"}
	}
	if err := s.checkDate(r, a); err != nil {
		return err
	}
	if s.config.Region != "" && a.region != s.config.Region {
		return &failure{status: http.StatusBadRequest, code: "InvalidArgument", message: "Invalid signing region in Authorization header, expected " + s.config.Region + ".", ec: "0002-00000225"}
	}
	if sum := r.Header.Get("x-oss-content-sha256"); sum != unsignedPayload {
		return fail(http.StatusBadRequest, "InvalidArgument", "x-oss-content-sha256 must be "+unsignedPayload+".")
	}
	if token := r.Header.Get("x-oss-security-token"); token != key.Token {
		return &failure{status: http.StatusForbidden, code: "InvalidSecurityToken", message: "The security token you provided is invalid.", ec: "0002-00000908"}
	}
	want := sign(key.Secret, a, r.Header.Get("x-oss-date"), canonicalRequest(r, c, a.additional))
	if !hmac.Equal([]byte(want), []byte(a.signature)) {
		return &failure{status: http.StatusForbidden, code: "SignatureDoesNotMatch", message: "The request signature we calculated does not match the signature you provided. Check your key and signing method.", ec: "0002-00000040"}
	}
	if slices.Contains(key.Deny, c.kind) {
		return &failure{status: http.StatusForbidden, code: "AccessDenied", message: "You have no right to access this object because of bucket acl.", ec: "0003-00000001"}
	}
	return nil
}

func (s *Server) checkDate(r *http.Request, a authorization) error {
	date, err := time.Parse(timeFormat, r.Header.Get("x-oss-date"))
	if err != nil || date.Format("20060102") != a.date {
		return fail(http.StatusForbidden, "AccessDenied", "The x-oss-date header is missing, malformed or not the date of the Credential.")
	}
	if skew := s.now().Sub(date); skew > maxSkew || skew < -maxSkew {
		return &failure{status: http.StatusForbidden, code: "RequestTimeTooSkewed", message: "The difference between the request time and the current time is too large.", ec: "0002-00000504"}
	}
	return nil
}

// canonicalRequest returns the text that a V4 signature signs.
func canonicalRequest(r *http.Request, c call, additional []string) string {
	uri := "/"
	if c.bucket != "" {
		uri += c.bucket + "/" + c.key
	}
	return strings.Join([]string{
		r.Method,
		escape(uri, true),
		canonicalQuery(r.URL.RawQuery),
		canonicalHeaders(r, additional),
		strings.Join(additional, ";"),
		unsignedPayload,
	}, "\n")
}

// canonicalQuery sorts the encoded parameters.
func canonicalQuery(raw string) string {
	var parameters []string
	for parameter := range strings.SplitSeq(strings.ReplaceAll(raw, "+", "%20"), "&") {
		if parameter != "" {
			parameters = append(parameters, strings.TrimSuffix(parameter, "="))
		}
	}
	slices.SortFunc(parameters, func(a, b string) int {
		a, _, _ = strings.Cut(a, "=")
		b, _, _ = strings.Cut(b, "=")
		return strings.Compare(a, b)
	})
	return strings.Join(parameters, "&")
}

func canonicalHeaders(r *http.Request, additional []string) string {
	lines := map[string]string{}
	for name, values := range r.Header {
		low := strings.ToLower(name)
		if low == "content-type" || low == "content-md5" || strings.HasPrefix(low, "x-oss-") || slices.Contains(additional, low) {
			trimmed := make([]string, len(values))
			for i, value := range values {
				trimmed[i] = strings.TrimSpace(value)
			}
			lines[low] = strings.Join(trimmed, ",")
		}
	}
	if slices.Contains(additional, "host") { // net/http removes it from the headers
		lines["host"] = r.Host
	}
	names := make([]string, 0, len(lines))
	for name := range lines {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		b.WriteString(name + ":" + lines[name] + "\n")
	}
	return b.String()
}

func sign(secret string, a authorization, datetime, canonical string) string {
	scope := a.date + "/" + a.region + "/oss/aliyun_v4_request"
	sum := sha256.Sum256([]byte(canonical))
	toSign := strings.Join([]string{algorithm, datetime, scope, hex.EncodeToString(sum[:])}, "\n")
	key := []byte("aliyun_v4" + secret)
	for _, step := range []string{a.date, a.region, "oss", "aliyun_v4_request", toSign} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(step))
		key = mac.Sum(nil)
	}
	return hex.EncodeToString(key)
}

// escape escapes all but the unreserved characters of RFC 3986.
func escape(s string, keepSlash bool) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			c == '-' || c == '_' || c == '.' || c == '~' || keepSlash && c == '/'
		if plain {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}
