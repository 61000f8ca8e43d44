package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"ironman/s3api/sig"
	"ironman/server"
)

// awsRun is one pass of Amazon's SDK over the store.
type awsRun struct {
	*testing.T
	p             *process
	ctx           context.Context
	s3            *s3.Client // root
	other, nobody *s3.Client // another account; nobody's
	bucket        *string
}

func newAWS(p *process, cred aws.CredentialsProvider) *s3.Client {
	p.client() // makes the transport
	return s3.New(s3.Options{
		Region: region, BaseEndpoint: aws.String(p.endpoint), UsePathStyle: true, Credentials: cred,
		HTTPClient: &http.Client{Transport: p.transport}, RetryMaxAttempts: 1,
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported, ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
	})
}

func awsCredentials(c sig.Credential) aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(c.AccessKey, string(c.Secret.Reveal()), "")
}

// TestAWS runs every operation through aws-sdk-go-v2, as it comes.
func TestAWS(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			p := newProcess(t, "--notify", "hook=http://127.0.0.1:9/") // nothing listens there
			p.keys = []server.KeySpec{randomKey("alice")}
			if scheme == "https" {
				p.tls = newCertificate(t)
			}
			p.start()
			a := &awsRun{
				T: t, p: p, ctx: t.Context(), s3: newAWS(p, awsCredentials(p.cred)), bucket: aws.String("aws-sdk"),
				other: newAWS(p, awsCredentials(p.as(0).cred)), nobody: newAWS(p, aws.AnonymousCredentials{}),
			}
			a.buckets()
			for _, part := range []struct {
				name string
				run  func(*awsRun)
			}{
				{"objects", (*awsRun).objects}, {"ranges", (*awsRun).ranges}, {"lists", (*awsRun).lists}, {"deletes", (*awsRun).deletes},
				{"copies", (*awsRun).copies}, {"conditions", (*awsRun).conditions}, {"checksums", (*awsRun).checksums},
				{"multipart", (*awsRun).multipart}, {"attributes", (*awsRun).attributes}, {"unserved", (*awsRun).unserved}, {"unchecked", (*awsRun).unchecked}, {"partCopy", (*awsRun).partCopy}, {"transfer", (*awsRun).transfer}, {"bucketAcl", (*awsRun).bucketACL},
				{"objectAcl", (*awsRun).objectACL}, {"documents", (*awsRun).documents}, {"ownership", (*awsRun).ownership}, {"publicAccess", (*awsRun).publicAccess},
				{"requesterPays", (*awsRun).requesterPays}, {"versions", (*awsRun).versions}, {"locks", (*awsRun).locks}, {"tags", (*awsRun).tags}, {"grows", (*awsRun).grows},
				{"presigned", (*awsRun).presigned}, {"encryption", (*awsRun).encryption}, {"deleteBucket", (*awsRun).deleteBucket},
			} {
				t.Run(part.name, func(t *testing.T) {
					b := *a
					b.T, b.ctx = t, t.Context()
					part.run(&b)
				})
			}
			p.stop()
		})
	}
}

func (a *awsRun) ok(err error) {
	a.Helper()
	if err != nil {
		a.Fatal(err)
	}
}

// want wants an error of a code.
func (a *awsRun) want(code string, err error) {
	a.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		a.Errorf("want %s, got %v", code, err)
	}
}

func (a *awsRun) put(key string, b []byte, change ...func(*s3.PutObjectInput)) *s3.PutObjectOutput {
	a.Helper()
	in := &s3.PutObjectInput{Bucket: a.bucket, Key: &key, Body: bytes.NewReader(b)}
	for _, f := range change {
		f(in)
	}
	out, err := a.s3.PutObject(a.ctx, in)
	a.ok(err)
	return out
}

func (a *awsRun) get(key string, change ...func(*s3.GetObjectInput)) ([]byte, *s3.GetObjectOutput) {
	a.Helper()
	in := &s3.GetObjectInput{Bucket: a.bucket, Key: &key}
	for _, f := range change {
		f(in)
	}
	out, err := a.s3.GetObject(a.ctx, in)
	a.ok(err)
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	a.ok(err)
	return b, out
}

