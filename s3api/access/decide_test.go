package access

import (
	"slices"
	"strings"
	"testing"

	"ironman/s3api/s3err"
	"ironman/wal/event"
)

// The accounts of these tests: bb owns the bucket, oo an object in it, xx nothing.
const (
	bb = "bbbb"
	oo = "oooo"
	xx = "xxxx"
)

// person is a principal and what policies of its own say.
type person struct {
	name string
	p    Principal
	own  Opinion
}

var people = []person{
	{"anonymous", Principal{}, Opinion{}},
	{"bucket owner", Principal{CanonicalID: bb}, Opinion{}},
	{"object owner", Principal{CanonicalID: oo}, Opinion{}},
	{"stranger", Principal{CanonicalID: xx}, Opinion{}},
	{"root", Principal{CanonicalID: "rrrr", Root: true}, Opinion{}},
	{"bucket owner's user, silent", Principal{CanonicalID: bb, User: "u1"}, Opinion{}},
	{"bucket owner's user, allowed", Principal{CanonicalID: bb, User: "u1"}, Opinion{Verdict: Allow}},
	{"bucket owner's user, denied", Principal{CanonicalID: bb, User: "u1"}, Opinion{Verdict: Deny}},
	{"object owner's user, allowed", Principal{CanonicalID: oo, User: "u2"}, Opinion{Verdict: Allow}},
	{"stranger's user, silent", Principal{CanonicalID: xx, User: "u3"}, Opinion{}},
	{"stranger's user, allowed", Principal{CanonicalID: xx, User: "u3"}, Opinion{Verdict: Allow}},
	{"root's user, silent", Principal{CanonicalID: "rrrr", User: "u4", Root: true}, Opinion{}},
}

// The model: lists of actions by what allows them, and of holders by what grants
// them, written from Amazon's pages and not from the table of this package.
const (
	forAccounts  = "CreateBucket ListAllMyBuckets"
	bucketREAD   = "ListBucket ListBucketVersions ListBucketMultipartUploads"
	bucketWRITE  = "PutObject DeleteObject"
	bucketRACP   = "GetBucketAcl"
	bucketWACP   = "PutBucketAcl"
	objectREAD   = "GetObject GetObjectVersion GetObjectTorrent GetObjectVersionTorrent"
	objectRACP   = "GetObjectAcl GetObjectVersionAcl"
	objectWACP   = "PutObjectAcl PutObjectVersionAcl"
	objectOwners = "GetObjectAttributes GetObjectVersionAttributes"
	eitherOwners = `GetObjectTagging PutObjectTagging DeleteObjectTagging GetObjectVersionTagging
		PutObjectVersionTagging DeleteObjectVersionTagging GetObjectRetention GetObjectLegalHold`
	bucketOwners = `DeleteBucket DeleteObjectVersion AbortMultipartUpload ListMultipartUploadParts
		GetBucketFeed PutBucketFeedCursor GetBucketLocation GetBucketPolicy PutBucketPolicy DeleteBucketPolicy GetBucketPolicyStatus
		GetBucketCORS PutBucketCORS GetBucketTagging PutBucketTagging GetBucketVersioning PutBucketVersioning TagResource
		GetLifecycleConfiguration PutLifecycleConfiguration GetEncryptionConfiguration PutEncryptionConfiguration
		GetBucketObjectLockConfiguration PutBucketObjectLockConfiguration
		GetBucketOwnershipControls PutBucketOwnershipControls
		GetBucketPublicAccessBlock PutBucketPublicAccessBlock
		GetBucketWebsite PutBucketWebsite DeleteBucketWebsite GetBucketNotification PutBucketNotification
		GetBucketLogging PutBucketLogging GetBucketRequestPayment PutBucketRequestPayment
		GetReplicationConfiguration PutReplicationConfiguration
		GetAccelerateConfiguration PutAccelerateConfiguration GetAnalyticsConfiguration PutAnalyticsConfiguration
		GetInventoryConfiguration PutInventoryConfiguration GetMetricsConfiguration PutMetricsConfiguration
		GetIntelligentTieringConfiguration PutIntelligentTieringConfiguration
		PutObjectRetention PutObjectLegalHold BypassGovernanceRetention RestoreObject`
)

