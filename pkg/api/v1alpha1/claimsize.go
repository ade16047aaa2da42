package v1alpha1

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"
)

// defaultClaimSize is the requested storage of claims. It does not limit the size of
// a Dataset.
const defaultClaimSize = "100Gi"

// ClaimSize returns the requested storage of a Dataset's claim. It returns an error,
// and the default, if the Dataset's annotation is not a valid quantity.
func ClaimSize(dataset *Dataset) (resource.Quantity, error) {
	text, given := dataset.Annotations[PVCStorageAnnotation]
	if !given {
		return resource.MustParse(defaultClaimSize), nil
	}
	size, err := ParseQuantity(text)
	if err != nil || size.Sign() <= 0 {
		return resource.MustParse(defaultClaimSize), fmt.Errorf("annotation %s: invalid quantity %q: write it like %s", PVCStorageAnnotation, text, defaultClaimSize)
	}
	return size, nil
}