func (a *awsRun) same(what string, got, want any) {
	a.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		a.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func (a *awsRun) sameBytes(what string, got, want []byte) {
	a.Helper()
	if !bytes.Equal(got, want) {
		a.Errorf("%s: %d bytes that are not the %d that were written", what, len(got), len(want))
	}
}

func (a *awsRun) buckets() {
	_, err := a.s3.HeadBucket(a.ctx, &s3.HeadBucketInput{Bucket: a.bucket})
	a.want("NotFound", err)
	created, err := a.s3.CreateBucket(a.ctx, &s3.CreateBucketInput{Bucket: a.bucket})
	a.ok(err)
	a.same("location", *created.Location, "/"+*a.bucket)
	_, err = a.s3.CreateBucket(a.ctx, &s3.CreateBucketInput{Bucket: a.bucket}) // again: us-east-1 does not mind
	a.ok(err)
	_, err = a.other.CreateBucket(a.ctx, &s3.CreateBucketInput{Bucket: a.bucket})
	a.want("BucketAlreadyExists", err)
	_, err = a.s3.CreateBucket(a.ctx, &s3.CreateBucketInput{Bucket: aws.String("Not_A_Bucket")})
	a.want("InvalidBucketName", err)
	_, err = a.s3.CreateBucket(a.ctx, &s3.CreateBucketInput{Bucket: aws.String("elsewhere"),
		CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: "eu-west-1"}})
	a.want("InvalidLocationConstraint", err)
	head, err := a.s3.HeadBucket(a.ctx, &s3.HeadBucketInput{Bucket: a.bucket})
	a.ok(err)
	a.same("region", *head.BucketRegion, region)
	where, err := a.s3.GetBucketLocation(a.ctx, &s3.GetBucketLocationInput{Bucket: a.bucket})
	a.ok(err)
	a.same("location of us-east-1", where.LocationConstraint, "")
	all, err := a.s3.ListBuckets(a.ctx, &s3.ListBucketsInput{})
	a.ok(err)
	if len(all.Buckets) != 1 || *all.Buckets[0].Name != *a.bucket || time.Since(*all.Buckets[0].CreationDate) > time.Minute {
		a.Errorf("ListBuckets: %+v", all.Buckets)
	}
	others, err := a.other.ListBuckets(a.ctx, &s3.ListBucketsInput{})
	a.ok(err)
	a.same("buckets of the other account", len(others.Buckets), 0)
	a.same("owners differ", *others.Owner.ID == *all.Owner.ID, false)
}

func (a *awsRun) objects() {
	b := content(1, 100_000)
	put := a.put("docs/a file+with odd~chars?.txt", b, func(in *s3.PutObjectInput) {
		in.ContentType, in.CacheControl = aws.String("text/plain; charset=utf-8"), aws.String("max-age=60")
		in.ContentDisposition, in.ContentLanguage, in.ContentEncoding = aws.String("inline"), aws.String("en"), aws.String("identity")
		in.Expires = aws.Time(time.Date(2040, 1, 2, 3, 4, 5, 0, time.UTC))
		in.Metadata = map[string]string{"color": "blue", "empty": ""}
	})
	got, out := a.get("docs/a file+with odd~chars?.txt", func(in *s3.GetObjectInput) { in.ChecksumMode = types.ChecksumModeEnabled })
	a.sameBytes("body", got, b)
	a.same("etag", *out.ETag, *put.ETag)
	a.same("crc32", aws.ToString(out.ChecksumCRC32), aws.ToString(put.ChecksumCRC32))
	if put.ChecksumCRC32 == nil || out.ChecksumType != types.ChecksumTypeFullObject {
		a.Errorf("no checksum by default: %v, %v", put.ChecksumCRC32, out.ChecksumType)
	}
	head, err := a.s3.HeadObject(a.ctx, &s3.HeadObjectInput{Bucket: a.bucket, Key: aws.String("docs/a file+with odd~chars?.txt")})
	a.ok(err)
	a.same("length", *head.ContentLength, len(b))
	a.same("type", *head.ContentType, "text/plain; charset=utf-8")
	a.same("cache control", *head.CacheControl, "max-age=60")
	a.same("disposition", *head.ContentDisposition, "inline")
	a.same("language", *head.ContentLanguage, "en")
	a.same("encoding", *head.ContentEncoding, "identity")
	a.same("expires", *head.ExpiresString, "Mon, 02 Jan 2040 03:04:05 GMT")
	a.same("metadata", head.Metadata, map[string]string{"color": "blue", "empty": ""})
	a.same("modified", head.LastModified.Equal(*out.LastModified), true)
	for _, size := range []int{0, 1, 32 << 10, 32<<10 + 1, 1 << 20, 3<<20 + 7} {
		key := fmt.Sprintf("sizes/%d", size)
		a.put(key, content(uint64(size), size))
		got, _ := a.get(key)
		a.sameBytes(key, got, content(uint64(size), size))
	}
	_, err = a.s3.GetObject(a.ctx, &s3.GetObjectInput{Bucket: a.bucket, Key: aws.String("missing")})
	a.want("NoSuchKey", err)
	_, err = a.s3.HeadObject(a.ctx, &s3.HeadObjectInput{Bucket: a.bucket, Key: aws.String("missing")})
	a.want("NotFound", err)
	_, err = a.s3.GetObject(a.ctx, &s3.GetObjectInput{Bucket: aws.String("no-such-bucket"), Key: aws.String("k")})
	a.want("NoSuchBucket", err)
	_, err = a.s3.PutObject(a.ctx, &s3.PutObjectInput{Bucket: a.bucket, Key: aws.String("toomuch"), Body: bytes.NewReader(nil),
		Metadata: map[string]string{"m": strings.Repeat("x", 2048)}})
	a.want("MetadataTooLarge", err)
}