// grants maps a list, canned or (key "xx PERMISSION") of one explicit grant, to
// "holder:permission ..." beside the owner's full control.
var grants = map[string]string{
	"private":                   "",
	"public-read":               "all:READ",
	"public-read-write":         "all:READ all:WRITE",
	"authenticated-read":        "signed:READ",
	"aws-exec-read":             "",
	"bucket-owner-read":         "bucketowner:READ",
	"bucket-owner-full-control": "bucketowner:FULL_CONTROL",
	"log-delivery-write":        "log:WRITE log:READ_ACP",
	"xx READ":                   "xxxx:READ",
	"xx WRITE":                  "xxxx:WRITE",
	"xx READ_ACP":               "xxxx:READ_ACP",
	"xx WRITE_ACP":              "xxxx:WRITE_ACP",
	"xx FULL_CONTROL":           "xxxx:FULL_CONTROL",
}

func listed(list, action string) bool {
	return slices.Contains(strings.Fields(list), strings.TrimPrefix(action, "s3:"))
}

// model says whether who may do action, in a bucket of bb with the list bucketACL, on
// an object of owner with objectACL.
func model(t *testing.T, who person, action, bucketACL, objectACL, owner string) bool {
	account, self := who.p.CanonicalID, who.p.User == "" || who.own.Verdict == Allow
	holds := func(list, permission string, onObject bool) bool {
		for _, g := range strings.Fields(grants[list]) {
			holder, p, _ := strings.Cut(g, ":")
			if p != permission && p != "FULL_CONTROL" {
				continue
			}
			switch holder {
			case "all":
				return true
			case "signed":
				if account != "" && self {
					return true
				}
			case "bucketowner":
				if onObject && account == bb && self {
					return true
				}
			case account:
				return self
			}
		}
		return false
	}
	ofBucket, ofObject := account == bb && self, account == owner && self
	switch {
	case who.own.Verdict == Deny:
		return false
	case who.name == "root":
		return true
	case listed(forAccounts, action):
		return account != "" && self
	case listed(bucketREAD, action):
		return ofBucket || holds(bucketACL, "READ", false)
	case listed(bucketWRITE, action):
		return ofBucket || holds(bucketACL, "WRITE", false)
	case listed(bucketRACP, action):
		return ofBucket || holds(bucketACL, "READ_ACP", false)
	case listed(bucketWACP, action):
		return ofBucket || holds(bucketACL, "WRITE_ACP", false)
	case listed(objectREAD, action):
		return ofObject || holds(objectACL, "READ", true)
	case listed(objectRACP, action):
		return ofObject || holds(objectACL, "READ_ACP", true)
	case listed(objectWACP, action):
		return ofObject || holds(objectACL, "WRITE_ACP", true)
	case listed(objectOwners, action):
		return ofObject
	case listed(eitherOwners, action):
		return ofBucket || ofObject
	case listed(bucketOwners, action):
		return ofBucket
	}
	t.Errorf("the model does not know %s", action)
	return false
}

// made gives the ACL of grants[name] for a resource of owner.
func made(t *testing.T, name string, target Target, owner string) *event.ACL {
	if permission, ok := strings.CutPrefix(name, "xx "); ok {
		return &event.ACL{Owner: owner, Grants: []*event.Grant{
			{Grantee: owner, Permission: event.Permission_PERMISSION_FULL_CONTROL},
			{Grantee: xx, Permission: permissionByName(permission)},
		}}
	}
	acl, err := Canned(name, Subject{Target: target, Owner: owner, BucketOwner: bb})
	if err != nil {
		t.Fatal(err)
	}
	return acl
}

