package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/s3api/sig"
	"ironman/s3api/transact"
	"ironman/s3api/transaction"
	"ironman/server"
	"ironman/server/audit"
)

// transactor commits transactions to a bucket through one node.
type transactor struct {
	testing.TB
	*client
	bucket string
}

// stage uploads an object and gives the put of it.
func (x *transactor) stage(key string, change []func(*http.Request), parts ...[]byte) transaction.Operation {
	x.Helper()
	target := "/" + x.bucket + "/" + key
	id := x.begin(x, target, change...)
	put := &transaction.Put{Key: key, UploadID: id}
	for n, b := range parts {
		x.must(x, 200, "PUT", fmt.Sprintf("%s?partNumber=%d&uploadId=%s", target, n+1, id), b)
		put.Parts = append(put.Parts, transaction.Part{PartNumber: n + 1, ETag: etag(b)})
	}
	return transaction.Operation{Put: put}
}

func (x *transactor) copy(key, from string) transaction.Operation {
	bucket, source, _ := strings.Cut(from, "/")
	return transaction.Operation{Copy: &transaction.Copy{Key: key, Source: transaction.Source{Bucket: bucket, Key: source}}}
}

func deleteOf(key string) transaction.Operation {
	return transaction.Operation{Delete: &transaction.Delete{Key: key}}
}

func document(ops ...transaction.Operation) []byte {
	b, err := json.Marshal(transaction.Document{Operations: ops})
	if err != nil {
		panic(err)
	}
	return b
}

// commit commits operations, which must succeed.
func (x *transactor) commit(ops ...transaction.Operation) *transaction.Answer {
	x.Helper()
	return x.answer(x.must(x, 200, "POST", "/"+x.bucket+"?transaction", document(ops...)))
}

func (x *transactor) answer(a *answer) *transaction.Answer {
	x.Helper()
	out := &transaction.Answer{}
	if err := json.Unmarshal(a.body, out); err != nil || a.header.Get("Content-Type") != "application/json" {
		x.Fatalf("%v: %v", a, err)
	}
	if a.header.Get("X-Ironman-Sequence") != strconv.FormatUint(out.Sequence, 10) {
		x.Errorf("event %d is told as %q", out.Sequence, a.header.Get("X-Ironman-Sequence"))
	}
	return out
}

// transactionError is what an error says of a transaction.
type transactionError struct {
	Code, Message, OperationKey string
	OperationIndex              *int
}

// refuses commits a document that must be refused because of an operation (below 0: of
// none), and change nothing.
func (x *transactor) refuses(status int, code string, operation int, body []byte, change ...func(*http.Request)) transactionError {
	x.Helper()
	before := x.seen()
	a := x.refused(x, status, code, "POST", "/"+x.bucket+"?transaction", body, change...)
	var e transactionError
	if err := xml.Unmarshal(a.body, &e); err != nil {
		x.Fatal(err)
	}
	if e.OperationIndex == nil && operation >= 0 || e.OperationIndex != nil && *e.OperationIndex != operation {
		x.Errorf("of operation %d: %s", operation, a.body)
	}
	if after := x.seen(); after != before {
		x.Errorf("it was refused with %s, but what was\n%s\nis\n%s", code, before, after)
	}
	return e
}

// seen is all that is in the bucket.
func (x *transactor) seen() string {
	x.Helper()
	return string(x.must(x, 200, "GET", "/"+x.bucket+"?versions", nil).body) + string(x.must(x, 200, "GET", "/"+x.bucket+"?uploads", nil).body)
}

// holds checks the bytes of an object; nil: there is none.
func (x *transactor) holds(key string, want []byte, change ...func(*http.Request)) *answer {
	x.Helper()
	target := "/" + x.bucket + "/" + key
	if want == nil {
		return x.refused(x, 404, "NoSuchKey", "GET", target, nil, change...)
	}
	a := x.must(x, 200, "GET", target, nil, change...)
	if string(a.body) != string(want) {
		x.Errorf("%s holds %q, not %q", key, a.body[:min(len(a.body), 60)], want[:min(len(want), 60)])
	}
	return a
}

func newTransactor(t *testing.T, bucket string, change ...func(*server.Options)) (*inProcess, *transactor) {
	p := openInProcess(t, vfs.NewMem(), "/", change...)
	x := &transactor{t, p.client(), bucket}
	x.must(t, 200, "PUT", "/"+bucket, nil)
	return p, x
}

