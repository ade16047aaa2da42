package client

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
)

// partialType requests only the metadata, of one object or of a list.
const partialType = "application/json;as=PartialObjectMetadata%s;g=meta.k8s.io;v=v1,application/json"

// read sends a request and replaces into by the response.
func (r *resource) read(ctx context.Context, request *rest.Request, into runtime.Object) error {
	if r.form != partial {
		return request.Do(ctx).Into(into)
	}
	suffix := ""
	if meta.IsListType(into) {
		suffix = "List"
	}
	result := request.SetHeader("Accept", fmt.Sprintf(partialType, suffix)).Do(ctx)
	if err := result.Error(); err != nil { // Raw does not decode it
		return err
	}
	body, err := result.Raw()
	if err != nil {
		return err
	}
	kind := into.GetObjectKind().GroupVersionKind()
	reflect.ValueOf(into).Elem().SetZero()
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("decode the metadata of %s: %w", r.name, err)
	}
	into.GetObjectKind().SetGroupVersionKind(kind)
	return nil
}