// Every list on bucket and object, every principal, every action, against the model.
func TestDecideAgainstModel(t *testing.T) {
	cases, permitted := 0, 0
	for bucketName := range grants {
		bucket := Resource{Owner: bb, ACL: made(t, bucketName, Bucket, bb)}
		for objectName := range grants {
			if objectName == "log-delivery-write" {
				continue
			}
			for _, owner := range []string{bb, oo} {
				object := &Resource{Owner: owner, ACL: made(t, objectName, Object, owner)}
				for _, who := range people {
					for _, rule := range rules {
						r := &Request{Action: rule.action, Bucket: bucket, Object: object, Identity: who.own}
						got := Decide(who.p, r)
						if want := model(t, who, rule.action, bucketName, objectName, owner); got.Allowed != want {
							t.Errorf("bucket %s, object %s of %s: %s %s: %v, want %v", bucketName, objectName, owner, who.name, rule.action, got, want)
						}
						if cases++; got.Allowed {
							permitted++
						}
						checkReason(t, got)
					}
				}
			}
		}
	}
	if cases < 100_000 || permitted < cases/20 || permitted > cases*19/20 {
		t.Errorf("%d of %d allowed: does the test still test?", permitted, cases)
	}
}

func checkReason(t *testing.T, d Decision) {
	if d.Allowed == (d.Kind == event.ReasonKind_REASON_KIND_UNSPECIFIED) || d.Allowed && d.Denied || (d.Err() == nil) != d.Allowed {
		t.Errorf("decision %+v contradicts itself", d)
	}
}

func TestTable(t *testing.T) {
	for i, u := range rules {
		if i > 0 && rules[i-1].action >= u.action {
			t.Errorf("%s comes after %s", u.action, rules[i-1].action)
		}
		if !Known(u.action) || !strings.HasPrefix(u.action, "s3:") {
			t.Errorf("%s is not found", u.action)
		}
		if u.scope != onService && u.owners == 0 {
			t.Errorf("nobody owns %s", u.action)
		}
	}
	for _, action := range []string{"", "s3:", "GetObject", "s3:getobject", "s3:Zzz", "*", "s3:*"} {
		if d := Decide(Principal{CanonicalID: "rrrr", Root: true}, &Request{Action: action}); d.Allowed || Known(action) {
			t.Errorf("%q is allowed", action)
		}
	}
}

