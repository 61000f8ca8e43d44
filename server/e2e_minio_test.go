package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"ironman/s3api/sig"
	"ironman/server"
)

// minioRun is one pass of minio-go over the store.
type minioRun struct {
	*testing.T
	p             *process
	ctx           context.Context
	core          *minio.Core // root
	other, nobody *minio.Core
	bucket        string
	v2, trailers  bool
}

// TestMinio runs every operation that minio-go has, with both signatures.
func TestMinio(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			p := newProcess(t)
			p.keys = []server.KeySpec{randomKey("bob")}
			if scheme == "https" {
				p.tls = newCertificate(t)
			}
			p.start()
			for _, version := range []string{"v4", "v4trailer", "v2"} {
				t.Run(version, func(t *testing.T) { runMinio(t, p, version) })
			}
			p.stop()
		})
	}
}

func runMinio(t *testing.T, p *process, version string) {
	connect := func(c sig.Credential) *minio.Core {
		secret := string(c.Secret.Reveal())
		cred := credentials.NewStaticV4(c.AccessKey, secret, "")
		if version == "v2" && c.AccessKey != "" {
			cred = credentials.NewStaticV2(c.AccessKey, secret, "")
		}
		_, host, _ := strings.Cut(p.endpoint, "://")
		core, err := minio.NewCore(host, &minio.Options{Creds: cred, Secure: p.tls != nil, Transport: p.transport,
			Region: region, BucketLookup: minio.BucketLookupPath, TrailingHeaders: version == "v4trailer", MaxRetries: 1})
		if err != nil {
			t.Fatal(err)
		}
		return core
	}
	root := p.client()
	m := &minioRun{
		T: t, p: p, ctx: t.Context(), core: connect(root.cred), other: connect(p.as(0).cred), nobody: connect(sig.Credential{}),
		bucket: "minio-" + version, v2: version == "v2", trailers: version == "v4trailer",
	}
	m.buckets()
	for _, part := range []struct {
		name string
		run  func(*minioRun)
	}{
		{"objects", (*minioRun).objects}, {"ranges", (*minioRun).ranges}, {"conditions", (*minioRun).conditions}, {"lists", (*minioRun).lists},
		{"deletes", (*minioRun).deletes}, {"copies", (*minioRun).copies}, {"multipart", (*minioRun).multipart}, {"partCopy", (*minioRun).partCopy},
		{"large", (*minioRun).large}, {"acl", (*minioRun).acl}, {"presigned", (*minioRun).presigned}, {"checksums", (*minioRun).checksums},
		{"deleteBucket", (*minioRun).deleteBucket},
	} {
		t.Run(part.name, func(t *testing.T) {
			b := *m
			b.T, b.ctx = t, t.Context()
			part.run(&b)
		})
	}
}

