package accesslog

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"
)

const owner = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"

func received() time.Time {
	return time.Date(2026, 2, 6, 1, 0, 38, 999_000_000, time.FixedZone("east", 3600))
}

// full is an entry that has everything.
func full() *Entry {
	return &Entry{
		BucketOwner: owner, Bucket: "logged", Time: received(), RemoteIP: "192.0.2.3", Requester: owner, RequestID: "3e57427f33a59f07",
		Operation: "REST.GET.OBJECT", Key: "photos/2026/puppy one.jpg", Method: "GET", Target: "/logged/photos/2026/puppy%20one.jpg?versionId=3HL4&x-foo=bar",
		Protocol: "HTTP/1.1", Status: 206, BytesSent: 2662992, ObjectSize: 3462992, TotalTime: 70 * time.Millisecond, TurnAround: 10*time.Millisecond + 999_999,
		Referer: "http://www.example.com/a b", UserAgent: "curl/7.15.1 (a \"b\" \\)", VersionID: "3HL4", HostID: "node-1", SignatureVersion: "SigV4",
		CipherSuite: "ECDHE-RSA-AES128-GCM-SHA256", AuthType: "AuthHeader", Host: "logged.s3.example.com:9000", TLS: "TLSv1.2", ACLRequired: true,
	}
}

// TestAppend compares lines with those that Amazon's page would have for them.
func TestAppend(t *testing.T) {
	plain := func(change func(*Entry)) *Entry {
		e := &Entry{BucketOwner: owner, Bucket: "logged", Time: received(), RemoteIP: "::1", RequestID: "1", Operation: "REST.GET.BUCKET", Method: "GET",
			Target: "/logged", Protocol: "HTTP/1.1", Status: 403, ErrorCode: "AccessDenied", BytesSent: 243, ObjectSize: -1, TurnAround: -1, HostID: "h", Host: "h:1"}
		change(e)
		return e
	}
	const begin = owner + " logged [06/Feb/2026:00:00:38 +0000] "
	for name, c := range map[string]struct {
		entry *Entry
		want  string
	}{
		"everything": {full(), begin + "192.0.2.3 " + owner + " 3e57427f33a59f07 REST.GET.OBJECT photos/2026/puppy%20one.jpg " +
			`"GET /logged/photos/2026/puppy%20one.jpg?versionId=3HL4&x-foo=bar HTTP/1.1" 206 - 2662992 3462992 70 10 ` +
			`"http://www.example.com/a b" "curl/7.15.1 (a %22b%22 %5C)" 3HL4 node-1 SigV4 ECDHE-RSA-AES128-GCM-SHA256 AuthHeader logged.s3.example.com:9000 TLSv1.2 - Yes`},
		"little": {plain(func(*Entry) {}), begin + `::1 - 1 REST.GET.BUCKET - "GET /logged HTTP/1.1" 403 AccessDenied 243 - 0 - "-" "-" - h - - - h:1 - - -`},
		"empty object, nothing sent, no answer": {plain(func(e *Entry) { e.Status, e.ErrorCode, e.BytesSent, e.ObjectSize, e.TotalTime = 0, "", 0, 0, -1 }),
			begin + `::1 - 1 REST.GET.BUCKET - "GET /logged HTTP/1.1" - - - 0 - - "-" "-" - h - - - h:1 - - -`},
		"a deleted key": {full().Part(BatchDelete, "a\nb", "null", 204, "", -1),
			begin + "192.0.2.3 " + owner + " 3e57427f33a59f07 BATCH.DELETE.OBJECT a%0Ab - 204 - - - - - - - null node-1 SigV4 ECDHE-RSA-AES128-GCM-SHA256 AuthHeader logged.s3.example.com:9000 TLSv1.2 - -"},
		"keys that could be taken for something else": {plain(func(e *Entry) { e.Key = "-" }), begin + `::1 - 1 REST.GET.BUCKET %2D "GET /logged HTTP/1.1" 403 AccessDenied 243 - 0 - "-" "-" - h - - - h:1 - - -`},
		"a user": {plain(func(e *Entry) { e.Requester, e.Key = "arn:aws:iam::111122223333:user/a", `ü+%"/` }),
			begin + `::1 arn:aws:iam::111122223333:user/a 1 REST.GET.BUCKET %C3%BC%2B%25%22/ "GET /logged HTTP/1.1" 403 AccessDenied 243 - 0 - "-" "-" - h - - - h:1 - - -`},
		"what would forge a line": {plain(func(e *Entry) {
			e.Referer, e.UserAgent, e.Host = "x\"\r\ny", "\x7f\xffü\u0085\u2028\t", "a b\"c"
		}), begin + `::1 - 1 REST.GET.BUCKET - "GET /logged HTTP/1.1" 403 AccessDenied 243 - 0 - "x%22%0D%0Ay" "%7F%FFü%C2%85%E2%80%A8%09" - h - - - a%20b%22c - - -`},
	} {
		if got := string(c.entry.Append(nil)); got != c.want+"\n" {
			t.Errorf("%s:\ngot  %swant %s", name, got, c.want)
		}
	}
}