func TestReasons(t *testing.T) {
	acl := &event.ACL{Owner: bb, Grants: []*event.Grant{
		{Group: event.Group_GROUP_LOG_DELIVERY, Permission: read},
		{Grantee: xx, Permission: readACP},
		{Grantee: xx, Permission: read},
		{Group: event.Group_GROUP_ALL_USERS, Permission: read},
	}}
	base := Request{Action: "s3:ListBucket", Bucket: Resource{Owner: bb, ACL: acl}}
	policy := Opinion{Verdict: Allow, Policy: "p", Statement: "s", Position: 7}
	with := func(change func(*Request)) *Request {
		r := base
		change(&r)
		return &r
	}
	for _, tc := range []struct {
		name string
		p    Principal
		r    *Request
		want Decision
	}{
		{"owner", Principal{CanonicalID: bb}, &base, Decision{Allowed: true, Kind: event.ReasonKind_REASON_KIND_OWNER}},
		{"grant", Principal{CanonicalID: xx}, &base, Decision{Allowed: true, Kind: event.ReasonKind_REASON_KIND_ACL_GRANT, Position: 2}},
		{"all", Principal{}, &base, Decision{Allowed: true, Kind: event.ReasonKind_REASON_KIND_ACL_GRANT, Position: 3}},
		{"root", Principal{CanonicalID: "r", Root: true}, &base, Decision{Allowed: true, Kind: event.ReasonKind_REASON_KIND_ROOT}},
		{"account", Principal{CanonicalID: xx}, &Request{Action: "s3:CreateBucket"}, Decision{Allowed: true, Kind: event.ReasonKind_REASON_KIND_ACCOUNT}},
		{"identity", Principal{CanonicalID: bb, User: "u"}, with(func(r *Request) { r.Identity = policy }),
			Decision{Allowed: true, Kind: event.ReasonKind_REASON_KIND_IDENTITY_POLICY, Policy: "p", Statement: "s", Position: 7}},
		{"bucket policy", Principal{CanonicalID: xx}, with(func(r *Request) { r.BucketPolicy = policy }),
			Decision{Allowed: true, Kind: event.ReasonKind_REASON_KIND_BUCKET_POLICY, Policy: "p", Statement: "s", Position: 7}},
		{"nothing", Principal{CanonicalID: xx}, with(func(r *Request) { r.Action = "s3:PutObject" }), Decision{}},
		{"denied by the bucket's policy", Principal{CanonicalID: bb}, with(func(r *Request) { r.BucketPolicy.Verdict = Deny }), Decision{Denied: true}},
		{"the policy that denies itself", Principal{CanonicalID: bb}, with(func(r *Request) { r.Action, r.BucketPolicy.Verdict = "s3:PutBucketPolicy", Deny }),
			Decision{Allowed: true, Kind: event.ReasonKind_REASON_KIND_OWNER}},
		{"the policy that denies itself, as was confirmed", Principal{CanonicalID: bb}, with(func(r *Request) {
			r.Action, r.BucketPolicy.Verdict, r.PolicyConfirmed = "s3:PutBucketPolicy", Deny, true
		}), Decision{Denied: true}},
		{"denied to root too", Principal{CanonicalID: "r", Root: true}, with(func(r *Request) { r.BucketPolicy.Verdict = Deny }), Decision{Denied: true}},
	} {
		if got := Decide(tc.p, tc.r); got != tc.want {
			t.Errorf("%s: got %+v, want %+v", tc.name, got, tc.want)
		}
	}
	reason := Decision{Allowed: true, Kind: event.ReasonKind_REASON_KIND_BUCKET_POLICY, Policy: "p", Statement: "s", Position: 7}.Reason(42)
	if reason.Kind != event.ReasonKind_REASON_KIND_BUCKET_POLICY || reason.View != 42 || reason.Position != 7 || reason.Policy != "p" || reason.Statement != "s" {
		t.Errorf("reason %v", reason)
	}
	if !s3err.Is(Decision{}.Err(), "AccessDenied") {
		t.Error("Err")
	}
}

// What policies say, by principal and by whose the object is.
func TestPolicies(t *testing.T) {
	private := func(owner string) *Resource {
		return &Resource{Owner: owner, ACL: made(t, "private", Object, owner)}
	}
	user := Principal{CanonicalID: xx, User: "u"}
	allow, silent, deny := Opinion{Verdict: Allow}, Opinion{}, Opinion{Verdict: Deny}
	for _, tc := range []struct {
		name               string
		p                  Principal
		object             *Resource
		own, ofBucket      Opinion
		get, put, disabled bool // disabled: GetObject with access control lists disabled
	}{
		{"anonymous by policy", Principal{}, private(bb), silent, allow, true, true, true},
		{"anonymous, foreign object", Principal{}, private(oo), silent, allow, false, true, true},
		{"account by policy", Principal{CanonicalID: xx}, private(bb), silent, allow, true, true, true},
		{"user of another account needs both", user, private(bb), silent, allow, false, false, false},
		{"user of another account has both", user, private(bb), allow, allow, true, true, true},
		{"user of another account, own side only", user, private(bb), allow, silent, false, false, false},
		{"user of the account by bucket policy", Principal{CanonicalID: bb, User: "u"}, private(bb), silent, allow, true, true, true},
		{"bucket owner, foreign object", Principal{CanonicalID: bb}, private(oo), silent, silent, false, true, true},
		{"object owner, foreign bucket", Principal{CanonicalID: oo}, private(oo), silent, silent, true, false, false},
		{"own denial", user, private(bb), deny, allow, false, false, false},
		{"bucket's denial", Principal{CanonicalID: bb}, private(bb), allow, deny, false, false, false},
		{"no object", Principal{CanonicalID: bb}, nil, silent, silent, false, true, false},
	} {
		r := &Request{Action: "s3:GetObject", Bucket: Resource{Owner: bb, ACL: made(t, "private", Bucket, bb)}, Object: tc.object, Identity: tc.own, BucketPolicy: tc.ofBucket}
		if got := Decide(tc.p, r); got.Allowed != tc.get {
			t.Errorf("%s: GetObject %+v", tc.name, got)
		}
		r.ACLsDisabled = true
		if got := Decide(tc.p, r); got.Allowed != tc.disabled {
			t.Errorf("%s: GetObject, lists disabled: %+v", tc.name, got)
		}
		r.ACLsDisabled, r.Action = false, "s3:PutObject"
		if got := Decide(tc.p, r); got.Allowed != tc.put {
			t.Errorf("%s: PutObject %+v", tc.name, got)
		}
	}
}