func (x *transactor) versioning(state string) {
	x.Helper()
	x.must(x, 200, "PUT", "/"+x.bucket+"?versioning", []byte("<VersioningConfiguration><Status>"+state+"</Status></VersioningConfiguration>"))
}

// TestTransaction: puts, copies and deletes of one event, in buckets of every state, with
// what an upload or a copy brings along; and as of each moment all of it shows, or nothing.
func TestTransaction(t *testing.T) {
	t.Parallel()
	_, x := newTransactor(t, "together")
	x.must(t, 200, "PUT", "/together?encryption", []byte("<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"))
	x.must(t, 200, "PUT", "/elsewhere", nil)
	for _, state := range []string{"", "Enabled", "Suspended"} {
		if state != "" {
			x.versioning(state)
		}
		x.must(t, 200, "PUT", "/together/source", content(1, 100))
		x.must(t, 200, "PUT", "/together/gone", content(2, 10))
		large := [][]byte{content(3, 5<<20), content(4, 1000)}
		put := x.stage("put", []func(*http.Request){header("Content-Type", "text/x-put"), header("X-Amz-Tagging", "a=b")}, large...)
		copied := x.copy("copied", "together/source")
		copied.Copy.MetadataDirective, copied.Copy.Metadata, copied.Copy.ContentType = "REPLACE", map[string]string{"Camera": "x100"}, "text/x-copy"
		copied.Copy.TaggingDirective, copied.Copy.Tagging = "REPLACE", "c=d"
		a := x.commit(put, copied, deleteOf("gone"), deleteOf("never"))

		b := x.holds("put", slices.Concat(large...))
		if h := b.header; h.Get("Content-Type") != "text/x-put" || h.Get("X-Amz-Tagging-Count") != "1" || h.Get("X-Amz-Server-Side-Encryption") != "AES256" ||
			h.Get("Etag") != etag(large...) || a.Results[0].ETag != etag(large...) || *a.Results[0].Size != 5<<20+1000 || h.Get("X-Amz-Version-Id") != versionOf(state, a.Results[0]) {
			t.Errorf("%s: put as %v, told %+v", state, h, a.Results[0])
		}
		b = x.holds("copied", content(1, 100))
		if h := b.header; h.Get("Content-Type") != "text/x-copy" || h.Get("X-Amz-Meta-Camera") != "x100" || h.Get("X-Amz-Tagging-Count") != "1" ||
			h.Get("X-Amz-Server-Side-Encryption") != "AES256" || h.Get("Etag") != a.Results[1].ETag || h.Get("X-Amz-Version-Id") != versionOf(state, a.Results[1]) {
			t.Errorf("%s: copied as %v, told %+v", state, h, a.Results[1])
		}
		x.holds("gone", nil)
		if g := a.Results[2]; g.DeleteMarker != (state != "") || (g.VersionID != "") != (state != "") {
			t.Errorf("%s: deleted as %+v", state, g)
		}
		if state == "Suspended" && a.Results[2].VersionID != "null" {
			t.Errorf("the marker is %+v", a.Results[2])
		}
		// Before the event nothing of it is to be seen, and behind it everything.
		before, at := header(asOf, strconv.FormatUint(a.Sequence-1, 10)), header(asOf, strconv.FormatUint(a.Sequence, 10))
		x.holds("gone", content(2, 10), before)
		if state == "" {
			x.holds("put", nil, before)
			x.holds("copied", nil, before)
		}
		x.holds("put", slices.Concat(large...), at)
		x.holds("copied", content(1, 100), at)
		x.holds("gone", nil, at)
	}

	// Two objects change places, and a third moves to another bucket's copy.
	x.must(t, 200, "PUT", "/together/one", []byte("one"))
	x.must(t, 200, "PUT", "/together/two", []byte("two"))
	x.commit(x.copy("one", "together/two"), x.copy("two", "together/one"))
	x.holds("one", []byte("two"))
	x.holds("two", []byte("one"))
	other := &transactor{t, x.client, "elsewhere"}
	other.must(t, 200, "PUT", "/elsewhere?encryption", []byte("<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"))
	other.commit(other.copy("here", "together/one"))
	other.holds("here", []byte("two"))

	// A version is removed for good, and what is behind it shows again.
	x.versioning("Enabled")
	x.must(t, 200, "PUT", "/together/v", []byte("older"))
	version := x.must(t, 200, "PUT", "/together/v", []byte("newer")).header.Get("X-Amz-Version-Id")
	remove := deleteOf("v")
	remove.Delete.VersionID = version
	if a := x.commit(remove, x.copy("w", "together/v")); a.Results[0].VersionID != version || a.Results[0].DeleteMarker {
		t.Errorf("a version was deleted as %+v", a.Results[0])
	}
	x.holds("v", []byte("older"))
	x.holds("w", []byte("newer"))

	// What is not there is deleted without an event.
	fresh := &transactor{t, x.client, "fresh"}
	fresh.must(t, 200, "PUT", "/fresh", nil)
	if a := fresh.must(t, 200, "POST", "/fresh?transaction", document(deleteOf("a"), deleteOf("b"))); a.header.Get("X-Ironman-Sequence") != "" || !strings.Contains(string(a.body), `"results":[{"key":"a"},{"key":"b"}]`) {
		t.Errorf("nothing was deleted as %v", a)
	}
}

