package ossserver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
)

// ErrNotFound means that the bucket or object does not exist.
var ErrNotFound = errors.New("no such bucket or object")

// Put stores an object without a request, so that it is neither counted nor subject
// to faults.
func (s *Server) Put(bucket, key string, data []byte, meta map[string]string) (Object, error) {
	b, err := s.bucket(bucket)
	if err != nil {
		return Object{}, ErrNotFound
	}
	o, err := b.contents.put(context.Background(), key, bytes.NewReader(data), int64(len(data)), meta, false)
	if err != nil {
		return Object{}, err
	}
	return public(o), nil
}

// Get reads an object without a request.
func (s *Server) Get(bucket, key string) ([]byte, Object, error) {
	b, err := s.bucket(bucket)
	if err != nil {
		return nil, Object{}, ErrNotFound
	}
	o, err := b.open(context.Background(), key)
	if err != nil {
		return nil, Object{}, direct(err)
	}
	defer o.close()
	data, err := io.ReadAll(o.content)
	return data, public(o), err
}

// Delete removes an object without a request.
func (s *Server) Delete(bucket, key string) error {
	b, err := s.bucket(bucket)
	if err != nil {
		return ErrNotFound
	}
	return b.contents.remove(context.Background(), key)
}

// List returns every object with a prefix, without a request.
func (s *Server) List(bucket, prefix string) ([]Object, error) {
	b, err := s.bucket(bucket)
	if err != nil {
		return nil, ErrNotFound
	}
	var all []Object
	q := query{prefix: prefix, limit: 1000}
	for {
		page, err := b.contents.list(context.Background(), q)
		if err != nil {
			return nil, err
		}
		for _, o := range page.objects {
			all = append(all, public(o))
		}
		if page.next == "" {
			return all, nil
		}
		q.continuation = page.next
	}
}

func direct(err error) error {
	var f *failure
	if errors.As(err, &f) && f.status == http.StatusNotFound {
		return ErrNotFound
	}
	return err
}