func TestPublicAccess(t *testing.T) {
	for name, public := range map[string]bool{
		"private": false, "public-read": true, "public-read-write": true, "authenticated-read": true,
		"log-delivery-write": false, "bucket-owner-read": false, "xx FULL_CONTROL": false,
	} {
		acl := made(t, name, Bucket, bb)
		if Public(acl) != public {
			t.Errorf("%s: Public", name)
		}
		for _, p := range []Principal{{}, {CanonicalID: xx}} {
			r := &Request{Action: "s3:ListBucket", Bucket: Resource{Owner: bb, ACL: acl}}
			open := Decide(p, r).Allowed
			r.IgnorePublicACLs = true
			if got := Decide(p, r).Allowed; got != (open && !public) {
				t.Errorf("%s: %+v with public grants ignored: %v", name, p, got)
			}
			r.ACLsDisabled = true
			if Decide(p, r).Allowed {
				t.Errorf("%s: %+v with lists disabled", name, p)
			}
		}
	}
	if Public(nil) {
		t.Error("no list is public")
	}
}

func TestUploads(t *testing.T) {
	byAccount, byUser := &Upload{Owner: xx, Initiator: xx}, &Upload{Owner: xx, Initiator: "u"}
	nobodys := &Upload{Owner: AnonymousID, Initiator: ""}
	allow := Opinion{Verdict: Allow}
	for _, tc := range []struct {
		name string
		p    Principal
		own  Opinion
		u    *Upload
		want bool
	}{
		{"bucket owner", Principal{CanonicalID: bb}, Opinion{}, byUser, true},
		{"account, own upload", Principal{CanonicalID: xx}, Opinion{}, byAccount, true},
		{"account, its user's", Principal{CanonicalID: xx}, Opinion{}, byUser, true},
		{"user, own upload", Principal{CanonicalID: xx, User: "u"}, allow, byUser, true},
		{"user without leave", Principal{CanonicalID: xx, User: "u"}, Opinion{}, byUser, false},
		{"user, the account's", Principal{CanonicalID: xx, User: "u"}, allow, byAccount, false},
		{"user, another's", Principal{CanonicalID: xx, User: "v"}, allow, byUser, false},
		{"other account", Principal{CanonicalID: oo}, Opinion{}, byAccount, false},
		{"anonymous, another's", Principal{}, Opinion{}, byAccount, false},
		{"anonymous, nobody's", Principal{}, Opinion{}, nobodys, false},
		{"no upload", Principal{CanonicalID: xx}, Opinion{}, nil, false},
	} {
		for _, action := range []string{"s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"} {
			r := &Request{Action: action, Bucket: Resource{Owner: bb, ACL: made(t, "public-read-write", Bucket, bb)}, Upload: tc.u, Identity: tc.own}
			if got := Decide(tc.p, r); got.Allowed != tc.want {
				t.Errorf("%s, %s: %+v", tc.name, action, got)
			}
		}
	}
}