// versionOf is the version that an answer about what was made names.
func versionOf(state string, r transaction.Result) string {
	if state == "Suspended" && r.VersionID == "" {
		return "null"
	}
	return r.VersionID
}

// TestTransactionRefused: one operation that is refused refuses all, is named, and nothing
// has changed: neither by what the view shows, nor by what only apply can tell.
func TestTransactionRefused(t *testing.T) {
	t.Parallel()
	_, x := newTransactor(t, "refused")
	x.must(t, 200, "PUT", "/refused/there", []byte("there"))
	x.must(t, 200, "PUT", "/refused/other", []byte("other"))
	put := x.stage("put", nil, []byte("bytes"))
	with := func(o transaction.Operation, change func(*transaction.Operation)) transaction.Operation {
		b, _ := json.Marshal(o)
		var c transaction.Operation
		if err := json.Unmarshal(b, &c); err != nil {
			t.Fatal(err)
		}
		change(&c)
		return c
	}
	size := int64(6)
	for name, c := range map[string]struct {
		status int
		code   string
		last   transaction.Operation
	}{
		"there already":             {412, "PreconditionFailed", with(x.copy("there", "refused/other"), func(o *transaction.Operation) { o.Copy.IfNoneMatch = "*" })},
		"another one":               {412, "PreconditionFailed", with(x.copy("there", "refused/other"), func(o *transaction.Operation) { o.Copy.IfMatch = etag([]byte("x")) })},
		"not there":                 {404, "NoSuchKey", with(x.copy("new", "refused/other"), func(o *transaction.Operation) { o.Copy.IfMatch = "*" })},
		"its source is another":     {412, "PreconditionFailed", with(x.copy("new", "refused/other"), func(o *transaction.Operation) { o.Copy.Source.IfMatch = etag([]byte("x")) })},
		"no source":                 {404, "NoSuchKey", x.copy("new", "refused/none")},
		"no bucket":                 {404, "NoSuchBucket", x.copy("new", "nowhere/none")},
		"onto itself":               {400, "InvalidRequest", x.copy("there", "refused/there")},
		"deletes another":           {412, "PreconditionFailed", with(deleteOf("there"), func(o *transaction.Operation) { o.Delete.IfMatch = etag([]byte("x")) })},
		"deletes another size":      {412, "PreconditionFailed", with(deleteOf("there"), func(o *transaction.Operation) { o.Delete.IfMatchSize = &size })},
		"deletes what is not there": {404, "NoSuchKey", with(deleteOf("none"), func(o *transaction.Operation) { o.Delete.IfMatch = "*" })},
		"no tag it must not have":   {400, "InvalidArgument", with(x.copy("there", "refused/other"), func(o *transaction.Operation) { o.Copy.IfNoneMatch = "," })},
		"no tag it must have":       {412, "PreconditionFailed", with(x.copy("there", "refused/other"), func(o *transaction.Operation) { o.Copy.IfMatch = "," })},
		"a bad version":             {400, "InvalidArgument", with(deleteOf("there"), func(o *transaction.Operation) { o.Delete.VersionID = "x" })},
		"no upload":                 {404, "NoSuchUpload", transaction.Operation{Put: &transaction.Put{Key: "none", UploadID: "00", Parts: put.Put.Parts}}},
		"an upload of another key":  {404, "NoSuchUpload", with(put, func(o *transaction.Operation) { o.Put.Key = "else" })},
		"a tag too much":            {400, "InvalidTag", with(x.copy("new", "refused/other"), func(o *transaction.Operation) { o.Copy.TaggingDirective, o.Copy.Tagging = "REPLACE", "aws:x=y" })},
		"a value that breaks out": {400, "InvalidArgument", with(x.copy("new", "refused/other"), func(o *transaction.Operation) {
			o.Copy.MetadataDirective, o.Copy.Metadata = "REPLACE", map[string]string{"a": "x\r\nSet-Cookie: y"}
		})},
		"a key that is too long": {400, "KeyTooLongError", deleteOf(strings.Repeat("k", 1025))},
	} {
		e := x.refuses(c.status, c.code, 2, document(put, deleteOf("gone"), c.last))
		if e.OperationKey != c.last.Key() {
			t.Errorf("%s: of key %q", name, e.OperationKey)
		}
	}
	for name, c := range map[string]struct {
		status int
		code   string
		change func(*transaction.Put)
	}{
		"a part that is not there": {400, "InvalidPart", func(o *transaction.Put) { o.Parts[0].PartNumber = 2 }},
		"a part that is another":   {400, "InvalidPart", func(o *transaction.Put) { o.Parts[0].ETag = etag([]byte("x")) }},
		"no part":                  {400, "InvalidArgument", func(o *transaction.Put) { o.Parts[0].PartNumber = 0 }},
		"another size":             {400, "InvalidRequest", func(o *transaction.Put) { o.Size = &size }},
		"another checksum":         {400, "BadDigest", func(o *transaction.Put) { o.CRC64NVME = "AAAAAAAAAAA=" }},
		"there already":            {404, "NoSuchKey", func(o *transaction.Put) { o.IfMatch = "*" }},
	} {
		if e := x.refuses(c.status, c.code, 1, document(deleteOf("there"), with(put, func(o *transaction.Operation) { c.change(o.Put) }))); e.OperationKey != "put" {
			t.Errorf("%s: of key %q", name, e.OperationKey)
		}
	}

	// What is not the document of a transaction.
	var many []transaction.Operation
	for i := range 101 {
		many = append(many, deleteOf(fmt.Sprint("k", i)))
	}
	for _, c := range []struct {
		status    int
		code      string
		operation int
		message   string
		body      []byte
		change    []func(*http.Request)
	}{
		{400, "InvalidRequest", -1, "There are more than 100 operations.", document(many...), nil},
		{400, "InvalidRequest", 1, "An operation before it has the same key.", document(deleteOf("there"), x.copy("there", "refused/other")), nil},
		{400, "InvalidRequest", 1, `The field "cacheControl" begins or ends with white space, or has a control character.`,
			document(deleteOf("there"), with(x.copy("new", "refused/other"), func(o *transaction.Operation) { o.Copy.CacheControl = "x\r\nSet-Cookie: y" })), nil},
		{400, "InvalidRequest", 0, `The field "versionId" is empty. Leave it out.`, []byte(`{"operations":[{"delete":{"key":"there","versionId":""}}]}`), nil},
		{400, "InvalidRequest", 0, `There is no field "iffMatch".`, []byte(`{"operations":[{"delete":{"key":"there","iffMatch":"x"}}]}`), nil},
		{400, "InvalidRequest", -1, "The document is not valid JSON in UTF-8.", []byte("<Delete/>"), nil},
		{400, "InvalidRequest", -1, "The document is not valid JSON in UTF-8.", []byte{}, nil},
		{400, "MaxMessageLengthExceeded", -1, "", []byte(strings.Repeat(" ", transaction.MaxBytes+1)), nil},
		{400, "InvalidRequest", -1, "Missing required header for this request: Content-MD5", document(deleteOf("there")),
			[]func(*http.Request){header("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")}},
		{501, "NotImplemented", -1, "", document(deleteOf("there")), []func(*http.Request){header("If-Match", "*")}},
		{501, "NotImplemented", -1, "", document(deleteOf("there")), []func(*http.Request){header("X-Amz-Acl", "public-read")}},
	} {
		if e := x.refuses(c.status, c.code, c.operation, c.body, c.change...); c.message != "" && e.Message != c.message {
			t.Errorf("%q, not %q", e.Message, c.message)
		}
	}
	// Values are as long as they can be in headers.
	long := func(n int) transaction.Operation {
		return with(x.copy("new", "refused/other"), func(o *transaction.Operation) {
			o.Copy.MetadataDirective, o.Copy.CacheControl, o.Copy.Disposition = "REPLACE", strings.Repeat("c", n/2), strings.Repeat("d", n/2)
		})
	}
	x.refuses(400, "RequestHeaderSectionTooLarge", 1, document(deleteOf("there"), long(8192)))
	x.refuses(400, "RequestHeaderSectionTooLarge", 1, document(deleteOf("there"), long(1<<20)))
	x.refuses(400, "RequestHeaderSectionTooLarge", 0, document(with(deleteOf("there"), func(o *transaction.Operation) { o.Delete.IfMatch = strings.Repeat("x,", 4096) })))
	x.commit(long(7000), x.copy("untouched", "refused/other"))
	x.commit(deleteOf("new"), deleteOf("untouched"))
	// What no key can be is not looked for, nor anything before it.
	x.refuses(400, "KeyTooLongError", 1, document(x.copy("new", "refused/none"), deleteOf(strings.Repeat("k", 1025))))
	x.refused(t, 405, "MethodNotAllowed", "POST", "/refused--at-s1?transaction", document(deleteOf("there")))
	x.refused(t, 404, "NoSuchBucket", "POST", "/nowhere?transaction", document(deleteOf("there")))
	x.refused(t, 501, "NotImplemented", "PUT", "/refused?transaction", document(deleteOf("there")))

	// A copy that would have to be encrypted anew is staged instead.
	x.must(t, 200, "PUT", "/refused?encryption", []byte("<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"))
	x.refuses(400, "InvalidRequest", 1, document(deleteOf("there"), x.copy("new", "refused/other")))
	id := x.begin(t, "/refused/new")
	tag := etagOf(x.must(t, 200, "PUT", "/refused/new?partNumber=1&uploadId="+id, []byte{}, header("X-Amz-Copy-Source", "/refused/other")))
	x.commit(transaction.Operation{Put: &transaction.Put{Key: "new", UploadID: id, Parts: []transaction.Part{{PartNumber: 1, ETag: tag}}}})
	x.holds("new", []byte("other"))

	// An event has room for so much.
	var tags []string
	for i := range 10 {
		tags = append(tags, fmt.Sprint(i)+strings.Repeat("\U0001F9FE", 126)+"="+strings.Repeat("\U0001F9FE", 255))
	}
	x.must(t, 200, "PUT", "/refused/described", nil, header("Cache-Control", strings.Repeat("c", 6000)))
	for i := range many[:100] {
		many[i] = x.copy(fmt.Sprint("k", i), "refused/described")
		many[i].Copy.TaggingDirective, many[i].Copy.Tagging = "REPLACE", strings.Join(tags, "&")
	}
	body := document(many[:100]...)
	if len(body) > transaction.MaxBytes {
		t.Fatalf("the document has %d bytes", len(body))
	}
	x.refuses(400, "EntityTooLarge", -1, body)
	x.commit(many[:80]...)
}

