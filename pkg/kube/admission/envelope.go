package admission

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/kube/inject"
)

// envelope is the part of an AdmissionReview that is used.
type envelope struct {
	metav1.TypeMeta `json:",inline"`
	Request         *request `json:"request"`
}

// cut separates the object of a review from the rest, so that the rest is decoded
// alone: the object is the largest part, and its parser checks it in any case. The
// rest has null in its place. ok is false for a review that is not written like those
// of the API server; it is decoded as a whole.
//
// Invariant: if the rest and the object are both JSON, so is the review, and it means
// the same. The object is the value of the only member of that name, in any spelling,
// which the value of the member "request" has.
func cut(review []byte) (rest, object []byte, ok bool) {
	member := []byte(`"object":`)
	at := bytes.Index(review, member)
	if at < 0 {
		return nil, nil, false
	}
	at += len(member)
	length := valueLength(review[at:])
	if length <= 0 {
		return nil, nil, false
	}
	rest = append(append(append(make([]byte, 0, len(review)-length+len("null")), review[:at]...), "null"...), review[at+length:]...)
	// Escapes could spell another member of the name, and the first occurrence could
	// be in a string.
	if bytes.IndexByte(rest, '\\') >= 0 || !onlyMember(rest) || depth(review[:at]) != 2 {
		return nil, nil, false
	}
	return rest, review[at : at+length], true
}

// maxDepth is the depth of objects and lists up to which a review is split. It is far
// below the limit of encoding/json, which counts from the start of a text.
const maxDepth = 1000

// valueLength returns the length of the object at the start of text; 0 if there is no
// object, or no end of it. The object need not be valid.
func valueLength(text []byte) int {
	if len(text) == 0 || text[0] != '{' {
		return 0
	}
	open := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			if open++; open > maxDepth {
				return 0
			}
		case '}', ']':
			if open--; open == 0 {
				return i + 1
			}
		case '"':
			end := stringEnd(text, i)
			if end < 0 {
				return 0
			}
			i = end
		}
	}
	return 0
}

// stringEnd returns the index of the quotation mark that ends the string that starts
// at an index; -1 if there is none.
func stringEnd(text []byte, start int) int {
	for i := start + 1; ; i++ {
		n := bytes.IndexByte(text[i:], '"')
		if n < 0 {
			return -1
		}
		i += n
		escapes := 0
		for text[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i
		}
	}
}

// onlyMember reports whether the word object occurs once in quotation marks, in any
// case: encoding/json ignores the case of names.
func onlyMember(rest []byte) bool {
	word := []byte(`"object"`)
	found := 0
	for i := 0; i+len(word) <= len(rest); i++ {
		n := bytes.IndexByte(rest[i:], '"')
		if n < 0 || i+n+len(word) > len(rest) {
			break
		}
		i += n
		if bytes.EqualFold(rest[i:i+len(word)], word) {
			found++
		}
	}
	return found == 1
}

// depth returns the number of objects that are open at the end of text, or -1 if text
// ends in a string or in a list.
func depth(text []byte) int {
	open, lists := 0, 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{':
			open++
		case '}':
			open--
		case '[':
			lists++
		case ']':
			lists--
		case '"':
			end := stringEnd(text, i)
			if end < 0 {
				return -1
			}
			i = end
		}
	}
	if lists != 0 {
		return -1
	}
	return open
}

// unmarshal decodes a review.
func unmarshal(body []byte, into *envelope) error {
	rest, object, ok := cut(body)
	if !ok {
		return json.Unmarshal(body, into)
	}
	if err := json.Unmarshal(rest, into); err != nil {
		return err
	}
	if into.Request == nil || string(into.Request.Object) != "null" {
		// The member was not that of the request.
		*into = envelope{}
		return json.Unmarshal(body, into)
	}
	into.Request.Object = object
	return nil
}

// marshal encodes the review with a response, exactly as encoding/json does.
func marshal(r *admissionv1.AdmissionResponse) ([]byte, error) {
	if r.Result != nil || r.PatchType != nil && len(r.Patch) == 0 {
		raw, err := json.Marshal(admissionv1.AdmissionReview{
			TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"}, Response: r,
		})
		if err != nil {
			return nil, fmt.Errorf("encode the response: %w", err)
		}
		return raw, nil
	}
	to := make([]byte, 0, 1024+base64.StdEncoding.EncodedLen(len(r.Patch)))
	to = append(to, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":`...)
	to = append(inject.AppendString(to, string(r.UID)), `,"allowed":`...)
	if r.Allowed {
		to = append(to, "true"...)
	} else {
		to = append(to, "false"...)
	}
	if len(r.Patch) > 0 {
		to = append(base64.StdEncoding.AppendEncode(append(to, `,"patch":"`...), r.Patch), '"')
	}
	if r.PatchType != nil {
		to = inject.AppendString(append(to, `,"patchType":`...), string(*r.PatchType))
	}
	if len(r.AuditAnnotations) > 0 {
		to = inject.AppendStrings(append(to, `,"auditAnnotations":`...), r.AuditAnnotations)
	}
	for i, warning := range r.Warnings {
		if i == 0 {
			to = append(to, `,"warnings":[`...)
		} else {
			to = append(to, ',')
		}
		to = inject.AppendString(to, warning)
	}
	if len(r.Warnings) > 0 {
		to = append(to, ']')
	}
	return append(to, "}}"...), nil
}
