package server_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/s3api/sig"
	"ironman/server"
)

// logLine takes a line of an access log apart: requester, operation, key, request line,
// status, code, bytes sent, object's size, times, referer, user agent, version, signature,
// where it stood, host, whether a list was needed.
var logLine = regexp.MustCompile(`^[0-9a-f]{64} (\S+) \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] 127\.0\.0\.1 (\S+) ([0-9a-f]{32}) (\S+) (\S+) (-|"[^"]*") (\S+) (\S+) (\S+) (\S+) (-|\d+) (-|\d+) (-|"[^"]*") (-|"[^"]*") (\S+) node-1 (\S+) - (\S+) (127\.0\.0\.1:\d+) - - (-|Yes)$`)

// logged is a line without what differs from run to run. Documents are of any length.
func logged(t testing.TB, line string) string {
	t.Helper()
	f := logLine.FindStringSubmatch(line)
	if f == nil {
		t.Errorf("no line of an access log: %q", line)
		return line
	}
	if len(f[2]) == 64 {
		f[2] = "OWNER"
	}
	if len(f[9]) > 2 {
		f[9] = "N"
	}
	if f[6] != "-" && f[14] != `"Go-http-client/1.1"` || f[6] == "-" && (f[14] != "-" || f[11] != "-" || f[12] != "-") {
		t.Errorf("a user agent or time: %s", line)
	}
	return strings.Join([]string{f[1], f[2], f[4], f[5], f[6], f[7], f[8], f[9], f[10], f[13], f[15], f[16], f[17], f[19]}, " ")
}

// logs reads all lines of the objects in a bucket that begin with a prefix.
func (c *client) logs(t testing.TB, bucket, prefix string) (keys, lines []string) {
	t.Helper()
	for _, o := range c.list(t, bucket, 1000) {
		if !strings.HasPrefix(o.Key, prefix) {
			continue
		}
		keys = append(keys, o.Key)
		a := c.must(t, 200, "GET", "/"+bucket+"/"+o.Key, nil)
		if !strings.HasSuffix(string(a.body), "\n") {
			t.Errorf("%s has no whole lines: %q", o.Key, a.body)
		}
		lines = append(lines, strings.Split(strings.TrimSuffix(string(a.body), "\n"), "\n")...)
	}
	return keys, lines
}

// awaitLogs waits until there are so many lines.
func (c *client) awaitLogs(t testing.TB, bucket, prefix string, n int) (keys, lines []string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if keys, lines = c.logs(t, bucket, prefix); len(lines) >= n {
			return keys, lines
		} else if time.Now().After(end) {
			t.Fatalf("%d of %d lines came: %q", len(lines), n, lines)
		}
	}
}

func loggingTo(target, prefix, more string) []byte {
	return fmt.Appendf(nil, `<BucketLoggingStatus><LoggingEnabled><TargetBucket>%s</TargetBucket><TargetPrefix>%s</TargetPrefix>%s</LoggingEnabled></BucketLoggingStatus>`, target, prefix, more)
}

const logsAreRead = `<TargetGrants><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group"><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant></TargetGrants>`

// TestAccessLog: the log of a bucket has a line for each request to it, whoever made it and
// however it ended, and no others; it goes where the bucket's configuration says, while
// that lets it in.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/accesslog", func(o *server.Options) { o.AccessLogEvery = 100 * time.Millisecond })
	c := p.client()
	for _, bucket := range []string{"/logged", "/logs", "/other"} {
		c.must(t, 200, "PUT", bucket, nil)
	}
	c.must(t, 200, "PUT", "/logged/unheard", nil)
	from := func(source, account string) []byte {
		return rules(rule("Allow", `{"Service":"logging.s3.amazonaws.com"}`, "s3:PutObject", "logs/*",
			`{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::`+source+`"},"StringEquals":{"aws:SourceAccount":"`+account+`"},"Bool":{"aws:SecureTransport":"true"}}`))
	}
	account := p.account(t)
	refuse := func() {
		t.Helper()
		c.refused(t, 400, "InvalidTargetBucketForLogging", "PUT", "/logged?logging", loggingTo("logs", "log/", ""))
	}
	refuse()
	c.must(t, 204, "PUT", "/logs?policy", from("other", account))
	refuse()
	c.must(t, 204, "PUT", "/logs?policy", from("logged", "999999999999"))
	refuse()
	c.must(t, 204, "PUT", "/logs?policy", from("logged", account))
	c.must(t, 200, "PUT", "/logged?logging", loggingTo("logs", "log/", logsAreRead))

	want, id := requestsToLog(t, p, c)
	slices.Sort(want)
	keys, lines := c.awaitLogs(t, "logs", "log/", len(want))
	var got []string
	for _, line := range lines {
		got = append(got, logged(t, line))
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("the log has\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !strings.Contains(strings.Join(lines, "\n"), " "+id+" REST.PUT.OBJECT ") {
		t.Errorf("there is no request %s", id)
	}
	for _, key := range keys {
		if !regexp.MustCompile(`^log/\d{4}(-\d\d){5}-[0-9A-F]{16}$`).MatchString(key) {
			t.Errorf("a log is named %s", key)
		}
		if a := c.nobody().must(t, 200, "GET", "/logs/"+key, nil); a.header.Get("Content-Type") != "text/plain" { // by the target grant
			t.Error(a.header)
		}
	}

	c.must(t, 200, "PUT", "/logged?logging", loggingTo("logs", "by/", "<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>EventTime</PartitionDateSource></PartitionedPrefix></TargetObjectKeyFormat>"))
	c.must(t, 200, "HEAD", "/logged", nil)
	keys, _ = c.awaitLogs(t, "logs", "by/", 1)
	if !regexp.MustCompile(`^by/` + account + `/us-east-1/logged/\d{4}/\d\d/\d\d/\d{4}-\d\d-\d\d-00-00-00-[0-9A-F]{16}$`).MatchString(keys[0]) {
		t.Errorf("a log is named %s", keys[0])
	}
	losesItsTarget(t, p, c)
}