// etagOf is the entity tag in the document that answers a copy.
func etagOf(a *answer) string {
	var doc struct{ ETag string }
	_ = xml.Unmarshal(a.body, &doc)
	return doc.ETag
}

// TestTransactionRepeated: the same document is answered as the first time, for as long as
// what it put is there; nothing is done twice.
func TestTransactionRepeated(t *testing.T) {
	t.Parallel()
	_, x := newTransactor(t, "again")
	x.must(t, 200, "PUT", "/again/moved", []byte("moved"))
	for _, state := range []string{"", "Enabled"} {
		if state != "" {
			x.versioning(state)
			x.must(t, 200, "PUT", "/again/moved", []byte("moved"))
		}
		body := document(x.stage("a", nil, []byte("a")), x.copy("b", "again/moved"), deleteOf("moved"), x.stage("c", nil, []byte("c")))
		first := x.answer(x.must(t, 200, "POST", "/again?transaction", body))
		seen := x.seen()
		again := x.answer(x.must(t, 200, "POST", "/again?transaction", body))
		if !again.Repeated || first.Repeated || again.Sequence != first.Sequence || len(again.Results) != 4 {
			t.Errorf("%s: first %+v, then %+v", state, first, again)
		}
		for i := range first.Results {
			a, _ := json.Marshal(first.Results[i])
			b, _ := json.Marshal(again.Results[i])
			if string(a) != string(b) {
				t.Errorf("%s: result %d is %s, then %s", state, i, a, b)
			}
		}
		if now := x.seen(); now != seen {
			t.Errorf("%s: it was done twice:\n%s\n%s", state, seen, now)
		}
		// Another document of the same uploads is another transaction.
		x.refuses(404, "NoSuchUpload", 0, append(body, ' '))
		x.must(t, 200, "PUT", "/again/a", []byte("replaced"))
		switch a, err := x.try("POST", "/again?transaction", body); {
		case err != nil:
			t.Error(err)
		case state == "" && (a.status != 404 || a.code() != "NoSuchUpload"):
			t.Errorf("what it put is gone, and it says %v", a)
		case state != "" && a.status != 200:
			t.Errorf("the version that it put is there, and it says %v", a)
		}
	}
	// Once what was put is gone another operation's refusal does not hide that.
	x.versioning("Suspended")
	x.must(t, 200, "PUT", "/again/moved", []byte("moved"))
	once := x.copy("once", "again/moved")
	once.Copy.IfNoneMatch = "*"
	body := document(once, x.stage("e", nil, []byte("e")))
	x.must(t, 200, "POST", "/again?transaction", body)
	x.must(t, 200, "PUT", "/again/e", []byte("replaced"))
	x.refuses(404, "NoSuchUpload", 1, body)
	// One that was completed by itself was not part of any.
	put := x.stage("d", nil, []byte("d"))
	x.must(t, 200, "POST", "/again/d?uploadId="+put.Put.UploadID, completion("<ETag>"+etag([]byte("d"))+"</ETag>"))
	x.refuses(404, "NoSuchUpload", 0, document(put, deleteOf("a")))
}

