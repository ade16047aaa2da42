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

// Quota is a size in bytes as it was written: 2G, 2Gi, 290G or 1Ti, in either
// case, or a number of bytes. [Quota.Bytes] parses it. The text is kept, so that
// decoding and encoding an object does not change it.
//
// The rule of the schema leaves unusual units to [Validate]: Kubernetes 1.30
// ignores maxLength when it estimates the cost of the rule.
//
// +kubebuilder:validation:Type=""
// +kubebuilder:validation:XIntOrString
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:XValidation:rule="type(self) == int ? self > 0 : size(self) == 0 || !self.startsWith('-') && (isQuantity(self) || self.matches(r'^\\d+..?$') && (self.endsWith('k') || self.endsWith('m') || self.endsWith('g') || self.endsWith('t') || self.endsWith('p') || self.endsWith('e') || self.endsWith('i') || self.endsWith('K') || self.endsWith('M') || self.endsWith('G') || self.endsWith('T') || self.endsWith('P') || self.endsWith('E') || self.endsWith('I')))",message="not a valid size: write a number of bytes, or a number with K, M, G, T or P (thousands) or Ki, Mi, Gi, Ti or Pi (1024s), such as 2G or 100Gi"
type Quota string

// quotaForm is the end of every error about a quota.
const quotaForm = "write a number of bytes, or a number with K, M, G, T or P (thousands) or Ki, Mi, Gi, Ti or Pi (1024s), such as 2G or 100Gi"

// maxQuotaText is the longest text that is parsed, in bytes.
const maxQuotaText = 64

// Bytes returns the quota in bytes. The error describes the accepted form and
// does not repeat the value.
func (q Quota) Bytes() (int64, error) { return parseBytes(string(q)) }

// UnmarshalJSON implements json.Unmarshaler. It accepts a string or a number of
// bytes.
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
		return errors.New("a quota must be a string or a number: " + quotaForm)
	}
	*q = Quota(number)
	return nil
}

// MarshalJSON implements json.Marshaler. It writes a string.
func (q Quota) MarshalJSON() ([]byte, error) { return json.Marshal(string(q)) }

// parseBytes parses a size of at least one byte. Fractions of a byte are
// truncated.
func parseBytes(text string) (int64, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, errors.New("must not be empty: " + quotaForm)
	}
	if len(text) > maxQuotaText {
		return 0, errors.New("longer than any size: " + quotaForm)
	}
	digits, factor, ok := splitUnit(text)
	if !ok || !plainNumber(digits) {
		return 0, errors.New("not a valid size: " + quotaForm)
	}
	amount, ok := new(big.Rat).SetString(digits)
	if !ok {
		return 0, errors.New("not a valid size: " + quotaForm)
	}
	amount.Mul(amount, new(big.Rat).SetInt64(factor))
	whole := new(big.Int).Quo(amount.Num(), amount.Denom())
	switch {
	case whole.Sign() == 0:
		return 0, errors.New("must be at least one byte: " + quotaForm)
	case !whole.IsInt64():
		return 0, fmt.Errorf("larger than %d bytes, which is the maximum: write a smaller size", int64(math.MaxInt64))
	}
	return whole.Int64(), nil
}

// splitUnit splits "2Gi" into "2" and 1024³. The case of the unit is ignored.
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

// plainNumber reports whether text consists of digits with at most one decimal
// point among them.
func plainNumber(text string) bool {
	whole, fraction, point := strings.Cut(text, ".")
	if point && fraction == "" {
		return false
	}
	return whole != "" && strings.Trim(whole+fraction, "0123456789") == ""
}

// byteSizes parses a comma-separated list of sizes: "290G,290G, 100Gi".
func byteSizes(list string) ([]int64, error) {
	var sizes []int64
	for i, text := range strings.Split(list, ",") {
		size, err := parseBytes(text)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		sizes = append(sizes, size)
	}
	return sizes, nil
}
