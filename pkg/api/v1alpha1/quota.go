package v1alpha1

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
)

// Quota is an amount of bytes as a person wrote it: 2G, 2Gi, 290G, 1Ti, in
// either case, or a number of bytes. [Quota.Bytes] reads it. It keeps its text,
// so that an object that is read and written again does not change.
//
// The schema's rule leaves odd units to [Validate]: Kubernetes 1.30 reckons its
// cost as if a quota could have megabytes, whatever its maxLength.
//
// +kubebuilder:validation:Type=""
// +kubebuilder:validation:XIntOrString
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:XValidation:rule="type(self) == int ? self > 0 : size(self) == 0 || !self.startsWith('-') && (isQuantity(self) || self.matches(r'^\\d+..?$') && (self.endsWith('k') || self.endsWith('m') || self.endsWith('g') || self.endsWith('t') || self.endsWith('p') || self.endsWith('e') || self.endsWith('i') || self.endsWith('K') || self.endsWith('M') || self.endsWith('G') || self.endsWith('T') || self.endsWith('P') || self.endsWith('E') || self.endsWith('I')))",message="is no amount of bytes: write a number of bytes, or a number with K, M, G, T or P (thousands) or Ki, Mi, Gi, Ti or Pi (1024s), such as 2G or 100Gi"
type Quota string

// quotaForm is how every message about a quota ends.
const quotaForm = "write a number of bytes, or a number with K, M, G, T or P (thousands) or Ki, Mi, Gi, Ti or Pi (1024s), such as 2G or 100Gi"

// maxQuotaText bounds what is parsed; nobody writes longer numbers.
const maxQuotaText = 64

// Bytes answers the quota in bytes. The error is a sentence that says what to
// write; it does not repeat the value.
func (q Quota) Bytes() (int64, error) { return parseBytes(string(q)) }

// UnmarshalJSON takes text, or a number of bytes.
func (q *Quota) UnmarshalJSON(raw []byte) error {
	raw = bytes.TrimSpace(raw)
	if bytes.Equal(raw, []byte("null")) {
		return nil
	}
	if len(raw) > 0 && raw[0] == '"' {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return fmt.Errorf("reading quota: %w", err)
		}
		*q = Quota(text)
		return nil
	}
	var number json.Number
	if err := json.Unmarshal(raw, &number); err != nil {
		return errors.New("a quota is text or a number: " + quotaForm)
	}
	*q = Quota(number)
	return nil
}

// MarshalJSON writes text.
func (q Quota) MarshalJSON() ([]byte, error) { return json.Marshal(string(q)) }

// parseBytes reads an amount of bytes above zero. Parts of a byte are cut off.
func parseBytes(text string) (int64, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, errors.New("is empty: " + quotaForm)
	}
	if len(text) > maxQuotaText {
		return 0, errors.New("is longer than any amount of bytes: " + quotaForm)
	}
	digits, factor, ok := splitUnit(text)
	if !ok || !plainNumber(digits) {
		return 0, errors.New("is no amount of bytes: " + quotaForm)
	}
	amount, ok := new(big.Rat).SetString(digits)
	if !ok {
		return 0, errors.New("is no amount of bytes: " + quotaForm)
	}
	amount.Mul(amount, new(big.Rat).SetInt64(factor))
	whole := new(big.Int).Quo(amount.Num(), amount.Denom())
	switch {
	case whole.Sign() == 0:
		return 0, errors.New("must be at least one byte: " + quotaForm)
	case !whole.IsInt64():
		return 0, fmt.Errorf("is more than %d bytes, the largest size there is: write a smaller one", int64(math.MaxInt64))
	}
	return whole.Int64(), nil
}

// splitUnit parts "2Gi" into "2" and 1024³. The case of a unit does not matter.
func splitUnit(text string) (string, int64, bool) {
	units := []string{"k", "m", "g", "t", "p", "e"}
	lower := strings.ToLower(text)
	base := int64(1000)
	if rest, ok := strings.CutSuffix(lower, "i"); ok {
		lower, base = rest, 1024
	}
	factor := int64(1)
	for _, unit := range units {
		factor *= base
		if digits, ok := strings.CutSuffix(lower, unit); ok {
			return digits, factor, true
		}
	}
	return lower, 1, base == 1000
}

// plainNumber holds for digits with at most one point among them.
func plainNumber(text string) bool {
	whole, fraction, point := strings.Cut(text, ".")
	if point && fraction == "" {
		return false
	}
	return whole != "" && strings.Trim(whole+fraction, "0123456789") == ""
}

// byteSizes reads a comma list of amounts of bytes: "290G,290G, 100Gi".
func byteSizes(list string) ([]int64, error) {
	var sizes []int64
	for i, text := range strings.Split(list, ",") {
		size, err := parseBytes(text)
		if err != nil {
			return nil, fmt.Errorf("entry %d %w", i+1, err)
		}
		sizes = append(sizes, size)
	}
	return sizes, nil
}