// TestTransactionRaces: what a transaction had seen changes before its event is applied. It
// is done again with what is there now; what is refused then is told, and nothing was done.
func TestTransactionRaces(t *testing.T) {
	t.Parallel()
	p, x := newTransactor(t, "races")
	between := func(f func()) {
		n := 0
		p.node.InterposeForTest(func(context.Context) {
			if n++; n == 1 {
				f()
			}
		})
	}
	overwrite := func(key, value string) func() {
		return func() { x.must(t, 200, "PUT", "/races/"+key, []byte(value)) }
	}
	overwrite("source", "first")()
	between(overwrite("source", "second"))
	x.commit(x.copy("copied", "races/source"), deleteOf("nothing"))
	x.holds("copied", []byte("second"))

	put := x.stage("put", nil, []byte("part"))
	between(func() {
		x.must(t, 200, "PUT", "/races/put?partNumber=1&uploadId="+put.Put.UploadID, []byte("part"))
	})
	x.commit(put, deleteOf("copied"))
	x.holds("put", []byte("part"))
	x.holds("copied", nil)

	// A condition that does not hold any more.
	put = x.stage("put", nil, []byte("new"))
	put.Put.IfMatch = x.holds("put", []byte("part")).header.Get("Etag")
	between(overwrite("put", "somebody's"))
	x.refused(t, 412, "PreconditionFailed", "POST", "/races?transaction", document(deleteOf("source"), put))
	x.holds("source", []byte("second"))
	x.holds("put", []byte("somebody's"))

	// An upload that is gone.
	between(func() { x.must(t, 204, "DELETE", "/races/put?uploadId="+put.Put.UploadID, nil) })
	put.Put.IfMatch = ""
	x.refused(t, 404, "NoSuchUpload", "POST", "/races?transaction", document(deleteOf("source"), put))
	x.holds("source", []byte("second"))

	// The same document comes twice at once: both are told of the one event.
	a, b := x.stage("a", nil, []byte("a")), x.stage("b", nil, []byte("b"))
	a.Put.IfNoneMatch = "*"
	body := document(x.copy("kept", "races/source"), deleteOf("source"), a, b)
	var inner *transaction.Answer
	between(func() { inner = x.answer(x.must(t, 200, "POST", "/races?transaction", body)) })
	outer := x.answer(x.must(t, 200, "POST", "/races?transaction", body))
	if inner == nil || inner.Sequence != outer.Sequence || !outer.Repeated {
		t.Errorf("the first was told %+v, the other %+v", inner, outer)
	}
	p.node.InterposeForTest(nil)
}