// To write into an upload takes the right to write, and a part in the upload.
func TestWritingToUploads(t *testing.T) {
	u := &Upload{Owner: xx, Initiator: "u"}
	allow := Opinion{Verdict: Allow}
	for _, tc := range []struct {
		name        string
		p           Principal
		own         Opinion
		list        string
		want, plain bool // plain: without an upload
	}{
		{"bucket owner", Principal{CanonicalID: bb}, Opinion{}, "private", true, true},
		{"initiator", Principal{CanonicalID: xx, User: "u"}, allow, "public-read-write", true, true},
		{"initiator who may not write any more", Principal{CanonicalID: xx, User: "u"}, allow, "private", false, false},
		{"initiator's account", Principal{CanonicalID: xx}, Opinion{}, "public-read-write", true, true},
		{"another user of it", Principal{CanonicalID: xx, User: "v"}, allow, "public-read-write", true, true},
		{"another account", Principal{CanonicalID: oo}, Opinion{}, "public-read-write", false, true},
		{"anonymous", Principal{}, Opinion{}, "public-read-write", false, true},
		{"root", Principal{CanonicalID: "rrrr", Root: true}, Opinion{}, "private", true, true},
	} {
		r := &Request{Action: "s3:PutObject", Bucket: Resource{Owner: bb, ACL: made(t, tc.list, Bucket, bb)}, Upload: u, Identity: tc.own}
		if got := Decide(tc.p, r); got.Allowed != tc.want {
			t.Errorf("%s: %+v", tc.name, got)
		}
		r.BucketPolicy = allow // a policy lets others write, not into others' uploads
		if got := Decide(tc.p, r); got.Allowed != (tc.want || tc.p.CanonicalID == xx) {
			t.Errorf("%s, by policy: %+v", tc.name, got)
		}
		r.BucketPolicy, r.Upload = Opinion{}, nil
		if got := Decide(tc.p, r); got.Allowed != tc.plain {
			t.Errorf("%s, no upload: %+v", tc.name, got)
		}
	}
}

// An owner whom the list grants nothing keeps everything; a missing owner is nobody.
func TestOwnersWithoutGrants(t *testing.T) {
	none := &event.ACL{Owner: bb}
	r := &Request{Bucket: Resource{Owner: bb, ACL: none}, Object: &Resource{Owner: bb, ACL: none}}
	for _, action := range []string{"s3:GetBucketAcl", "s3:PutBucketAcl", "s3:ListBucket", "s3:PutObject", "s3:GetObject", "s3:GetObjectAcl", "s3:PutObjectAcl"} {
		r.Action = action
		if !Decide(Principal{CanonicalID: bb}, r).Allowed {
			t.Errorf("the owner lost %s", action)
		}
	}
	ownerless := &Request{Action: "s3:GetObject", Object: &Resource{ACL: &event.ACL{Grants: []*event.Grant{{Permission: read}, nil}}}}
	for _, p := range []Principal{{}, {User: "u"}, {Root: true}, {CanonicalID: xx}} {
		if d := Decide(p, ownerless); d.Allowed {
			t.Errorf("%+v: %+v", p, d)
		}
	}
}

func TestAbsent(t *testing.T) {
	yes, no, denied := Decision{Allowed: true}, Decision{}, Decision{Denied: true}
	for _, tc := range []struct {
		asked, list Decision
		want        string
	}{
		{yes, yes, "NoSuchKey"}, {no, yes, "NoSuchKey"}, {yes, no, "AccessDenied"},
		{no, no, "AccessDenied"}, {denied, yes, "AccessDenied"}, {yes, denied, "AccessDenied"},
	} {
		if got := Absent(tc.asked, tc.list, "NoSuchKey"); got.Code != tc.want {
			t.Errorf("%+v, %+v: %v", tc.asked, tc.list, got)
		}
	}
}

func TestPrincipal(t *testing.T) {
	for _, tc := range []struct {
		p         Principal
		id, owner string
		anonymous bool
	}{
		{Principal{}, "", AnonymousID, true},
		{Principal{User: "u", Root: true}, "", AnonymousID, true},
		{Principal{CanonicalID: xx}, xx, xx, false},
		{Principal{CanonicalID: xx, User: "u"}, "u", xx, false},
	} {
		if tc.p.ID() != tc.id || tc.p.Owner() != tc.owner || tc.p.Anonymous() != tc.anonymous {
			t.Errorf("%+v: %q %q", tc.p, tc.p.ID(), tc.p.Owner())
		}
	}
}
