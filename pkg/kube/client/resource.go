package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion/queryparams"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// Options of a Client.
type Options struct {
	// Scheme has the kinds of typed objects.
	Scheme *runtime.Scheme
	// Mapper maps kinds, also those of unstructured objects, to resources.
	Mapper meta.RESTMapper
}

// Client reads and writes objects of an API server. It is safe for concurrent use.
type Client struct {
	config *rest.Config
	http   *http.Client
	scheme *runtime.Scheme
	mapper meta.RESTMapper
	codecs serializer.CodecFactory

	mu sync.Mutex
	// resources by kind and format.
	resources map[resourceKey]*resource
}

type resourceKey struct {
	kind schema.GroupVersionKind
	form form
}

// form is how objects are encoded.
type form int

const (
	// typed objects whose type has no other form, as JSON.
	typed form = iota
	// compact: typed objects that the API server encodes as protobuf.
	compact
	// untyped: unstructured objects.
	untyped
	// partial: the metadata of objects of any kind. They can only be read.
	partial
)

// resource is a resource of the API in one form.
type resource struct {
	client     rest.Interface
	form       form
	name       string
	namespaced bool
}

// New returns a client. It sends no request. Warnings of the API server are
// discarded unless the configuration has a handler.
func New(config *rest.Config, o Options) (*Client, error) {
	config = rest.CopyConfig(config)
	if config.UserAgent == "" {
		config.UserAgent = rest.DefaultKubernetesUserAgent()
	}
	if config.WarningHandler == nil && config.WarningHandlerWithContext == nil {
		config.WarningHandler = rest.NoWarnings{}
	}
	transport, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	return &Client{
		config: config, http: transport, scheme: o.Scheme, mapper: o.Mapper,
		codecs: serializer.NewCodecFactory(o.Scheme), resources: map[resourceKey]*resource{},
	}, nil
}

// resourceOf returns the resource of an object, or of the items of a list.
func (c *Client) resourceOf(o runtime.Object) (*resource, error) {
	key := resourceKey{form: formOf(o)}
	if key.form == partial {
		key.kind = o.GetObjectKind().GroupVersionKind()
	} else {
		kinds, _, err := c.scheme.ObjectKinds(o)
		if err != nil {
			return nil, err
		}
		if len(kinds) != 1 {
			return nil, fmt.Errorf("%T is registered as %d kinds", o, len(kinds))
		}
		key.kind = kinds[0]
	}
	if meta.IsListType(o) {
		key.kind.Kind = strings.TrimSuffix(key.kind.Kind, "List")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.resources[key]; r != nil {
		return r, nil
	}
	mapping, err := c.mapper.RESTMapping(key.kind.GroupKind(), key.kind.Version)
	if err != nil {
		return nil, err
	}
	restClient, err := rest.RESTClientForConfigAndClient(c.configFor(key), c.http)
	if err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	r := &resource{client: restClient, form: key.form, name: mapping.Resource.Resource, namespaced: mapping.Scope.Name() != meta.RESTScopeNameRoot}
	c.resources[key] = r
	return r, nil
}

func formOf(o runtime.Object) form {
	switch o.(type) {
	case *metav1.PartialObjectMetadata, *metav1.PartialObjectMetadataList:
		return partial
	case runtime.Unstructured:
		return untyped
	}
	if _, is := o.(interface{ Unmarshal(data []byte) error }); is {
		return compact
	}
	return typed
}

// configFor returns the configuration of the requests for a resource.
func (c *Client) configFor(key resourceKey) *rest.Config {
	config := rest.CopyConfig(c.config)
	version := key.kind.GroupVersion()
	config.GroupVersion, config.APIPath = &version, "/apis"
	if version.Group == "" {
		config.APIPath = "/api"
	}
	switch key.form {
	case untyped:
		return dynamic.ConfigFor(config)
	case compact:
		if config.ContentType == "" {
			config.ContentType = runtime.ContentTypeProtobuf
		}
	case typed, partial:
	}
	config.NegotiatedSerializer = replacing{serializer.WithoutConversionCodecFactory{CodecFactory: c.codecs}}
	return config
}

// replacing is a serializer whose decoders replace what the object held before. They
// would merge it: a field that the stored object does not have would keep its value.
type replacing struct{ runtime.NegotiatedSerializer }

func (r replacing) DecoderToVersion(d runtime.Decoder, version runtime.GroupVersioner) runtime.Decoder {
	return replacingDecoder{r.NegotiatedSerializer.DecoderToVersion(d, version)}
}

type replacingDecoder struct{ runtime.Decoder }

func (d replacingDecoder) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	if into != nil {
		reflect.ValueOf(into).Elem().SetZero()
	}
	return d.Decoder.Decode(data, defaults, into)
}

// queryCodec encodes options as parameters of a URL. They have one version.
type queryCodec struct{}

func (queryCodec) EncodeParameters(o runtime.Object, _ schema.GroupVersion) (url.Values, error) {
	return queryparams.Convert(o)
}

func (queryCodec) DecodeParameters(url.Values, schema.GroupVersion, runtime.Object) error {
	return errors.New("parameters are not decoded by clients")
}