// TestTransactionTold: notifications tell of each effect, the audit and its filters of each
// operation.
func TestTransactionTold(t *testing.T) {
	t.Parallel()
	hook := newReceiver(t)
	p, x := newTransactor(t, "told", func(o *server.Options) {
		o.Webhooks = map[string]server.Webhook{"hook": {URL: hook.URL, Token: sig.NewSecret("a token")}}
		o.NotifyPrivate = true
	})
	x.must(t, 200, "PUT", "/told?notification", notification("rule", "", "s3:ObjectCreated:*", "s3:ObjectRemoved:*"))
	x.must(t, 200, "PUT", "/told/old", []byte("old"))
	x.commit(x.stage("put", nil, []byte("12345")), x.copy("copied", "told/old"), deleteOf("old"), deleteOf("never"))
	x.versioning("Enabled")
	a := x.commit(deleteOf("copied"), x.copy("again", "told/put"))
	var got []string
	for _, r := range hook.await(t, 6) {
		o := r.S3.Object
		got = append(got, fmt.Sprint(strings.TrimPrefix(r.Name, "Object"), " ", o.Key, " ", o.Size, " ", o.ETag != "", " ", o.Version))
	}
	want := []string{
		"Created:Put old 3 true ", "Created:CompleteMultipartUpload put 5 true ", "Created:Copy copied 3 true ", "Removed:Delete old 0 false ",
		"Removed:DeleteMarkerCreated copied 0 false " + a.Results[0].VersionID, "Created:Copy again 5 true " + a.Results[1].VersionID,
	}
	if !slices.Equal(got, want) {
		t.Errorf("told\n%q, not\n%q", got, want)
	}
	// The record tells each operation, and is found by what a copy reads.
	x.refuses(412, "PreconditionFailed", 1, document(x.stage("no", nil, []byte("no")), func() transaction.Operation {
		o := deleteOf("put")
		o.Delete.IfMatch = etag([]byte("other"))
		return o
	}()))
	for query, lines := range map[string]int{"bucket=told": 3, "key=old": 1, "key=again": 1, "bucket=told&refused=true": 1, "prefix=nev": 1, "key=else": 0} {
		a := (quotas{t, p}).ask("GET", "/-/feed?from=0&to=end&kind=transaction_committed&"+query)
		if got := strings.Count(string(a.body), "\n") - 1; a.status != 200 || got != lines {
			t.Errorf("%s finds %d events: %v", query, got, a)
		}
		var e audit.Entry
		if query == "key=old" {
			line, _, _ := strings.Cut(string(a.body), "\n")
			if err := json.Unmarshal([]byte(line), &e); err != nil || len(e.Steps) != 4 || e.Operation != "CommitTransaction" || e.Outcome != "accepted" {
				t.Fatalf("it is recorded as %s", line)
			}
			for i, want := range []string{"put put  ", "copy copied told/old ", "delete old  ", "delete never  "} {
				s := e.Steps[i]
				if got := s.What + " " + s.Key + " " + strings.Trim(s.SourceBucket+"/"+s.SourceKey, "/") + " "; got != want || s.Why.By != "root" || s.Why.View == 0 {
					t.Errorf("step %d is recorded as %+v", i, s)
				}
			}
		}
	}
}

