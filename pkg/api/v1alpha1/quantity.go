package v1alpha1

import (
	"errors"
	"regexp"
	"sync"

	"k8s.io/apimachinery/pkg/api/resource"
)

// boundedQuantity matches quantities with two digits of exponent. The schema has the
// same bounds, see hack/generate.
var boundedQuantity = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[+-]?[0-9.]{1,64}([A-Za-z]{1,2}|[eE][+-]?[0-9]{1,2})?$`)
})

// ErrQuantity is the error of a text that is not a quantity or has an exponent that no
// amount needs.
var ErrQuantity = errors.New("not a valid quantity")

// ParseQuantity parses a quantity of a user. Unlike [resource.ParseQuantity] it is
// bounded: that function and the methods of its result compute ten to the power of the
// exponent, which for 1e-2000000000 takes hours and all memory.
func ParseQuantity(text string) (resource.Quantity, error) {
	if !boundedQuantity().MatchString(text) {
		return resource.Quantity{}, ErrQuantity
	}
	return resource.ParseQuantity(text)
}

// EqualQuantities reports whether two quantities are equal. Quantities with exponents
// that [ParseQuantity] rejects are equal if they are written alike.
func EqualQuantities(a, b resource.Quantity) bool {
	switch {
	case a.IsZero() || b.IsZero(): // 0e2000000000 is written 0
		return a.IsZero() == b.IsZero()
	case a.String() == b.String():
		return true
	}
	bounded := boundedQuantity().MatchString(a.String()) && boundedQuantity().MatchString(b.String())
	return bounded && a.Cmp(b) == 0
}
