package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"ironman/s3api/sig"
	"ironman/server"
)

// TestAttackAppend (S-D4): an append tells of the size and the checksum of what is there,
// and goes on under its owner's name. Who may only write learns and changes nothing.
func TestAttackAppend(t *testing.T) {
	v := newVictim(t)
	at := func(n int) func(*http.Request) { return header("X-Amz-Write-Offset-Bytes", fmt.Sprint(n)) }
	probe := func(what string) {
		t.Helper()
		for _, n := range []int{1, len(secretBody)} {
			a := v.alice.refused(t, 403, "AccessDenied", "PUT", "/vault/secret", []byte{}, at(n))
			if a != nil && a.header.Get("X-Amz-Object-Size") != "" {
				t.Errorf("%s: it tells the size", what)
			}
		}
		v.alice.refused(t, 403, "AccessDenied", "PUT", "/vault/secret", []byte("more"), at(len(secretBody)))
	}
	write, read := rule("Allow", aliceAccount, "s3:PutObject", "vault/*", ""), rule("Allow", aliceAccount, "s3:GetObject", "vault/*", "")
	v.policy("vault", write)
	probe("who may only write")
	v.policy("vault", write, read)
	probe("who may read what is another's")
	v.alice.must(t, 200, "PUT", "/vault/hers", []byte("123"), at(0))
	v.alice.must(t, 200, "PUT", "/vault/hers", []byte("456"), at(3))
	v.root.must(t, 204, "DELETE", "/vault/hers", nil)
	v.policy("vault", write)
	v.root.must(t, 200, "PUT", "/vault/mine", []byte("123"), at(0))
	v.root.must(t, 200, "PUT", "/vault/mine", []byte("456"), at(3))
	v.root.must(t, 204, "DELETE", "/vault/mine", nil)
	v.root.must(t, 204, "DELETE", "/vault?policy", nil)
	v.unharmed()
}