// TestTransactClient: a client stages, commits and aborts through an SDK's client, which
// reads what was done.
func TestTransactClient(t *testing.T) {
	t.Parallel()
	p, x := newTransactor(t, "helped")
	client := s3.New(s3.Options{
		Region: region, BaseEndpoint: aws.String(p.endpoint), UsePathStyle: true, Credentials: awsCredentials(p.cred),
		HTTPClient: &http.Client{Transport: p.transport}, RetryMaxAttempts: 1,
	})
	ctx := t.Context()
	x.must(t, 200, "PUT", "/helped/old", []byte("old"))
	tx := transact.New(client, "helped")
	tx.PartBytes = 5 << 20
	large := content(1, 11<<20)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(tx.Put(ctx, "large", strings.NewReader(string(large)), transact.PutOptions{IfNoneMatch: "*", Upload: func(in *s3.CreateMultipartUploadInput) {
		in.ContentType = aws.String("text/x-large")
		in.ChecksumAlgorithm = "SHA256"
	}}))
	must(tx.Put(ctx, "empty", strings.NewReader(""), transact.PutOptions{}))
	must(tx.Put(ctx, "exact", strings.NewReader(string(large[:10<<20])), transact.PutOptions{}))
	must(tx.Copy(transact.Copy{Key: "kept", Source: transact.Source{Bucket: "helped", Key: "old"}}))
	must(tx.Delete(transact.Delete{Key: "old"}))
	a, err := tx.Commit(ctx)
	must(err)
	if len(a.Results) != 5 || a.Sequence == 0 {
		t.Errorf("answered %+v", a)
	}
	must(tx.Abort(ctx)) // of nothing
	got, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("helped"), Key: aws.String("large"), ChecksumMode: "ENABLED"})
	must(err)
	if *got.ETag != a.Results[0].ETag || *got.ContentLength != 11<<20 || *got.ContentType != "text/x-large" || got.ChecksumSHA256 == nil {
		t.Errorf("it is shown as %+v", got)
	}
	x.holds("large", large)
	x.holds("empty", []byte{})
	x.holds("exact", large[:10<<20])
	x.holds("kept", []byte("old"))
	x.holds("old", nil)

	tx = transact.New(client, "helped")
	must(tx.Put(ctx, "large", strings.NewReader("small"), transact.PutOptions{IfMatch: `"other"`}))
	must(tx.Delete(transact.Delete{Key: "kept"}))
	_, err = tx.Commit(ctx)
	var refused *transact.Error
	if !errors.As(err, &refused) || refused.Code != "PreconditionFailed" || refused.Operation != 0 || refused.Key != "large" || refused.Status != 412 {
		t.Errorf("refused as %v", err)
	}
	must(tx.Abort(ctx))
	if uploads := string(x.must(t, 200, "GET", "/helped?uploads", nil).body); strings.Contains(uploads, "<Upload>") {
		t.Errorf("uploads are left: %s", uploads)
	}
	x.holds("kept", []byte("old"))

	// What was not staged whole is not committed.
	tx = transact.New(client, "helped")
	must(tx.Delete(transact.Delete{Key: "kept"}))
	if err := tx.Put(ctx, "broken", brokenReader{}, transact.PutOptions{}); err == nil {
		t.Error("a reader that fails was staged")
	}
	if _, err := tx.Commit(ctx); err == nil {
		t.Error("it was committed")
	}
	must(tx.Abort(ctx))
	x.holds("kept", []byte("old"))

	// An answer that is lost: the client asks again, and is told of the one event.
	lossy := &losesAnswers{RoundTripper: p.transport, lose: 1}
	client = s3.New(s3.Options{
		Region: region, BaseEndpoint: aws.String(p.endpoint), UsePathStyle: true, Credentials: awsCredentials(p.cred), HTTPClient: &http.Client{Transport: lossy},
	})
	tx = transact.New(client, "helped")
	must(tx.Put(ctx, "once", strings.NewReader("once"), transact.PutOptions{IfNoneMatch: "*"}))
	must(tx.Delete(transact.Delete{Key: "kept", IfMatch: "*"}))
	a, err = tx.Commit(ctx)
	must(err)
	if !a.Repeated || lossy.lose != 0 {
		t.Errorf("answered %+v, %d answers are still to be lost", a, lossy.lose)
	}
	x.holds("kept", nil)
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("it broke") }