// losesItsTarget: the target does not let logs in any more, then it is gone. Nobody who
// uses the bucket notices.
func losesItsTarget(t *testing.T, p *inProcess, c *client) {
	const none = "ironman_access_log_held_bytes 0\n"
	refused := func(n int) {
		t.Helper()
		want := fmt.Sprintf("ironman_access_log_lines_total{result=\"refused\"} %d\n", n)
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			if m := string(p.adminGet(t, "/-/metrics")); strings.Contains(m, want) && strings.Contains(m, none) {
				return
			} else if time.Now().After(end) {
				t.Fatalf("no %d lines were refused", n)
			}
		}
	}
	c.must(t, 204, "DELETE", "/logs?policy", nil)
	c.must(t, 200, "HEAD", "/logged", nil)
	c.must(t, 200, "HEAD", "/logged", nil)
	refused(2)
	for _, o := range c.list(t, "logs", 1000) {
		c.must(t, 204, "DELETE", "/logs/"+o.Key, nil)
	}
	c.must(t, 204, "DELETE", "/logs", nil)
	c.must(t, 200, "HEAD", "/logged", nil)
	refused(3)
	c.must(t, 200, "PUT", "/logged?logging", []byte("<BucketLoggingStatus/>"))
	refused(4) // the log has what ends it
	c.must(t, 200, "HEAD", "/logged", nil)
	if !strings.Contains(string(p.adminGet(t, "/-/metrics")), none) {
		t.Error("lines are gathered of a bucket without a log")
	}
}

// account is the number of root's account.
func (p *inProcess) account(t testing.TB) string {
	t.Helper()
	v, err := p.node.ViewForTest()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	b, err := v.BucketByName("logged")
	if err != nil || b == nil {
		t.Fatal(b, err)
	}
	a, err := v.Account(b.Owner)
	if err != nil {
		t.Fatal(err)
	}
	return a.Account
}

