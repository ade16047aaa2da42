package ufstest

import (
	"errors"
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/ufs"
)

func (f *fixture) start(key string, metadata map[string]string) string {
	f.t.Helper()
	id, err := f.CreateMultipart(f.ctx, key, metadata)
	if err != nil {
		f.t.Fatalf("starting an upload of %q: %v", key, err)
	}
	return id
}

func (f *fixture) part(key, id string, n int, content string) ufs.Part {
	f.t.Helper()
	part, err := f.UploadPart(f.ctx, key, id, n, strings.NewReader(content), int64(len(content)))
	if err != nil {
		f.t.Fatalf("storing part %d of %q: %v", n, key, err)
	}
	if part.Number != n || part.ETag == "" || part.Size != int64(len(content)) {
		f.t.Fatalf("part %d is %+v", n, part)
	}
	return part
}

func testMultipart(t *testing.T, f *fixture) {
	size := max(int(f.can().MinPartSize), 1000)
	one, two, three := content("one", size), content("two", size+7), content("three", 11)
	var metadata map[string]string
	if f.can().Metadata {
		metadata = map[string]string{"mode": "420"}
	}
	id := f.start("dir/key", metadata)
	// Parallel uploads store parts out of order.
	p3 := f.part("dir/key", id, 9, three)
	p1 := f.part("dir/key", id, 1, one)
	p2 := f.part("dir/key", id, 4, two)
	_, err := f.Stat(f.ctx, "dir/key")
	f.want(err, ufs.ErrNotFound, "stat of an incomplete upload")
	if keys := f.keys(ufs.ListOptions{}); len(keys) != 0 {
		t.Errorf("parts are listed: %q", keys)
	}
	made, err := f.CompleteMultipart(f.ctx, "dir/key", id, []ufs.Part{p1, p2, p3}, ufs.Conditions{})
	if err != nil {
		t.Fatal(err)
	}
	want := one + two + three
	got, object := f.read("dir/key", ufs.Whole, made.ETag)
	if got != want {
		t.Fatalf("the completed upload has %d bytes that differ from the %d bytes sent", len(got), len(want))
	}
	if object.Size != int64(len(want)) || made.Size != int64(len(want)) || made.Key != "dir/key" {
		t.Errorf("CompleteMultipart returned %+v, Get %+v", made, object)
	}
	sameMetadata(t, f.stat("dir/key").Metadata, metadata)
	across, _ := f.read("dir/key", ufs.Range{Offset: int64(size) - 3, Length: 6}, made.ETag)
	if across != want[size-3:size+3] {
		t.Error("a range across two parts is wrong")
	}
}

func testMultipartParts(t *testing.T, f *fixture) {
	size := max(int(f.can().MinPartSize), 1000)
	id := f.start("key", nil)
	f.part("key", id, 1, content("first try", size))
	again := f.part("key", id, 1, content("second try", size))
	last := f.part("key", id, 2, "last")

	_, err := f.CompleteMultipart(f.ctx, "key", id, nil, ufs.Conditions{})
	f.want(err, ufs.ErrInvalid, "completing with no part")
	missing := ufs.Part{Number: 3, ETag: last.ETag, Size: 4}
	_, err = f.CompleteMultipart(f.ctx, "key", id, []ufs.Part{again, last, missing}, ufs.Conditions{})
	f.want(err, ufs.ErrInvalid, "completing with a part that was never stored")
	_, err = f.CompleteMultipart(f.ctx, "key", id, []ufs.Part{last, again}, ufs.Conditions{})
	f.want(err, ufs.ErrInvalid, "completing out of order")
	_, err = f.Stat(f.ctx, "key")
	f.want(err, ufs.ErrNotFound, "stat of an incomplete upload")

	if _, err := f.CompleteMultipart(f.ctx, "key", id, []ufs.Part{again, last}, ufs.Conditions{}); err != nil {
		t.Fatal(err)
	}
	if got := f.get("key"); got != content("second try", size)+"last" {
		t.Error("a part that was stored twice does not have its last content")
	}
	_, err = f.UploadPart(f.ctx, "key", id, 3, strings.NewReader("x"), 1)
	f.want(err, ufs.ErrNotFound, "storing a part of a completed upload")
	_, err = f.UploadPart(f.ctx, "key", f.start("key", nil), 0, strings.NewReader("x"), 1)
	f.want(err, ufs.ErrInvalid, "storing part 0")
}

func testMultipartAbort(t *testing.T, f *fixture) {
	id := f.start("key", nil)
	part := f.part("key", id, 1, "some bytes")
	for range 2 { // the second upload does not exist, which is not an error
		if err := f.AbortMultipart(f.ctx, "key", id); err != nil {
			t.Fatal(err)
		}
	}
	_, err := f.CompleteMultipart(f.ctx, "key", id, []ufs.Part{part}, ufs.Conditions{})
	f.want(err, ufs.ErrNotFound, "completing an aborted upload")
	_, err = f.UploadPart(f.ctx, "key", id, 1, strings.NewReader("x"), 1)
	f.want(err, ufs.ErrNotFound, "storing a part of an aborted upload")
	_, err = f.Stat(f.ctx, "key")
	f.want(err, ufs.ErrNotFound, "stat of an aborted upload")
}

func testMultipartConditions(t *testing.T, f *fixture) {
	can := f.can()
	complete := func(key string, c ufs.Conditions) error {
		id := f.start(key, nil)
		part := f.part(key, id, 1, "uploaded")
		_, err := f.CompleteMultipart(f.ctx, key, id, []ufs.Part{part}, c)
		return errors.Join(err, f.AbortMultipart(f.ctx, key, id))
	}
	tag := f.put("taken", "mine").ETag
	err := complete("taken", ufs.Conditions{IfNoneMatch: true})
	if can.ConditionalCreate {
		f.want(err, ufs.ErrPrecondition, "creating an existing object")
		if err := complete("free", ufs.Conditions{IfNoneMatch: true}); err != nil {
			t.Errorf("creating: %v", err)
		}
	} else {
		f.want(err, ufs.ErrUnsupported, "creating an existing object")
	}
	if got := f.get("taken"); got != "mine" {
		t.Errorf("holds %q after a refused upload", got)
	}
	err = complete("taken", ufs.Conditions{IfMatch: "0123456789abcdef0123456789abcdef"})
	if can.ConditionalReplace {
		f.want(err, ufs.ErrPrecondition, "replacing another version")
		if err := complete("taken", ufs.Conditions{IfMatch: tag}); err != nil {
			t.Errorf("replacing: %v", err)
		}
	} else {
		f.want(err, ufs.ErrUnsupported, "replacing another version")
	}
}