// losesAnswers loses the first answers to commits.
type losesAnswers struct {
	http.RoundTripper
	lose int
}

func (l *losesAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(r)
	if err == nil && r.URL.Query().Has("transaction") && l.lose > 0 {
		l.lose--
		resp.Body.Close()
		return nil, errors.New("the answer is lost")
	}
	return resp, err
}

// TestTransactionRequestIsKeyed: what stays in the record of a document confirms no guess of it, and
// is known again by a node that has been started anew.
func TestTransactionRequestIsKeyed(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	p := openInProcess(t, fs, "keyed")
	p.client().must(t, 200, "PUT", "/keyed", nil)
	x := &transactor{t, p.client(), "keyed"}
	body := document(x.stage("a-key-that-may-be-guessed", nil, []byte("a")))
	first := x.answer(x.must(t, 200, "POST", "/keyed?transaction", body))
	d, err := p.node.Detail(t.Context(), first.Sequence)
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		TransactionCommitted struct{ Request []byte }
	}
	if err := json.Unmarshal(d.Statement, &s); err != nil || len(s.TransactionCommitted.Request) != 16 {
		t.Fatalf("%s: %v", d.Statement, err)
	}
	id := sha256.Sum256([]byte(d.Actor))
	for name, guess := range map[string][32]byte{"with its principal": sha256.Sum256(append(id[:], body...)), "alone": sha256.Sum256(body)} {
		if bytes.Equal(guess[:16], s.TransactionCommitted.Request) {
			t.Errorf("the record has a digest of the document %s", name)
		}
	}
	p.close(t)
	p = openInProcess(t, fs, "keyed")
	x.client = p.client()
	if again := x.answer(x.must(t, 200, "POST", "/keyed?transaction", body)); !again.Repeated || again.Sequence != first.Sequence {
		t.Errorf("after a restart: %+v, first %+v", again, first)
	}
}