func (m *minioRun) ok(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

func (m *minioRun) want(code string, err error) {
	m.Helper()
	if got := minio.ToErrorResponse(err); err == nil || got.Code != code {
		m.Errorf("want %s, got %v (%s)", code, err, got.Code)
	}
}

func (m *minioRun) same(what string, got, want any) {
	m.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		m.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func (m *minioRun) sameBytes(what string, got, want []byte) {
	m.Helper()
	if !bytes.Equal(got, want) {
		m.Errorf("%s: %d bytes that are not the %d that were written", what, len(got), len(want))
	}
}

func (m *minioRun) put(key string, b []byte, o minio.PutObjectOptions) minio.UploadInfo {
	m.Helper()
	info, err := m.core.Client.PutObject(m.ctx, m.bucket, key, bytes.NewReader(b), int64(len(b)), o)
	m.ok(err)
	return info
}

func (m *minioRun) get(key string, o minio.GetObjectOptions) ([]byte, minio.ObjectInfo) {
	m.Helper()
	body, info, _, err := m.core.GetObject(m.ctx, m.bucket, key, o)
	m.ok(err)
	defer body.Close()
	b, err := io.ReadAll(body)
	m.ok(err)
	return b, info
}

func (m *minioRun) buckets() {
	there, err := m.core.BucketExists(m.ctx, m.bucket)
	m.ok(err)
	m.same("exists before", there, false)
	m.ok(m.core.MakeBucket(m.ctx, m.bucket, minio.MakeBucketOptions{Region: region}))
	there, err = m.core.BucketExists(m.ctx, m.bucket)
	m.ok(err)
	m.same("exists after", there, true)
	m.want("BucketAlreadyExists", m.other.MakeBucket(m.ctx, m.bucket, minio.MakeBucketOptions{Region: region}))
	all, err := m.core.ListBuckets(m.ctx)
	m.ok(err)
	m.same("listed", slices.ContainsFunc(all, func(b minio.BucketInfo) bool { return b.Name == m.bucket }), true)
	where, err := m.core.GetBucketLocation(m.ctx, m.bucket)
	m.ok(err)
	m.same("location", where, region)
}

func (m *minioRun) objects() {
	for _, size := range []int{0, 1, 32<<10 + 1, 100_000, 1 << 20, 5<<20 + 1} {
		b, key := content(uint64(size), size), fmt.Sprintf("dir/a key+%d~ü", size)
		info := m.put(key, b, minio.PutObjectOptions{ContentType: "text/x-test", CacheControl: "no-store", ContentLanguage: "en",
			ContentDisposition: "inline", UserMetadata: map[string]string{"Color": "green", "Padded": "x y"}})
		got, read := m.get(key, minio.GetObjectOptions{})
		m.sameBytes(key, got, b)
		m.same("etag", read.ETag, info.ETag)
		stat, err := m.core.StatObject(m.ctx, m.bucket, key, minio.StatObjectOptions{})
		m.ok(err)
		m.same("size", stat.Size, size)
		m.same("type", stat.ContentType, "text/x-test")
		m.same("metadata", stat.UserMetadata, map[string]string{"Color": "green", "Padded": "x y"})
		m.same("cache control", stat.Metadata.Get("Cache-Control"), "no-store")
	}
	_, err := m.core.StatObject(m.ctx, m.bucket, "missing", minio.StatObjectOptions{})
	m.want("NoSuchKey", err)
	_, err = m.nobody.StatObject(m.ctx, m.bucket, "missing", minio.StatObjectOptions{})
	m.want("AccessDenied", err)
	_, err = m.core.Client.PutObject(m.ctx, m.bucket, "unknown length", io.MultiReader(bytes.NewReader(content(3, 1000))), -1, minio.PutObjectOptions{PartSize: 5 << 20})
	m.ok(err)
	got, _ := m.get("unknown length", minio.GetObjectOptions{})
	m.sameBytes("unknown length", got, content(3, 1000))
}

func (m *minioRun) ranges() {
	b := content(30, 3_000_000)
	m.put("ranges", b, minio.PutObjectOptions{})
	for _, r := range [][2]int64{{0, 0}, {5, 1048599}, {1048576, 1048576}, {2999999, 2999999}} {
		o := minio.GetObjectOptions{}
		m.ok(o.SetRange(r[0], r[1]))
		got, _ := m.get("ranges", o)
		want := b[r[0] : r[1]+1]
		if r == [2]int64{0, 0} {
			want = b[:1]
		}
		m.sameBytes(fmt.Sprint(r), got, want)
	}
	o := minio.GetObjectOptions{}
	m.ok(o.SetRange(0, -7)) // the last seven
	got, _ := m.get("ranges", o)
	m.sameBytes("suffix", got, b[len(b)-7:])
	object, err := m.core.Client.GetObject(m.ctx, m.bucket, "ranges", minio.GetObjectOptions{})
	m.ok(err)
	defer object.Close()
	at := make([]byte, 1000)
	_, err = object.ReadAt(at, 2_500_000)
	m.ok(err)
	m.sameBytes("ReadAt", at, b[2_500_000:2_501_000])
}

func (m *minioRun) conditions() {
	info := m.put("conditions", []byte("1"), minio.PutObjectOptions{})
	o := minio.PutObjectOptions{}
	o.SetMatchETagExcept("*")
	_, err := m.core.Client.PutObject(m.ctx, m.bucket, "conditions", strings.NewReader("2"), 1, o)
	m.want("PreconditionFailed", err)
	o = minio.PutObjectOptions{}
	o.SetMatchETag(info.ETag)
	_, err = m.core.Client.PutObject(m.ctx, m.bucket, "conditions", strings.NewReader("2"), 1, o)
	m.ok(err)
	_, err = m.core.Client.PutObject(m.ctx, m.bucket, "conditions", strings.NewReader("3"), 1, o)
	m.want("PreconditionFailed", err)
	g := minio.GetObjectOptions{}
	m.ok(g.SetMatchETag(info.ETag))
	_, _, _, err = m.core.GetObject(m.ctx, m.bucket, "conditions", g)
	m.want("PreconditionFailed", err)
}

func (m *minioRun) lists() {
	want := []string{"lists/a", "lists/b/1", "lists/b/2", "lists/c d", "lists/ü+&<"}
	for _, k := range want {
		m.put(k, []byte(k), minio.PutObjectOptions{})
	}
	for _, v1 := range []bool{false, true} {
		for _, max := range []int{1, 2, 1000} {
			var got []string
			for o := range m.core.Client.ListObjects(m.ctx, m.bucket, minio.ListObjectsOptions{Prefix: "lists/", Recursive: true, UseV1: v1, MaxKeys: max}) {
				m.ok(o.Err)
				m.same("size", o.Size, len(o.Key))
				got = append(got, o.Key)
			}
			m.same(fmt.Sprintf("v1 %v by %d", v1, max), got, want)
		}
		var got []string
		for o := range m.core.Client.ListObjects(m.ctx, m.bucket, minio.ListObjectsOptions{Prefix: "lists/", UseV1: v1}) {
			m.ok(o.Err)
			got = append(got, o.Key)
		}
		slices.Sort(got)
		m.same("by folder", got, []string{"lists/a", "lists/b/", "lists/c d", "lists/ü+&<"})
	}
}

func (m *minioRun) deletes() {
	send := make(chan minio.ObjectInfo, 40)
	for i := range 30 {
		key := fmt.Sprintf("deletes/%d", i)
		m.put(key, []byte(key), minio.PutObjectOptions{})
		send <- minio.ObjectInfo{Key: key}
	}
	close(send)
	for e := range m.core.RemoveObjects(m.ctx, m.bucket, send, minio.RemoveObjectsOptions{}) {
		m.Errorf("%s: %v", e.ObjectName, e.Err)
	}
	for o := range m.core.Client.ListObjects(m.ctx, m.bucket, minio.ListObjectsOptions{Prefix: "deletes/", Recursive: true}) {
		m.Errorf("left: %s %v", o.Key, o.Err)
	}
	m.put("deletes/one", nil, minio.PutObjectOptions{})
	m.ok(m.core.RemoveObject(m.ctx, m.bucket, "deletes/one", minio.RemoveObjectOptions{}))
	m.ok(m.core.RemoveObject(m.ctx, m.bucket, "deletes/one", minio.RemoveObjectOptions{}))
}

func (m *minioRun) copies() {
	b := content(31, 200_000)
	m.put("copy source+", b, minio.PutObjectOptions{UserMetadata: map[string]string{"Kept": "yes"}})
	source := minio.CopySrcOptions{Bucket: m.bucket, Object: "copy source+"}
	_, err := m.core.Client.CopyObject(m.ctx, minio.CopyDestOptions{Bucket: m.bucket, Object: "copied"}, source)
	m.ok(err)
	got, info := m.get("copied", minio.GetObjectOptions{})
	m.sameBytes("copy", got, b)
	m.same("metadata", info.UserMetadata, map[string]string{"Kept": "yes"})
	_, err = m.core.Client.CopyObject(m.ctx, minio.CopyDestOptions{Bucket: m.bucket, Object: "copied", ReplaceMetadata: true,
		UserMetadata: map[string]string{"New": "1"}}, minio.CopySrcOptions{Bucket: m.bucket, Object: "copied"})
	m.ok(err)
	_, info = m.get("copied", minio.GetObjectOptions{})
	m.same("metadata replaced on itself", info.UserMetadata, map[string]string{"New": "1"})
	source.MatchETag = "00000000000000000000000000000000"
	_, err = m.core.Client.CopyObject(m.ctx, minio.CopyDestOptions{Bucket: m.bucket, Object: "not copied"}, source)
	m.want("PreconditionFailed", err)
}

func (m *minioRun) multipart() {
	parts := [][]byte{content(32, 5<<20), content(33, 700)}
	id, err := m.core.NewMultipartUpload(m.ctx, m.bucket, "multipart", minio.PutObjectOptions{ContentType: "x/y", UserMetadata: map[string]string{"Of": "upload"}})
	m.ok(err)
	var done []minio.CompletePart
	for i, b := range parts {
		part, err := m.core.PutObjectPart(m.ctx, m.bucket, "multipart", id, i+1, bytes.NewReader(b), int64(len(b)), minio.PutObjectPartOptions{})
		m.ok(err)
		done = append(done, minio.CompletePart{PartNumber: i + 1, ETag: strings.Trim(part.ETag, `"`)})
	}
	uploads, err := m.core.ListMultipartUploads(m.ctx, m.bucket, "multi", "", "", "", 10)
	m.ok(err)
	if len(uploads.Uploads) != 1 || uploads.Uploads[0].UploadID != id {
		m.Errorf("uploads: %+v", uploads.Uploads)
	}
	listing, err := m.core.ListObjectParts(m.ctx, m.bucket, "multipart", id, 0, 1000)
	m.ok(err)
	if len(listing.ObjectParts) != 2 || listing.ObjectParts[1].Size != 700 || strings.Trim(listing.ObjectParts[0].ETag, `"`) != done[0].ETag {
		m.Errorf("parts: %+v", listing.ObjectParts)
	}
	_, err = m.core.CompleteMultipartUpload(m.ctx, m.bucket, "multipart", id, done, minio.PutObjectOptions{})
	m.ok(err)
	got, info := m.get("multipart", minio.GetObjectOptions{})
	m.sameBytes("multipart", got, slices.Concat(parts...))
	m.same("type", info.ContentType, "x/y")
	id, err = m.core.NewMultipartUpload(m.ctx, m.bucket, "aborted", minio.PutObjectOptions{})
	m.ok(err)
	m.ok(m.core.AbortMultipartUpload(m.ctx, m.bucket, "aborted", id))
	_, err = m.core.ListObjectParts(m.ctx, m.bucket, "aborted", id, 0, 1000)
	m.want("NoSuchUpload", err)
}

func (m *minioRun) partCopy() {
	a, b := content(34, 6<<20), content(35, 300_000)
	m.put("compose a", a, minio.PutObjectOptions{})
	m.put("compose b", b, minio.PutObjectOptions{})
	_, err := m.core.ComposeObject(m.ctx, minio.CopyDestOptions{Bucket: m.bucket, Object: "composed"},
		minio.CopySrcOptions{Bucket: m.bucket, Object: "compose a", MatchRange: true, Start: 1000, End: 6_000_000},
		minio.CopySrcOptions{Bucket: m.bucket, Object: "compose b"})
	m.ok(err)
	got, _ := m.get("composed", minio.GetObjectOptions{})
	m.sameBytes("composed", got, slices.Concat(a[1000:6_000_001], b))
}

// large is what minio-go splits by itself.
func (m *minioRun) large() {
	b := content(36, 22<<20+5)
	m.put("large", b, minio.PutObjectOptions{PartSize: 8 << 20})
	got, info := m.get("large", minio.GetObjectOptions{})
	m.sameBytes("large", got, b)
	m.same("parts", strings.HasSuffix(info.ETag, "-3"), true)
}

// acl: minio-go has no ACL calls, so these are signed by hand, as its version signs.
func (m *minioRun) acl() {
	m.put("public", []byte("for all"), minio.PutObjectOptions{UserMetadata: map[string]string{"x-amz-acl": "public-read"}})
	m.put("private", []byte("for me"), minio.PutObjectOptions{})
	info, err := m.core.Client.GetObjectACL(m.ctx, m.bucket, "public")
	m.ok(err)
	m.same("grants", len(info.Grant), 2)
	body, _, _, err := m.nobody.GetObject(m.ctx, m.bucket, "public", minio.GetObjectOptions{})
	m.ok(err)
	got, err := io.ReadAll(body)
	m.ok(err)
	body.Close()
	m.sameBytes("anonymous", got, []byte("for all"))
	_, _, _, err = m.other.GetObject(m.ctx, m.bucket, "private", minio.GetObjectOptions{})
	m.want("AccessDenied", err)
	for _, target := range []string{"/" + m.bucket + "/private?acl", "/" + m.bucket + "?acl"} {
		if a := m.signed("PUT", target, header("X-Amz-Grant-Read", `emailAddress="bob@example.com"`)); a.status != 200 {
			m.Errorf("PUT %s: %v", target, a)
		}
		if a := m.signed("GET", target); a.status != 200 || !bytes.Contains(a.body, []byte("<Permission>READ</Permission>")) {
			m.Errorf("GET %s: %v", target, a)
		}
	}
	body, _, _, err = m.other.GetObject(m.ctx, m.bucket, "private", minio.GetObjectOptions{})
	m.ok(err)
	body.Close()
	for o := range m.other.Client.ListObjects(m.ctx, m.bucket, minio.ListObjectsOptions{}) {
		m.ok(o.Err)
	}
	_, err = m.other.Client.PutObject(m.ctx, m.bucket, "by bob", strings.NewReader("x"), 1, minio.PutObjectOptions{})
	m.want("AccessDenied", err)
}

// signed sends a request without a body that is signed as the run's version is.
func (m *minioRun) signed(method, target string, change ...func(*http.Request)) *answer {
	m.Helper()
	c := m.p.client()
	r := c.request(m.ctx, method, target, []byte{})
	for _, f := range change {
		f(r)
	}
	if m.v2 {
		m.ok(sig.SignV2(r, c.cred, "", time.Now()))
	} else {
		c.sign(r, nil)
	}
	a, err := c.send(r)
	m.ok(err)
	return a
}

func (m *minioRun) presigned() {
	b := content(37, 40_000)
	u, err := m.core.PresignedPutObject(m.ctx, m.bucket, "presigned", time.Hour)
	m.ok(err)
	send := func(method string, u *url.URL, body []byte) *answer {
		r, err := http.NewRequestWithContext(m.ctx, method, u.String(), bytes.NewReader(body))
		m.ok(err)
		a, err := m.p.client().send(r)
		m.ok(err)
		return a
	}
	m.same("PUT", send("PUT", u, b).status, 200)
	u, err = m.core.PresignedGetObject(m.ctx, m.bucket, "presigned", time.Hour, url.Values{"response-content-type": {"a/b"}})
	m.ok(err)
	a := send("GET", u, nil)
	m.sameBytes("GET", a.body, b)
	m.same("type", a.header.Get("Content-Type"), "a/b")
	q := u.Query()
	q.Set("response-content-type", "c/d")
	u.RawQuery = q.Encode()
	a = send("GET", u, nil)
	checkRefused(m.T, "a changed override", a, nil, 403, "SignatureDoesNotMatch")
	u, err = m.core.PresignedHeadObject(m.ctx, m.bucket, "presigned", time.Hour, nil)
	m.ok(err)
	m.same("HEAD", send("HEAD", u, nil).status, 200)
}

func (m *minioRun) checksums() {
	if !m.trailers {
		return // minio-go has checksums only with trailers
	}
	for _, c := range []minio.ChecksumType{minio.ChecksumCRC32, minio.ChecksumCRC32C, minio.ChecksumCRC64NVME, minio.ChecksumSHA1, minio.ChecksumSHA256} {
		b := content(uint64(c), 150_000)
		h := c.Hasher()
		h.Write(b)
		sum := minio.NewChecksum(c, h.Sum(nil)).Encoded()
		key := "checksums/" + c.String()
		m.put(key, b, minio.PutObjectOptions{UserMetadata: map[string]string{c.Key(): sum}, DisableMultipart: true})
		got, info := m.get(key, minio.GetObjectOptions{Checksum: true})
		m.sameBytes(key, got, b)
		all := fmt.Sprint(info.ChecksumCRC32, info.ChecksumCRC32C, info.ChecksumCRC64NVME, info.ChecksumSHA1, info.ChecksumSHA256)
		m.same(key, all, sum)
		_, err := m.core.Client.PutObject(m.ctx, m.bucket, "wrong", bytes.NewReader(b[1:]), int64(len(b)-1),
			minio.PutObjectOptions{UserMetadata: map[string]string{c.Key(): sum}, DisableMultipart: true})
		m.want("BadDigest", err)
	}
	_, err := m.core.StatObject(m.ctx, m.bucket, "wrong", minio.StatObjectOptions{})
	m.want("NoSuchKey", err)
}

func (m *minioRun) deleteBucket() {
	m.want("BucketNotEmpty", m.core.RemoveBucket(m.ctx, m.bucket))
	name := m.bucket + "-gone"
	m.ok(m.core.MakeBucket(m.ctx, name, minio.MakeBucketOptions{}))
	m.want("AccessDenied", m.other.RemoveBucket(m.ctx, name))
	m.ok(m.core.RemoveBucket(m.ctx, name))
	m.want("NoSuchBucket", m.core.RemoveBucket(m.ctx, name))
}