// TestRedact: no secret of a presigned address is in a line, and nothing else is lost.
func TestRedact(t *testing.T) {
	for target, want := range map[string]string{
		"/b/k": "/b/k", "/b/k?": "/b/k?", "/b?list-type=2&prefix=signature": "/b?list-type=2&prefix=signature",
		"/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20260206%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Signature=abc&X-Amz-Security-Token=def&x=1": "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20260206%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Signature=REDACTED&X-Amz-Security-Token=REDACTED&x=1",
		"/b/k?AWSAccessKeyId=AKIA&Expires=1&Signature=a%2Bb%3D":                               "/b/k?AWSAccessKeyId=AKIA&Expires=1&Signature=REDACTED",
		"/b/k?x-amz-%73ignature=abc&X-AMZ-SIGNATURE=b&&=&X-Amz-Signature":                     "/b/k?x-amz-%73ignature=REDACTED&X-AMZ-SIGNATURE=REDACTED&&=&X-Amz-Signature",
		"/b/k?a;X-Amz-Signature=abc;b?Signature=1":                                            "/b/k?a;X-Amz-Signature=REDACTED;b?Signature=1",
		"/b/k?X-Amz-Server-Side-Encryption-Customer-Key=k%3D&%zz=1&%zzSignature=2":            "/b/k?X-Amz-Server-Side-Encryption-Customer-Key=REDACTED&%zz=1&%zzSignature=2",
		"http://h/b/k?X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key=k&Signature=a=b=": "http://h/b/k?X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key=REDACTED&Signature=REDACTED",
	} {
		if got := redact(target); got != want {
			t.Errorf("%s became\n%s, not\n%s", target, got, want)
		}
	}
	e := full()
	e.Target, e.Referer = "/k?X-Amz-Signature=secret", "https://h/?Signature=secret"
	if line := string(e.Append(nil)); strings.Contains(line, "secret") || strings.Count(line, redacted) != 2 {
		t.Error(line)
	}
}

func TestOperation(t *testing.T) {
	for _, c := range []struct {
		name, method string
		onObject     bool
		want         string
	}{
		{"GetObject", "GET", true, "REST.GET.OBJECT"}, {"HeadObject", "HEAD", true, "REST.HEAD.OBJECT"}, {"ListObjectsV2", "GET", false, "REST.GET.BUCKET"},
		{"PutBucketLogging", "PUT", false, "REST.PUT.LOGGING_STATUS"}, {"DeleteObjects", "POST", false, "REST.POST.MULTI_OBJECT_DELETE"},
		{"CopyObject", "PUT", true, "REST.COPY.OBJECT"}, {"UploadPartCopy", "PUT", true, "REST.COPY.PART"}, {"UploadPart", "PUT", true, "REST.PUT.PART"},
		{"CompleteMultipartUpload", "POST", true, "REST.POST.UPLOAD"}, {"WebsiteGet", "HEAD", true, "WEBSITE.HEAD.OBJECT"},
		{"GetBucketTagging", "GET", false, "REST.GET.TAGGING"}, {"GetObjectTagging", "GET", true, "REST.GET.OBJECT_TAGGING"},
		{"PreflightObject", "OPTIONS", true, "REST.OPTIONS.PREFLIGHT"}, {"", "PATCH", true, "REST.PATCH.OBJECT"}, {"", "PUT", false, "REST.PUT.BUCKET"},
	} {
		if got := Operation(c.name, c.method, c.onObject); got != c.want {
			t.Errorf("%s of %q is %s, not %s", c.method, c.name, got, c.want)
		}
	}
}

func TestTLS(t *testing.T) {
	for id, want := range map[uint16]string{
		tls.TLS_AES_128_GCM_SHA256: "TLS_AES_128_GCM_SHA256", tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: "ECDHE-RSA-AES128-GCM-SHA256",
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: "ECDHE-ECDSA-AES256-SHA", tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-RSA-CHACHA20-POLY1305",
		tls.TLS_RSA_WITH_AES_128_CBC_SHA256: "AES128-SHA256", tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA: "DES-CBC3-SHA",
	} {
		if got := CipherSuite(id); got != want {
			t.Errorf("%s is %s, not %s", tls.CipherSuiteName(id), got, want)
		}
	}
	if TLSVersion(tls.VersionTLS13) != "TLSv1.3" || TLSVersion(0) != "" {
		t.Error("versions")
	}
}

func TestKey(t *testing.T) {
	day := time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)
	delivered := time.Date(2027, 1, 1, 1, 2, 3, 0, time.FixedZone("east", 3600))
	unique := [UniqueBytes]byte{0xe5, 0x68, 0xb2, 0x90, 0x71, 0x31, 0xc0, 0x01}
	for _, c := range []struct {
		place Place
		want  string
	}{
		{Place{}, "2027-01-01-00-02-03-E568B2907131C001"},
		{Place{Prefix: "log/a-", ByEvent: true, Account: "1"}, "log/a-2027-01-01-00-02-03-E568B2907131C001"},
		{Place{Prefix: "log/", Partitioned: true, Account: "111122223333", Region: "us-east-1", Bucket: "b"}, "log/111122223333/us-east-1/b/2027/01/01/2027-01-01-00-02-03-E568B2907131C001"},
		{Place{Partitioned: true, ByEvent: true, Account: "111122223333", Region: "us-east-1", Bucket: "b"}, "111122223333/us-east-1/b/2026/12/31/2026-12-31-00-00-00-E568B2907131C001"},
	} {
		if got := c.place.Key(day, delivered, unique); got != c.want {
			t.Errorf("%+v: %s, not %s", c.place, got, c.want)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	e := full()
	var line []byte
	b.ReportAllocs()
	for b.Loop() {
		line = e.Append(line[:0])
	}
	b.SetBytes(int64(len(line)))
}