func (a *awsRun) ranges() {
	b := content(2, 2_500_000)
	a.put("ranges", b)
	for _, r := range []struct {
		header   string
		from, to int
	}{
		{"bytes=0-0", 0, 1}, {"bytes=10-99", 10, 100}, {"bytes=1048570-1048590", 1048570, 1048591},
		{"bytes=2499999-", 2499999, 2500000}, {"bytes=-5", 2499995, 2500000}, {"bytes=100-9999999", 100, 2500000}, {"bytes=-9999999", 0, 2500000},
	} {
		got, out := a.get("ranges", func(in *s3.GetObjectInput) { in.Range = aws.String(r.header) })
		a.sameBytes(r.header, got, b[r.from:r.to])
		a.same("content range", *out.ContentRange, fmt.Sprintf("bytes %d-%d/%d", r.from, r.to-1, len(b)))
	}
	_, err := a.s3.GetObject(a.ctx, &s3.GetObjectInput{Bucket: a.bucket, Key: aws.String("ranges"), Range: aws.String("bytes=2500000-")})
	a.want("InvalidRange", err)
}

func (a *awsRun) copies() {
	b := content(3, 300_000)
	a.put("copy/source ü", b, func(in *s3.PutObjectInput) {
		in.ContentType, in.Metadata = aws.String("image/png"), map[string]string{"kept": "yes"}
	})
	source := aws.String(*a.bucket + "/copy/source%20%C3%BC")
	out, err := a.s3.CopyObject(a.ctx, &s3.CopyObjectInput{Bucket: a.bucket, Key: aws.String("copy/plain"), CopySource: source})
	a.ok(err)
	got, read := a.get("copy/plain")
	a.sameBytes("copy", got, b)
	a.same("etag", *read.ETag, *out.CopyObjectResult.ETag)
	a.same("metadata", read.Metadata, map[string]string{"kept": "yes"})
	a.same("type", *read.ContentType, "image/png")
	_, err = a.s3.CopyObject(a.ctx, &s3.CopyObjectInput{Bucket: a.bucket, Key: aws.String("copy/replaced"), CopySource: source,
		MetadataDirective: types.MetadataDirectiveReplace, Metadata: map[string]string{"new": "1"}, ChecksumAlgorithm: types.ChecksumAlgorithmSha256})
	a.ok(err)
	_, read = a.get("copy/replaced", func(in *s3.GetObjectInput) { in.ChecksumMode = types.ChecksumModeEnabled })
	a.same("metadata", read.Metadata, map[string]string{"new": "1"})
	if read.ChecksumSHA256 == nil {
		a.Error("the copy has no SHA-256")
	}
	_, err = a.s3.CopyObject(a.ctx, &s3.CopyObjectInput{Bucket: a.bucket, Key: aws.String("copy/source ü"), CopySource: source})
	a.want("InvalidRequest", err) // onto itself, nothing changed
	_, err = a.s3.CopyObject(a.ctx, &s3.CopyObjectInput{Bucket: a.bucket, Key: aws.String("copy/x"), CopySource: source, CopySourceIfMatch: aws.String(`"0"`)})
	a.want("PreconditionFailed", err)
	_, err = a.s3.CopyObject(a.ctx, &s3.CopyObjectInput{Bucket: a.bucket, Key: aws.String("copy/x"), CopySource: aws.String(*a.bucket + "/missing")})
	a.want("NoSuchKey", err)
	_, err = a.s3.DeleteObject(a.ctx, &s3.DeleteObjectInput{Bucket: a.bucket, Key: aws.String("copy/source ü")})
	a.ok(err)
	got, _ = a.get("copy/plain")
	a.sameBytes("a copy without its source", got, b)
}

