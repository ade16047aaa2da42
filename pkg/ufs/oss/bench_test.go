package oss_test

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/test/ossserver"
)

// BenchmarkGet reads ranges in parallel through the driver; BenchmarkRawGet reads
// the same server with net/http alone.
func BenchmarkGet(b *testing.B) {
	for _, size := range []int64{4 << 10, 1 << 20, 8 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			server, url := serve(b)
			const whole = 64 << 20
			tag, err := server.Put("test-bucket", "key", make([]byte, whole), nil)
			if err != nil {
				b.Fatal(err)
			}
			store := open(b, configure(url, "oss://test-bucket/"))
			b.SetBytes(size)
			b.SetParallelism(4)
			b.ReportAllocs()
			var next atomic.Int64
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				buffer := make([]byte, 256<<10)
				for pb.Next() {
					offset := next.Add(size) % (whole - size)
					body, _, err := store.Get(b.Context(), "key", ufs.Range{Offset: offset, Length: size}, tag.ETag)
					if err != nil {
						b.Error(err)
						return
					}
					n, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{body}, buffer)
					_ = body.Close()
					if err != nil || n != size {
						b.Errorf("read %d, %v", n, err)
						return
					}
				}
			})
		})
	}
}

func BenchmarkRawGet(b *testing.B) {
	for _, size := range []int64{4 << 10, 1 << 20, 8 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			server := ossserver.New(ossserver.Config{})
			if err := server.CreateBucket("test-bucket"); err != nil {
				b.Fatal(err)
			}
			const whole = 64 << 20
			if _, err := server.Put("test-bucket", "key", make([]byte, whole), nil); err != nil {
				b.Fatal(err)
			}
			url := "http://" + listen(b, server) + "/test-bucket/key"
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
			b.SetBytes(size)
			b.SetParallelism(4)
			b.ReportAllocs()
			var next atomic.Int64
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				buffer := make([]byte, 256<<10)
				for pb.Next() {
					offset := next.Add(size) % (whole - size)
					r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
					if err != nil {
						b.Error(err)
						return
					}
					r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+size-1))
					response, err := client.Do(r)
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.CopyBuffer(io.Discard, struct{ io.Reader }{response.Body}, buffer)
					_ = response.Body.Close()
				}
			})
			client.CloseIdleConnections()
		})
	}
}