// requestsToLog makes requests, and says what is to be in the log of them. It returns the
// id of the first.
func requestsToLog(t *testing.T, p *inProcess, c *client) (want []string, id string) {
	line := func(s string) { want = append(want, "logged "+s) }
	id = c.must(t, 200, "PUT", "/logged/a%20b", []byte("12345")).header.Get("X-Amz-Request-Id")
	line(`OWNER REST.PUT.OBJECT a%20b "PUT /logged/a%20b HTTP/1.1" 200 - - 5 "-" - SigV4 AuthHeader -`)
	c.must(t, 206, "GET", "/logged/a%20b?versionId=null&x-who=me", nil, header("Range", "bytes=1-2"), header("Referer", "http://h/?Signature=s"))
	line(`OWNER REST.GET.OBJECT a%20b "GET /logged/a%20b?versionId=null&x-who=me HTTP/1.1" 206 - 2 5 "http://h/?Signature=REDACTED" null SigV4 AuthHeader -`)
	c.nobody().refused(t, 403, "AccessDenied", "GET", "/logged/a%20b", nil)
	line(`- REST.GET.OBJECT a%20b "GET /logged/a%20b HTTP/1.1" 403 AccessDenied N 5 "-" - - - -`)
	c.must(t, 200, "PUT", "/logged/public", []byte("1"), header("X-Amz-Acl", "public-read"))
	line(`OWNER REST.PUT.OBJECT public "PUT /logged/public HTTP/1.1" 200 - - 1 "-" - SigV4 AuthHeader -`)
	c.nobody().must(t, 200, "GET", "/logged/public", nil)
	line(`- REST.GET.OBJECT public "GET /logged/public HTTP/1.1" 200 - 1 1 "-" - - - Yes`)
	wrong := *c
	wrong.cred.Secret = sig.NewSecret("wrong")
	wrong.refused(t, 403, "SignatureDoesNotMatch", "GET", "/logged/public", nil)
	line(`- REST.GET.OBJECT public "GET /logged/public HTTP/1.1" 403 SignatureDoesNotMatch N - "-" - - - -`)

	r := c.request(t.Context(), "GET", "/logged/public", nil)
	if err := sig.PresignV2(r, c.cred, "", time.Unix(4e9, 0)); err != nil {
		t.Fatal(err)
	}
	if a, err := c.send(r); err != nil || a.status != 200 {
		t.Fatal(a, err)
	}
	line(`OWNER REST.GET.OBJECT public "GET /logged/public?AWSAccessKeyId=` + c.cred.AccessKey + `&Expires=4000000000&Signature=REDACTED HTTP/1.1" 200 - 1 1 "-" - SigV2 QueryString -`)

	c.must(t, 200, "PUT", "/logged/copy", nil, header("X-Amz-Copy-Source", "/logged/a%20b"))
	line(`OWNER REST.COPY.OBJECT copy "PUT /logged/copy HTTP/1.1" 200 - N 5 "-" - SigV4 AuthHeader -`)
	line(`OWNER REST.COPY.OBJECT_GET a%20b - 200 - - 5 - - SigV4 AuthHeader -`)
	c.must(t, 200, "PUT", "/other/copy", nil, header("X-Amz-Copy-Source", "/logged/public"))
	line(`OWNER REST.COPY.OBJECT_GET public - 200 - - 1 - - SigV4 AuthHeader -`)
	c.must(t, 200, "POST", "/logged?delete", []byte(`<Delete><Quiet>true</Quiet><Object><Key>copy</Key></Object><Object><Key>none</Key><VersionId>x</VersionId></Object></Delete>`))
	line(`OWNER REST.POST.MULTI_OBJECT_DELETE - "POST /logged?delete HTTP/1.1" 200 - N - "-" - SigV4 AuthHeader -`)
	line(`OWNER BATCH.DELETE.OBJECT copy - 204 - - - - - SigV4 AuthHeader -`)
	line(`OWNER BATCH.DELETE.OBJECT none - 404 NoSuchVersion - - - x SigV4 AuthHeader -`)
	c.must(t, 200, "POST", "/logged?transaction", []byte(`{"operations":[{"copy":{"key":"both","source":{"bucket":"logged","key":"public"}}},{"delete":{"key":"none"}}]}`))
	line(`OWNER REST.POST.TRANSACTION - "POST /logged?transaction HTTP/1.1" 200 - N - "-" - SigV4 AuthHeader -`)
	line(`OWNER BATCH.COPY.OBJECT both - 200 - - - - - SigV4 AuthHeader -`)
	line(`OWNER BATCH.DELETE.OBJECT none - 204 - - - - - SigV4 AuthHeader -`)
	c.must(t, 404, "HEAD", "/logged/none", nil)
	line(`OWNER REST.HEAD.OBJECT none "HEAD /logged/none HTTP/1.1" 404 NoSuchKey - - "-" - SigV4 AuthHeader -`)
	c.refused(t, 501, "NotImplemented", "GET", "/logged?inventory", nil)
	line(`- REST.GET.BUCKET - "GET /logged?inventory HTTP/1.1" 501 NotImplemented N - "-" - - - -`)
	c.must(t, 200, "GET", "/logged?logging", nil)
	line(`OWNER REST.GET.LOGGING_STATUS - "GET /logged?logging HTTP/1.1" 200 - N - "-" - SigV4 AuthHeader -`)
	c.must(t, 200, "GET", "/", nil) // is no bucket's
	c.refused(t, 404, "NoSuchBucket", "GET", "/nowhere/a", nil)
	c.must(t, 200, "HEAD", "/logs", nil)
	return want, id
}

// TestAccessLogStop: what a node has gathered when it is stopped is delivered, encrypted
// as the target wants it; a bucket may be its own target.
func TestAccessLogStop(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	p := openInProcess(t, mem, "/accesslog")
	c := p.client()
	c.must(t, 200, "PUT", "/logged", nil, header("X-Amz-Acl", "log-delivery-write"))
	c.must(t, 200, "PUT", "/logged?encryption", []byte(`<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>`))
	c.must(t, 200, "PUT", "/logged?logging", loggingTo("logged", "log/", ""))
	c.must(t, 404, "GET", "/logged/a", nil)
	c.must(t, 404, "GET", "/logged/b", nil)
	p.close(t)
	c = openInProcess(t, mem, "/accesslog").client()
	keys, lines := c.logs(t, "logged", "log/")
	if len(keys) != 1 || len(lines) != 2 || !strings.Contains(lines[0], " /logged/a ") && !strings.Contains(lines[0], "GET /logged/a ") || !strings.Contains(lines[1], "GET /logged/b ") {
		t.Fatalf("%q has %q", keys, lines)
	}
	a := c.must(t, http.StatusOK, "HEAD", "/logged/"+keys[0], nil)
	if got := a.header.Get("X-Amz-Server-Side-Encryption"); got != "AES256" {
		t.Errorf("the log is encrypted with %q", got)
	}
}