func (a *awsRun) conditions() {
	put := a.put("conditions", []byte("first"), func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") })
	key := aws.String("conditions")
	body := func() io.Reader { return strings.NewReader("second") }
	_, err := a.s3.PutObject(a.ctx, &s3.PutObjectInput{Bucket: a.bucket, Key: key, Body: body(), IfNoneMatch: aws.String("*")})
	a.want("PreconditionFailed", err)
	_, err = a.s3.PutObject(a.ctx, &s3.PutObjectInput{Bucket: a.bucket, Key: key, Body: body(), IfMatch: aws.String(`"00000000000000000000000000000000"`)})
	a.want("PreconditionFailed", err)
	_, err = a.s3.PutObject(a.ctx, &s3.PutObjectInput{Bucket: a.bucket, Key: aws.String("absent"), Body: body(), IfMatch: put.ETag})
	a.want("NoSuchKey", err)
	read := func(f func(*s3.GetObjectInput)) error {
		in := &s3.GetObjectInput{Bucket: a.bucket, Key: key}
		f(in)
		out, err := a.s3.GetObject(a.ctx, in)
		if err == nil {
			out.Body.Close()
		}
		return err
	}
	past, future := aws.Time(time.Now().Add(-time.Hour)), aws.Time(time.Now().Add(time.Hour))
	a.ok(read(func(in *s3.GetObjectInput) { in.IfMatch = put.ETag }))
	a.want("PreconditionFailed", read(func(in *s3.GetObjectInput) { in.IfMatch = aws.String(`"0"`) }))
	a.want("NotModified", read(func(in *s3.GetObjectInput) { in.IfNoneMatch = put.ETag }))
	a.ok(read(func(in *s3.GetObjectInput) { in.IfNoneMatch = aws.String(`"0"`) }))
	a.ok(read(func(in *s3.GetObjectInput) { in.IfModifiedSince = past }))
	a.want("NotModified", read(func(in *s3.GetObjectInput) { in.IfModifiedSince = future }))
	a.ok(read(func(in *s3.GetObjectInput) { in.IfUnmodifiedSince = future }))
	a.want("PreconditionFailed", read(func(in *s3.GetObjectInput) { in.IfUnmodifiedSince = past }))
	_, err = a.s3.DeleteObject(a.ctx, &s3.DeleteObjectInput{Bucket: a.bucket, Key: key, IfMatch: aws.String(`"0"`)})
	a.want("PreconditionFailed", err)
	a.put("conditions", []byte("second"), func(in *s3.PutObjectInput) { in.IfMatch = put.ETag })
	got, _ := a.get("conditions")
	a.sameBytes("after If-Match", got, []byte("second"))
}

func (a *awsRun) checksums() {
	b := content(4, 200_000)
	for _, algorithm := range []types.ChecksumAlgorithm{types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c,
		types.ChecksumAlgorithmCrc64nvme, types.ChecksumAlgorithmSha1, types.ChecksumAlgorithmSha256} {
		key := "checksums/" + string(algorithm)
		put := a.put(key, b, func(in *s3.PutObjectInput) { in.ChecksumAlgorithm = algorithm })
		got, out := a.get(key, func(in *s3.GetObjectInput) { in.ChecksumMode = types.ChecksumModeEnabled })
		a.sameBytes(key, got, b)
		sent := fmt.Sprint(put.ChecksumCRC32, put.ChecksumCRC32C, put.ChecksumCRC64NVME, put.ChecksumSHA1, put.ChecksumSHA256)
		if sent == strings.TrimSuffix(strings.Repeat("<nil> ", 5), " ") {
			a.Errorf("%s: the answer has no checksum", key)
		}
		a.same(key+" crc32", aws.ToString(out.ChecksumCRC32), aws.ToString(put.ChecksumCRC32))
		a.same(key+" crc32c", aws.ToString(out.ChecksumCRC32C), aws.ToString(put.ChecksumCRC32C))
		a.same(key+" crc64nvme", aws.ToString(out.ChecksumCRC64NVME), aws.ToString(put.ChecksumCRC64NVME))
		a.same(key+" sha1", aws.ToString(out.ChecksumSHA1), aws.ToString(put.ChecksumSHA1))
		a.same(key+" sha256", aws.ToString(out.ChecksumSHA256), aws.ToString(put.ChecksumSHA256))
	}
	_, err := a.s3.PutObject(a.ctx, &s3.PutObjectInput{Bucket: a.bucket, Key: aws.String("wrong"), Body: bytes.NewReader(b), ChecksumSHA256: aws.String("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")})
	a.want("BadDigest", err)
	_, err = a.s3.GetObject(a.ctx, &s3.GetObjectInput{Bucket: a.bucket, Key: aws.String("wrong")})
	a.want("NoSuchKey", err)
}

func (a *awsRun) transfer() {
	m := transfermanager.New(a.s3, func(o *transfermanager.Options) { o.PartSizeBytes, o.MultipartUploadThreshold = 5<<20, 8<<20 })
	for _, size := range []int{1000, 23<<20 + 17} {
		b, key := content(uint64(size), size), aws.String(fmt.Sprintf("transfer/%d", size))
		_, err := m.UploadObject(a.ctx, &transfermanager.UploadObjectInput{Bucket: a.bucket, Key: key, Body: bytes.NewReader(b)})
		a.ok(err)
		whole, _ := a.get(*key)
		a.sameBytes("uploaded", whole, b)
		out, err := m.GetObject(a.ctx, &transfermanager.GetObjectInput{Bucket: a.bucket, Key: key})
		a.ok(err)
		got, err := io.ReadAll(out.Body)
		a.ok(err)
		a.sameBytes("fetched in parts", got, b)
		file, err := os.Create(filepath.Join(a.TempDir(), "download"))
		a.ok(err)
		_, err = m.DownloadObject(a.ctx, &transfermanager.DownloadObjectInput{Bucket: a.bucket, Key: key, WriterAt: file})
		a.ok(err)
		a.ok(file.Close())
		got, err = os.ReadFile(file.Name())
		a.ok(err)
		a.sameBytes("downloaded", got, b)
	}
}

func (a *awsRun) presigned() {
	b := content(5, 50_000)
	sign := s3.NewPresignClient(a.s3)
	send := func(method, url string, headers http.Header, body []byte) (int, []byte) {
		r, err := http.NewRequestWithContext(a.ctx, method, url, bytes.NewReader(body))
		a.ok(err)
		for k, v := range headers {
			if k != "Host" && k != "Content-Length" {
				r.Header[k] = v
			}
		}
		resp, err := (&http.Client{Transport: a.p.transport}).Do(r)
		a.ok(err)
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		a.ok(err)
		return resp.StatusCode, got
	}
	put, err := sign.PresignPutObject(a.ctx, &s3.PutObjectInput{Bucket: a.bucket, Key: aws.String("presigned"), ContentType: aws.String("text/css")})
	a.ok(err)
	if status, got := send("PUT", put.URL, put.SignedHeader, b); status != 200 {
		a.Fatalf("presigned PUT: %d %s", status, got)
	}
	get, err := sign.PresignGetObject(a.ctx, &s3.GetObjectInput{Bucket: a.bucket, Key: aws.String("presigned"), ResponseContentType: aws.String("text/x-other")})
	a.ok(err)
	status, got := send("GET", get.URL, get.SignedHeader, nil)
	a.same("presigned GET", status, 200)
	a.sameBytes("presigned GET", got, b)
	if status, got := send("PUT", get.URL, get.SignedHeader, b); status != 403 || !bytes.Contains(got, []byte("<Code>SignatureDoesNotMatch</Code>")) {
		a.Errorf("PUT with the URL of a GET: %d %s", status, got)
	}
}

func (a *awsRun) deleteBucket() {
	name := aws.String("short-lived")
	_, err := a.s3.CreateBucket(a.ctx, &s3.CreateBucketInput{Bucket: name})
	a.ok(err)
	_, err = a.s3.PutObject(a.ctx, &s3.PutObjectInput{Bucket: name, Key: aws.String("k"), Body: strings.NewReader("x")})
	a.ok(err)
	_, err = a.s3.DeleteBucket(a.ctx, &s3.DeleteBucketInput{Bucket: name})
	a.want("BucketNotEmpty", err)
	_, err = a.s3.DeleteObject(a.ctx, &s3.DeleteObjectInput{Bucket: name, Key: aws.String("k")})
	a.ok(err)
	_, err = a.s3.DeleteBucket(a.ctx, &s3.DeleteBucketInput{Bucket: name})
	a.ok(err)
	_, err = a.s3.DeleteBucket(a.ctx, &s3.DeleteBucketInput{Bucket: name})
	a.want("NoSuchBucket", err)
}
