// Package wire defines the byte API between workers and the clients that read
// from them, and the encoding of the cluster view in a file. The worker, the
// client and the fake worker share it, so every header name, error code and
// format has one definition, with its encoder beside its decoder.
//
// # Requests
//
// A client reads a range of one version of an object with a GET:
//
//	GET /v1/objects/{mount id}/{key}
//	If-Match: "{etag}"
//	Range: bytes={first}-{last}
//	Jindo-Size: {size of the object in bytes}
//
// Each segment of the key is escaped separately, because a key may hold any
// byte, and so is the entity tag. [Request] is such a GET; [NewHTTPRequest] encodes it and [ParseRequest]
// decodes it.
//
// # Responses
//
// A worker responds with status 206 and the bytes, described by a [Content], or
// with a [Failure]: another status and a JSON body with a code. Both carry
// [Epochs], from which a client notices that its view of the cluster is stale.
//
// # Names
//
// Names, keys and entity tags are bytes, not text. [IsName], [IsKey] and [IsETag]
// define which of them this system serves.
//
// # Hostile input
//
// Decoders accept any input. They return an error for what they cannot
// decode, never panic, and bound what they read.
package wire
