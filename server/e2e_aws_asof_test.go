package server_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// TestAWSPast reads a bucket as of a moment by Amazon's SDK as it comes: by a name of the
// bucket in path and host, presigned, page by page; and by the header.
func TestAWSPast(t *testing.T) {
	r := newPastRun(t, 6)
	r.do(200, "PUT", "/plain", nil)
	for _, key := range []string{"a", "b", "c/1", "c/2"} {
		r.do(200, "PUT", "/plain/"+key, []byte("first "+key))
	}
	at, second := r.do(200, "PUT", "/plain/d", []byte("first d")), r.clock.now()
	r.pass(2 * time.Second)
	r.do(204, "DELETE", "/plain/a", nil)
	r.do(200, "PUT", "/plain/b", []byte("second b"))
	sequence := strconv.FormatUint(at, 10)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(r.p.endpoint, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	for _, virtual := range []bool{false, true} {
		o := s3.Options{Region: region, BaseEndpoint: &r.p.endpoint, UsePathStyle: !virtual, Credentials: awsCredentials(r.p.cred), RetryMaxAttempts: 1}
		o.HTTPClient = &http.Client{Transport: r.p.transport}
		if virtual {
			o.BaseEndpoint = aws.String("http://s3.example:" + port)
			o.HTTPClient = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port)
			}}}
		}
		a := &awsRun{T: t, ctx: t.Context(), s3: s3.New(o)}
		for _, name := range []string{"plain--at-s" + sequence, "plain" + second.UTC().Format("--at-20060102t150405z")} {
			a.bucket = &name
			a.readsPast(o.HTTPClient)
		}
		a.bucket = aws.String("plain")
		header := s3.WithAPIOptions(smithyhttp.AddHeaderValue("x-ironman-as-of", sequence))
		out, err := a.s3.GetObject(a.ctx, &s3.GetObjectInput{Bucket: a.bucket, Key: aws.String("a")}, header)
		a.ok(err)
		a.holds(out.Body, "first a")
		url, err := s3.NewPresignClient(a.s3).PresignGetObject(a.ctx, &s3.GetObjectInput{Bucket: a.bucket, Key: aws.String("b")}, func(p *s3.PresignOptions) {
			p.ClientOptions = append(p.ClientOptions, header)
		})
		a.ok(err)
		a.fetches(o.HTTPClient, url.URL, url.SignedHeader, 200, "first b")
		url.SignedHeader.Del("X-Ironman-As-Of")
		a.fetches(o.HTTPClient, url.URL, url.SignedHeader, 403, "")
	}
}

// readsPast reads all of a bucket as of a moment, and tries to change it.
func (a *awsRun) readsPast(h s3.HTTPClient) {
	a.Helper()
	_, err := a.s3.HeadBucket(a.ctx, &s3.HeadBucketInput{Bucket: a.bucket})
	a.ok(err)
	var keys []string
	pages := s3.NewListObjectsV2Paginator(a.s3, &s3.ListObjectsV2Input{Bucket: a.bucket, MaxKeys: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(a.ctx)
		a.ok(err)
		a.same("the listed bucket", *page.Name, *a.bucket)
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
			out, err := a.s3.GetObject(a.ctx, &s3.GetObjectInput{Bucket: a.bucket, Key: o.Key})
			a.ok(err)
			a.holds(out.Body, "first "+*o.Key)
			url, err := s3.NewPresignClient(a.s3).PresignGetObject(a.ctx, &s3.GetObjectInput{Bucket: a.bucket, Key: o.Key})
			a.ok(err)
			a.fetches(h, url.URL, nil, 200, "first "+*o.Key)
		}
	}
	a.same("keys", strings.Join(keys, " "), "a b c/1 c/2 d")
	key := aws.String("a")
	_, err = a.s3.PutObject(a.ctx, &s3.PutObjectInput{Bucket: a.bucket, Key: key, Body: strings.NewReader("changed")})
	a.want("MethodNotAllowed", err)
	_, err = a.s3.DeleteObject(a.ctx, &s3.DeleteObjectInput{Bucket: a.bucket, Key: key})
	a.want("MethodNotAllowed", err)
	_, err = a.s3.CreateBucket(a.ctx, &s3.CreateBucketInput{Bucket: a.bucket})
	a.want("MethodNotAllowed", err)
	_, err = a.s3.DeleteBucket(a.ctx, &s3.DeleteBucketInput{Bucket: a.bucket})
	a.want("MethodNotAllowed", err)
	_, err = a.s3.ListMultipartUploads(a.ctx, &s3.ListMultipartUploadsInput{Bucket: a.bucket})
	a.want("InvalidArgument", err)
}

func (a *awsRun) holds(body io.ReadCloser, want string) {
	a.Helper()
	b, err := io.ReadAll(body)
	a.ok(err)
	a.ok(body.Close())
	a.same("body", string(b), want)
}

// fetches follows a presigned URL. body counts where it is a success.
func (a *awsRun) fetches(h s3.HTTPClient, url string, headers http.Header, status int, body string) {
	a.Helper()
	q, err := http.NewRequestWithContext(a.ctx, "GET", url, nil)
	a.ok(err)
	for name, values := range headers {
		if name != "Host" {
			q.Header[name] = values
		}
	}
	out, err := h.Do(q)
	a.ok(err)
	a.same("status", out.StatusCode, status)
	if status == 200 {
		a.holds(out.Body, body)
		return
	}
	a.ok(out.Body.Close())
}

// TestPastOfWebsite: a site is served as it is. A name as of a moment is no site, and the
// header is refused.
func TestPastOfWebsite(t *testing.T) {
	_, _, visit := openSites(t)
	if a := visit("GET", "site.web.example", "/", header(asOf, "1")); a.status != 400 || !strings.Contains(string(a.body), "x-ironman-as-of") {
		t.Error(a)
	}
	if a := visit("GET", "site--at-s1.web.example", "/"); a.status != 404 {
		t.Error(a)
	}
}
