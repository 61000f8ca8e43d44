package server_test

import (
	"context"
	"encoding/xml"
	"net/http"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/s3api/sig"
	"ironman/s3api/transaction"
)

// TestTransactionRights: each operation takes its own right, and without one of them
// nothing is done.
func TestTransactionRights(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	x := &transactor{t, v.root, "rights"}
	x.must(t, 200, "PUT", "/rights", nil)
	x.must(t, 200, "PUT", "/rights/open/there", []byte("there"))
	x.must(t, 200, "PUT", "/rights/closed/there", []byte("there"))
	x.must(t, 204, "PUT", "/rights?policy", []byte(`{"Statement":[
		{"Effect":"Allow","Principal":"*","Action":["s3:PutObject","s3:DeleteObject","s3:GetObject"],"Resource":"arn:aws:s3:::rights/open/*"},
		{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::rights/open/tags/*"},
		{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::rights/open/hidden/*","Condition":{"StringEquals":{"s3:x-amz-acl":"public-read"}}},
		{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::rights/create/*","Condition":{"Null":{"s3:if-none-match":"false"}}}]}`))
	alice := &transactor{t, v.alice, "rights"}
	stage := func(key string) transaction.Operation {
		o := x.stage(key, nil, []byte("x"))
		return o
	}
	own := alice.stage("open/put", nil, []byte("mine"))
	denied := func(operation int, ops ...transaction.Operation) {
		t.Helper()
		before := x.seen()
		a := alice.refused(t, 403, "AccessDenied", "POST", "/rights?transaction", document(ops...))
		var e transactionError
		if err := xml.Unmarshal(a.body, &e); err != nil || e.OperationIndex == nil || *e.OperationIndex != operation || e.OperationKey != ops[operation].Key() {
			t.Errorf("it is told as %s", a.body)
		}
		if now := x.seen(); now != before {
			t.Errorf("something was done:\n%s\n%s", before, now)
		}
	}
	denied(1, own, deleteOf("closed/there"))
	denied(2, own, deleteOf("open/there"), alice.copy("open/copied", "rights/closed/there"))
	denied(1, own, alice.copy("closed/copied", "rights/open/there"))
	denied(1, own, alice.copy("open/tags/copied", "rights/open/there"))
	denied(1, own, stage("closed/put"))
	denied(1, own, alice.copy("create/it", "rights/open/there"))
	version := deleteOf("open/there")
	version.Delete.VersionID = "null"
	denied(1, own, version)
	governed := deleteOf("open/there")
	governed.Delete.BypassGovernance = true
	denied(1, own, governed)
	for _, acl := range []string{"public-read ", "public-read\n", "\u00a0public-read"} { // would be another for the policy than for what is done
		shown := alice.copy("open/hidden/copied", "rights/open/there")
		shown.Copy.ACL = "public-read"
		denied(1, own, shown)
		shown.Copy.ACL = acl
		alice.refused(t, 400, "InvalidRequest", "POST", "/rights?transaction", document(own, shown))
	}
	listed := alice.copy("open/copied", "rights/open/there")
	listed.Copy.ACL = "public-read"
	alice.commit(own, listed, deleteOf("open/there"), func() transaction.Operation {
		o := alice.copy("create/it", "rights/open/there")
		o.Copy.IfNoneMatch = "*"
		return o
	}())
	x.holds("open/there", nil)
	x.holds("create/it", []byte("there"))
	// Who commits is told again what was done; another with the same document is not.
	again := document(alice.stage("open/mine", nil, []byte("mine")))
	alice.must(t, 200, "POST", "/rights?transaction", again)
	x.refuses(404, "NoSuchUpload", 0, again)
	if a := alice.answer(alice.must(t, 200, "POST", "/rights?transaction", again)); !a.Repeated {
		t.Errorf("answered again with %+v", a)
	}
	nobody := *v.root
	nobody.cred = sig.Credential{}
	nobody.refused(t, 403, "AccessDenied", "POST", "/rights?transaction", document(deleteOf("open/put")), header("Content-Md5", contentMD5(document(deleteOf("open/put")))))
	x.holds("open/put", []byte("mine"))
	// In a bucket without a policy a stranger's document is not even read.
	v.state = v.see()
	v.alice.refused(t, 403, "AccessDenied", "POST", "/vault?transaction", []byte("none"))
	v.unharmed()
}

// TestTransactionLocks: what is locked is not removed, and with it nothing else.
func TestTransactionLocks(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/")
	x := &transactor{t, p.client(), "locked"}
	x.must(t, 200, "PUT", "/locked", nil, header("X-Amz-Bucket-Object-Lock-Enabled", "true"))
	x.must(t, 200, "PUT", "/locked/other", []byte("other"))
	copied := x.copy("held", "locked/other")
	copied.Copy.LockMode, copied.Copy.LockUntil, copied.Copy.LegalHold = "GOVERNANCE", "2099-01-01T00:00:00Z", "OFF"
	put := x.stage("kept", []func(*http.Request){header("X-Amz-Object-Lock-Legal-Hold", "ON")}, []byte("kept"))
	a := x.commit(copied, put)
	if h := x.holds("held", []byte("other")).header; h.Get("X-Amz-Object-Lock-Mode") != "GOVERNANCE" {
		t.Errorf("it is locked as %v", h)
	}
	remove, hold := deleteOf("held"), deleteOf("kept")
	remove.Delete.VersionID, hold.Delete.VersionID = a.Results[0].VersionID, a.Results[1].VersionID
	x.refuses(403, "AccessDenied", 1, document(deleteOf("other"), remove))
	remove.Delete.BypassGovernance = true
	x.refuses(403, "AccessDenied", 1, document(remove, hold))
	x.commit(remove, deleteOf("kept"))
	x.holds("held", nil)
}

// TestTransactionQuota: the quota is judged by what a transaction leaves.
func TestTransactionQuota(t *testing.T) {
	t.Parallel()
	p, x := newTransactor(t, "quota")
	x.must(t, 200, "PUT", "/quota/old", content(1, 1000))
	put := x.stage("new", nil, content(2, 1000))
	if a := (quotas{t, p}).ask("POST", "/-/quotas/set?bucket=quota&bytes=2500&objects=2"); a.status != 200 {
		t.Fatal(a)
	}
	events := p.events(t)
	x.refuses(403, "QuotaExceeded", -1, document(put, x.copy("copied", "quota/old")))
	if n := p.events(t); n != events {
		t.Errorf("%d events of what was seen to be beyond the quota", n-events)
	}
	// What only apply sees: both grow at once.
	n := 0
	p.node.InterposeForTest(func(context.Context) {
		if n++; n == 1 {
			x.must(t, 200, "PUT", "/quota/meanwhile", content(3, 10))
		}
	})
	x.refused(t, 403, "QuotaExceeded", "POST", "/quota?transaction", document(put))
	p.node.InterposeForTest(nil)
	x.holds("new", nil)
	x.must(t, 204, "DELETE", "/quota/meanwhile", nil)
	x.commit(put, x.copy("copied", "quota/old"), deleteOf("old"))
}