// TestAttackRenameLock (S-D10): a rename leaves its lock on the object, and with it one more
// version that nobody may delete: that takes the right to lock.
func TestAttackRenameLock(t *testing.T) {
	v := newVictim(t)
	v.root.must(t, 200, "PUT", "/locked", nil, header("X-Amz-Bucket-Object-Lock-Enabled", "true"))
	v.root.must(t, 200, "PUT", "/locked/until", []byte("x"), header("X-Amz-Object-Lock-Mode", "COMPLIANCE"),
		header("X-Amz-Object-Lock-Retain-Until-Date", time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
	v.root.must(t, 200, "PUT", "/locked/held", []byte("x"), header("X-Amz-Object-Lock-Legal-Hold", "ON"))
	v.root.must(t, 200, "PUT", "/locked/free", []byte("x"))
	rename := func(key string, status int) {
		t.Helper()
		if a, err := v.alice.try("PUT", "/locked/new-"+key+"?renameObject", []byte{}, header("X-Amz-Rename-Source", key)); err != nil || a.status != status {
			t.Errorf("rename of %s: %v, %v, want %d", key, a, err, status)
		}
	}
	var all []string
	for _, action := range []string{"s3:PutObject", "s3:GetObject", "s3:DeleteObject"} {
		all = append(all, rule("Allow", aliceAccount, action, "locked/*", ""))
	}
	v.policy("locked", all...)
	rename("until", 403)
	rename("held", 403)
	rename("free", 200)
	all = append(all, rule("Allow", aliceAccount, "s3:PutObjectRetention", "locked/*", ""), rule("Allow", aliceAccount, "s3:PutObjectLegalHold", "locked/*", ""))
	deny := func(condition string) []string {
		return append(all[:len(all):len(all)], rule("Deny", aliceAccount, "s3:PutObject", "locked/*", condition))
	}
	v.policy("locked", deny(`{"StringEquals":{"s3:object-lock-mode":"COMPLIANCE"}}`)...)
	rename("until", 403)
	v.policy("locked", deny(`{"StringEquals":{"s3:object-lock-legal-hold":"ON"}}`)...)
	rename("held", 403)
	v.policy("locked", all...)
	rename("until", 200)
	rename("held", 200)
	// What a client asks for and nothing acts on is refused.
	v.root.must(t, 200, "PUT", "/vault/from", []byte("x"))
	v.root.refused(t, 501, "NotImplemented", "PUT", "/vault/to?renameObject", []byte{}, header("X-Amz-Rename-Source", "from"), header("If-Unmodified-Since", "Thu, 01 Jan 2026 00:00:00 GMT"))
}

// TestAttackHeaderSection: section 3.7. Long headers get an answer in XML, with an id.
func TestAttackHeaderSection(t *testing.T) {
	v := newVictim(t)
	for _, tc := range []struct{ filler, status int }{{7 << 10, 200}, {8 << 10, 400}, {13 << 10, 400}, {20 << 10, 400}} {
		a, err := v.root.try("GET", "/vault/secret", nil, header("X-Filler", strings.Repeat("x", tc.filler)))
		if tc.status == 200 && (err != nil || a.status != 200) {
			t.Errorf("%d bytes: %v, %v", tc.filler, a, err)
		}
		if tc.status != 200 {
			checkRefused(t, fmt.Sprint(tc.filler, " bytes"), a, err, tc.status, "RequestHeaderSectionTooLarge")
		}
	}
}

// TestRefuseV2 (S-A9): signatures of version 2 can be turned off.
func TestRefuseV2(t *testing.T) {
	v := newVictim(t, func(o *server.Options) { o.RefuseV2 = true })
	r := v.root.request(t.Context(), "GET", "/vault/secret", nil)
	if err := sig.SignV2(r, v.root.cred, "", time.Now()); err != nil {
		t.Fatal(err)
	}
	v.refuses("version 2", 400, "InvalidRequest", r)
}

// TestAttackMaxKeys (S-D6): a number that a condition does not understand is none.
func TestAttackMaxKeys(t *testing.T) {
	v := newVictim(t)
	v.policy("vault", rule("Allow", aliceAccount, "s3:ListBucket", "vault", ""),
		rule("Deny", everybody, "s3:ListBucket", "vault", `{"NumericGreaterThan":{"s3:max-keys":"10"}}`), rule("Deny", everybody, "s3:ListBucket", "vault", `{"Null":{"s3:max-keys":"true"}}`))
	v.alice.must(t, 200, "GET", "/vault?list-type=2&max-keys=10", nil)
	for _, n := range []string{"11", "1000", ""} {
		v.alice.refused(t, 403, "AccessDenied", "GET", "/vault?list-type=2&max-keys="+n, nil)
	}
	v.alice.refused(t, 400, "InvalidArgument", "GET", "/vault?list-type=2&max-keys="+strings.Repeat("0", 38)+"1000", nil)
}

// TestBucketAgain: whoever asks for a bucket with a lock does not get one without.
func TestBucketAgain(t *testing.T) {
	v := newVictim(t)
	v.root.must(t, 200, "PUT", "/vault", nil)
	v.root.refused(t, 409, "BucketAlreadyOwnedByYou", "PUT", "/vault", nil, header("X-Amz-Bucket-Object-Lock-Enabled", "true"))
	v.root.must(t, 200, "PUT", "/locked", nil, header("X-Amz-Bucket-Object-Lock-Enabled", "true"))
	v.root.must(t, 200, "PUT", "/locked", nil, header("X-Amz-Bucket-Object-Lock-Enabled", "true"))
	// SDKs find out where a bucket is that they may not see.
	a, err := v.alice.try("HEAD", "/vault", nil)
	if err != nil || a.status != 403 || a.header.Get("X-Amz-Bucket-Region") != region {
		t.Errorf("%v, %v", a, err)
	}
}

// TestNotifyAccounts (S-D9): a webhook may be kept for the buckets of some accounts.
func TestNotifyAccounts(t *testing.T) {
	v := newVictim(t, func(o *server.Options) {
		o.Webhooks = map[string]server.Webhook{"hook": {URL: "https://192.0.2.1/", Accounts: []string{"999999999999"}}, "open": {URL: "https://192.0.2.1/"}}
	})
	for name, status := range map[string]int{"hook": 403, "open": 200} {
		doc := []byte(strings.Replace(string(notification("r", "a/", "s3:ObjectCreated:*")), ":hook:", ":"+name+":", 1))
		if a, err := v.root.try("PUT", "/vault?notification", doc); err != nil || a.status != status {
			t.Errorf("%s: %v, %v, want %d", name, a, err, status)
		}
	}
}

// TestAttackManyUploads: section 3.7. Nobody fills a bucket with uploads that are never done; and
// the id of one that is done is no key to the object.
func TestAttackManyUploads(t *testing.T) {
	v := newVictim(t, func(o *server.Options) { o.MaxUploads = 3 })
	part := []byte("a part")
	id := v.root.begin(t, "/vault/whole")
	v.root.must(t, 200, "PUT", "/vault/whole?partNumber=1&uploadId="+id, part)
	done := []byte("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>" + etagXML(part) + "</Part></CompleteMultipartUpload>")
	v.root.must(t, 200, "POST", "/vault/whole?uploadId="+id, done)
	v.root.must(t, 200, "POST", "/vault/whole?uploadId="+id, done) // once more, of the same client
	v.policy("vault", rule("Allow", aliceAccount, "s3:PutObject", "vault/*", ""))
	v.alice.refused(t, 404, "NoSuchUpload", "POST", "/vault/whole?uploadId="+id, done)

	var ids []string
	for i := range 3 {
		ids = append(ids, v.root.begin(t, fmt.Sprintf("/vault/open-%d", i)))
	}
	v.alice.refused(t, 503, "SlowDown", "POST", "/vault/open?uploads", []byte{})
	v.root.must(t, 204, "DELETE", "/vault/open-0?uploadId="+ids[0], nil)
	v.root.begin(t, "/vault/open-0")
}

// TestListBucketsOfRegion: there are none in another region.
func TestListBucketsOfRegion(t *testing.T) {
	v := newVictim(t)
	for asked, want := range map[string]bool{"": true, region: true, "eu-west-9": false} {
		if a := v.root.must(t, 200, "GET", "/?bucket-region="+asked, nil); strings.Contains(string(a.body), "<Name>vault</Name>") != want {
			t.Errorf("%q: %s", asked, a.body)
		}
	}
}

// TestVersionsOwner: where access control lists are disabled, all objects are the bucket
// owner's, in every listing.
func TestVersionsOwner(t *testing.T) {
	v := newVictim(t)
	v.policy("vault", rule("Allow", aliceAccount, "s3:PutObject", "vault/*", ""))
	v.alice.must(t, 200, "PUT", "/vault/hers", []byte("x"))
	owners := func(target string) map[string]bool {
		out := make(map[string]bool)
		for _, part := range strings.Split(string(v.root.must(t, 200, "GET", target, nil).body), "<Owner>")[1:] {
			owner, _, _ := strings.Cut(part, "</Owner>")
			out[owner] = true
		}
		return out
	}
	if got := owners("/vault?versions"); len(got) != 2 {
		t.Fatalf("owners before: %v", got)
	}
	v.root.must(t, 200, "PUT", "/vault?ownershipControls", []byte(`<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>`))
	for _, target := range []string{"/vault?versions", "/vault?list-type=2&fetch-owner=true"} {
		if got := owners(target); len(got) != 1 {
			t.Errorf("%s: owners %v", target, got)
		}
	}
}
