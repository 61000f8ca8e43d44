package s3api_test

import (
	"slices"
	"strings"
)

// row is a request, and what the security list expects of it. The table knows Amazon's
// documentation and nothing of the code that decides.
type row struct {
	op      string // the operation that it must reach
	variant string // what is special about it; "": it is the plain one
	question
	// needs are all the rights that it takes, each of which can be lacking.
	needs []need
	// acl names the permissions of an access control list that give it to another
	// account: r READ, w WRITE, R READ_ACP, W WRITE_ACP. "": none does.
	acl string
	// owners of what is done to an object: b the bucket's, o the object's. "": it is done
	// to the bucket, or to nothing yet.
	owners string
	// service: there is no bucket yet. Every account may, and none by another's leave.
	service bool
	// upload: it is a step of somebody's upload, which others may not take.
	upload bool
	// grows: it adds to an object that is there and keeps its owner: that is for this
	// account and the bucket's alone, and not for the root account.
	grows bool
	// nobody: it is for everybody, and nobody is asked who it is.
	nobody bool
	// named: nobody may do it who does not say who it is, whatever policies say.
	named bool
	// want is the answer to whoever may: a status and a code, or "event" where it comes to
	// one. To others it is 403 AccessDenied, or with each key it answers for each key.
	want    string
	eachKey bool
}

// need is an action on a resource. own: whoever does it owns what it is done to, so that
// an account needs nobody's leave, and its users only that of their account.
type need struct {
	action, resource string
	own              bool
}

// needs reads rights such as "s3:GetObject BUCKET/KEY".
func needs(texts ...string) (out []need) {
	for _, s := range texts {
		f := strings.Fields(s)
		out = append(out, need{f[0], f[1], len(f) > 2})
	}
	return out
}

// config is something of a bucket that is its owner's alone.
func config(op, method, query, body, action, want string) row {
	return row{op: op, question: question{method: method, target: "/BUCKET?" + query, body: body}, needs: needs(action + " BUCKET"), want: want}
}

// object is something done to an object that is there.
func object(op, method, query, body, action, acl, owners, want string, headers ...string) row {
	return row{op: op, question: question{method, "/BUCKET/KEY" + query, body, headers}, needs: needs(action + " BUCKET/KEY"), acl: acl, owners: owners, want: want}
}

// as makes a variant of a row.
func (r row) as(variant string, change func(*row)) row {
	r.variant = variant
	change(&r)
	return r
}

const (
	tagsXML   = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
	aclXML    = "<AccessControlPolicy><Owner><ID>OWNER</ID></Owner><AccessControlList/></AccessControlPolicy>"
	policyDoc = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::BUCKET/*"}]}`
)

// s3Rows are all requests of the matrix.
func s3Rows() []row {
	all := append(append(append(serviceRows(), configRows()...), bucketRows()...), append(append(objectRows(), writeRows()...), copyRows()...)...)
	all = append(all, transactionRows()...)
	return append(all, pastRows(all)...)
}

// pastRows ask for the past what others ask for the present: that takes the same rights,
// as they are now. Of the moment there is all but what stands in the bucket's policy.
func pastRows(all []row) (out []row) {
	for _, r := range all {
		if !r.showsPast() {
			continue
		}
		out = append(out, r.as(strings.TrimSpace(r.variant+" as of a moment"), func(r *row) {
			r.target = strings.Replace(r.target, "/BUCKET", "/BUCKET--at-sMOMENT", 1)
			if r.op == "GetBucketPolicy" {
				r.want = "404 NoSuchBucketPolicy"
			}
			if r.op != "HeadBucket" && slices.ContainsFunc(r.needs, func(n need) bool { return n.action == "s3:ListBucket" }) {
				r.needs = append(slices.Clone(r.needs), needs("s3:ListBucketVersions BUCKET")...)
			}
		}))
	}
	return out
}

// showsPast tells whether a row can be asked as of a moment: reads of what history keeps.
func (r *row) showsPast() bool {
	return (r.method == "GET" || r.method == "HEAD") && strings.HasPrefix(r.target, "/BUCKET") && !slices.Contains([]string{"ListMultipartUploads", "ListParts", "GetBucketFeed", "GetBucketFeedCursor"}, r.op)
}

func serviceRows() []row {
	create := row{op: "CreateBucket", question: question{method: "PUT", target: "/fresh"}, needs: needs("s3:CreateBucket fresh"), service: true, want: "event"}
	return []row{
		{op: "ListBuckets", question: question{method: "GET", target: "/"}, needs: needs("s3:ListAllMyBuckets *"), service: true, want: "200"},
		create,
		create.as("with all that it can have", func(r *row) {
			r.headers = []string{"X-Amz-Acl", "public-read", "X-Amz-Object-Ownership", "ObjectWriter", "X-Amz-Bucket-Object-Lock-Enabled", "true"}
			r.needs = needs("s3:CreateBucket fresh", "s3:PutBucketAcl fresh own", "s3:PutBucketOwnershipControls fresh own",
				"s3:PutBucketObjectLockConfiguration fresh own", "s3:PutBucketVersioning fresh own")
		}),
		create.as("with tags", func(r *row) {
			r.body = "<CreateBucketConfiguration><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags></CreateBucketConfiguration>"
			r.needs = append(r.needs, needs("s3:TagResource fresh own")...)
		}),
		{op: "PreflightBucket", question: question{"OPTIONS", "/BUCKET", "", []string{"Origin", "https://a.example", "Access-Control-Request-Method", "GET"}}, nobody: true, want: "200"},
		{op: "PreflightObject", question: question{"OPTIONS", "/BUCKET/KEY", "", []string{"Origin", "https://a.example", "Access-Control-Request-Method", "PUT"}}, nobody: true, want: "403 AccessForbidden"},
	}
}

// configRows are the documents of a bucket.
func configRows() []row {
	return []row{
		config("GetBucketCors", "GET", "cors", "", "s3:GetBucketCORS", "200"),
		config("PutBucketCors", "PUT", "cors", "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>", "s3:PutBucketCORS", "event"),
		config("DeleteBucketCors", "DELETE", "cors", "", "s3:PutBucketCORS", "event"),
		config("GetBucketTagging", "GET", "tagging", "", "s3:GetBucketTagging", "200"),
		config("PutBucketTagging", "PUT", "tagging", tagsXML, "s3:PutBucketTagging", "event"),
		config("DeleteBucketTagging", "DELETE", "tagging", "", "s3:PutBucketTagging", "event"),
		config("GetBucketLifecycleConfiguration", "GET", "lifecycle", "", "s3:GetLifecycleConfiguration", "404 NoSuchLifecycleConfiguration"),
		config("PutBucketLifecycleConfiguration", "PUT", "lifecycle", "<LifecycleConfiguration><Rule><Filter/><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>", "s3:PutLifecycleConfiguration", "event"),
		config("DeleteBucketLifecycle", "DELETE", "lifecycle", "", "s3:PutLifecycleConfiguration", "204"),
		config("GetBucketEncryption", "GET", "encryption", "", "s3:GetEncryptionConfiguration", "404 ServerSideEncryptionConfigurationNotFoundError"),
		config("PutBucketEncryption", "PUT", "encryption", "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>", "s3:PutEncryptionConfiguration", "event"),
		config("DeleteBucketEncryption", "DELETE", "encryption", "", "s3:PutEncryptionConfiguration", "204"),
		config("GetBucketOwnershipControls", "GET", "ownershipControls", "", "s3:GetBucketOwnershipControls", "404 OwnershipControlsNotFoundError"),
		config("PutBucketOwnershipControls", "PUT", "ownershipControls", "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>", "s3:PutBucketOwnershipControls", "event"),
		config("DeleteBucketOwnershipControls", "DELETE", "ownershipControls", "", "s3:PutBucketOwnershipControls", "204"),
		config("GetPublicAccessBlock", "GET", "publicAccessBlock", "", "s3:GetBucketPublicAccessBlock", "404 NoSuchPublicAccessBlockConfiguration"),
		config("PutPublicAccessBlock", "PUT", "publicAccessBlock", "<PublicAccessBlockConfiguration/>", "s3:PutBucketPublicAccessBlock", "event"),
		config("DeletePublicAccessBlock", "DELETE", "publicAccessBlock", "", "s3:PutBucketPublicAccessBlock", "204"),
		config("GetBucketWebsite", "GET", "website", "", "s3:GetBucketWebsite", "404 NoSuchWebsiteConfiguration"),
		config("PutBucketWebsite", "PUT", "website", "<WebsiteConfiguration><IndexDocument><Suffix>i</Suffix></IndexDocument></WebsiteConfiguration>", "s3:PutBucketWebsite", "event"),
		config("DeleteBucketWebsite", "DELETE", "website", "", "s3:DeleteBucketWebsite", "204"),
		config("GetBucketNotificationConfiguration", "GET", "notification", "", "s3:GetBucketNotification", "200"),
		config("PutBucketNotificationConfiguration", "PUT", "notification", "<NotificationConfiguration/>", "s3:PutBucketNotification", "200"),
		config("GetBucketLogging", "GET", "logging", "", "s3:GetBucketLogging", "200"),
		config("PutBucketLogging", "PUT", "logging", "<BucketLoggingStatus/>", "s3:PutBucketLogging", "200"),
		config("GetBucketRequestPayment", "GET", "requestPayment", "", "s3:GetBucketRequestPayment", "200"),
		config("PutBucketRequestPayment", "PUT", "requestPayment", "<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>", "s3:PutBucketRequestPayment", "event"),
		config("GetBucketReplication", "GET", "replication", "", "s3:GetReplicationConfiguration", "404 ReplicationConfigurationNotFoundError"),
		config("PutBucketReplication", "PUT", "replication", "<ReplicationConfiguration/>", "s3:PutReplicationConfiguration", "501 NotImplemented"),
		config("DeleteBucketReplication", "DELETE", "replication", "", "s3:PutReplicationConfiguration", "204"),
		config("GetBucketFeed", "GET", "feed&from=0", "", "s3:GetBucketFeed", "200").as("", func(r *row) { r.named = true }),
		config("GetBucketFeedCursor", "GET", "feedCursor", "", "s3:GetBucketFeed", "200").as("", func(r *row) { r.named = true }),
		config("PutBucketFeedCursor", "PUT", "feedCursor=c&from=0&to=1", "", "s3:PutBucketFeedCursor", "event").as("", func(r *row) { r.named = true }),
		config("DeleteBucketFeedCursor", "DELETE", "feedCursor=c", "", "s3:PutBucketFeedCursor", "204").as("", func(r *row) { r.named = true }),
		config("GetBucketLocation", "GET", "location", "", "s3:GetBucketLocation", "200"),
		config("GetBucketVersioning", "GET", "versioning", "", "s3:GetBucketVersioning", "200"),
		config("PutBucketVersioning", "PUT", "versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>", "s3:PutBucketVersioning", "event"),
		config("GetObjectLockConfiguration", "GET", "object-lock", "", "s3:GetBucketObjectLockConfiguration", "200"),
		config("PutObjectLockConfiguration", "PUT", "object-lock", "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>", "s3:PutBucketObjectLockConfiguration", "event"),
		config("GetBucketPolicy", "GET", "policy", "", "s3:GetBucketPolicy", "200"),
		config("GetBucketPolicyStatus", "GET", "policyStatus", "", "s3:GetBucketPolicyStatus", "200"),
		config("PutBucketPolicy", "PUT", "policy", policyDoc, "s3:PutBucketPolicy", "event").as("", func(r *row) {
			r.headers = []string{"X-Amz-Confirm-Remove-Self-Bucket-Access", "true"} // else it takes the right to do it again
		}),
		config("DeleteBucketPolicy", "DELETE", "policy", "", "s3:DeleteBucketPolicy", "event"),
		config("DeleteBucket", "DELETE", "", "", "s3:DeleteBucket", "409 BucketNotEmpty"),
	}
}

// bucketRows are what access control lists of a bucket speak of.
func bucketRows() []row {
	list := func(op, query, action, acl string) row {
		r := config(op, "GET", query, "", action, "200")
		r.acl = acl
		return r
	}
	putACL := config("PutBucketAcl", "PUT", "acl", aclXML, "s3:PutBucketAcl", "event")
	putACL.acl = "W"
	head := list("HeadBucket", "", "s3:ListBucket", "r")
	head.method = "HEAD"
	deletes := config("DeleteObjects", "POST", "delete", "<Delete><Object><Key>KEY</Key></Object></Delete>", "s3:DeleteObject", "event")
	deletes.needs, deletes.acl, deletes.eachKey = needs("s3:DeleteObject BUCKET/KEY"), "w", true
	return []row{
		list("GetBucketAcl", "acl", "s3:GetBucketAcl", "R"), putACL,
		list("ListMultipartUploads", "uploads", "s3:ListBucketMultipartUploads", "r"),
		list("ListObjectVersions", "versions", "s3:ListBucketVersions", "r"),
		list("ListObjectsV2", "list-type=2", "s3:ListBucket", "r"),
		list("ListObjects", "", "s3:ListBucket", "r"), head, deletes,
		deletes.as("of a version", func(r *row) {
			r.body = "<Delete><Object><Key>KEY</Key><VersionId>VERSION</VersionId></Object></Delete>"
			r.needs, r.acl = needs("s3:DeleteObjectVersion BUCKET/KEY"), ""
		}),
		deletes.as("past governance", func(r *row) {
			r.body = "<Delete><Object><Key>KEY</Key><VersionId>VERSION</VersionId></Object></Delete>"
			r.headers = []string{"X-Amz-Bypass-Governance-Retention", "true"}
			r.needs, r.acl = needs("s3:DeleteObjectVersion BUCKET/KEY", "s3:BypassGovernanceRetention BUCKET/KEY"), ""
		}),
	}
}

// objectRows are about objects that are there. Who reads one needs the object, whoever
// owns the bucket; tags are both owners', locks the bucket's.
func objectRows() []row {
	attributes := object("GetObjectAttributes", "GET", "?attributes", "", "s3:GetObjectAttributes", "", "o", "200", "X-Amz-Object-Attributes", "ETag")
	attributes.needs = append(attributes.needs, needs("s3:GetObject BUCKET/KEY")...)
	get := object("GetObject", "GET", "", "", "s3:GetObject", "r", "o", "200")
	head := object("HeadObject", "HEAD", "", "", "s3:GetObject", "r", "o", "200")
	torrent := object("GetObjectTorrent", "GET", "?torrent", "", "s3:GetObjectTorrent", "r", "o", "404 NoSuchKey")
	getACL := object("GetObjectAcl", "GET", "?acl", "", "s3:GetObjectAcl", "R", "o", "200")
	putACL := object("PutObjectAcl", "PUT", "?acl", "", "s3:PutObjectAcl", "W", "o", "event", "X-Amz-Acl", "private")
	getTags := object("GetObjectTagging", "GET", "?tagging", "", "s3:GetObjectTagging", "", "bo", "200")
	putTags := object("PutObjectTagging", "PUT", "?tagging", tagsXML, "s3:PutObjectTagging", "", "bo", "event")
	deleteTags := object("DeleteObjectTagging", "DELETE", "?tagging", "", "s3:DeleteObjectTagging", "", "bo", "event")
	retain := object("PutObjectRetention", "PUT", "?retention", "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>", "s3:PutObjectRetention", "", "b", "event")
	version := func(query, action string) func(*row) { // S-D4: a version has actions of its own
		return func(r *row) { r.target, r.needs = "/BUCKET/KEY"+query+"versionId=VERSION", needs(action+" BUCKET/KEY") }
	}
	return []row{
		getACL, getACL.as("of a version", version("?acl&", "s3:GetObjectVersionAcl")),
		getTags, getTags.as("of a version", version("?tagging&", "s3:GetObjectVersionTagging")),
		object("GetObjectRetention", "GET", "?retention", "", "s3:GetObjectRetention", "", "bo", "404 NoSuchObjectLockConfiguration"),
		object("GetObjectLegalHold", "GET", "?legal-hold", "", "s3:GetObjectLegalHold", "", "bo", "404 NoSuchObjectLockConfiguration"),
		attributes,
		attributes.as("of a version", func(r *row) {
			r.target = "/BUCKET/KEY?attributes&versionId=VERSION"
			r.needs = needs("s3:GetObjectVersionAttributes BUCKET/KEY", "s3:GetObjectVersion BUCKET/KEY")
		}),
		torrent, torrent.as("of a version", version("?torrent&", "s3:GetObjectVersionTorrent")),
		get, get.as("of a version", version("?", "s3:GetObjectVersion")), get.as("of a part", func(r *row) { r.target += "?partNumber=1"; r.want = "206" }),
		head, head.as("of a version", version("?", "s3:GetObjectVersion")),
		putACL, putACL.as("of a version", version("?acl&", "s3:PutObjectVersionAcl")),
		putACL.as("by a document", func(r *row) { r.headers, r.body, r.owners = nil, aclXML, "" }), // which names the owner
		putTags, putTags.as("of a version", version("?tagging&", "s3:PutObjectVersionTagging")),
		deleteTags, deleteTags.as("of a version", version("?tagging&", "s3:DeleteObjectVersionTagging")),
		retain,
		retain.as("past governance", func(r *row) {
			r.headers = []string{"X-Amz-Bypass-Governance-Retention", "true"}
			r.needs = append(r.needs, needs("s3:BypassGovernanceRetention BUCKET/KEY")...)
		}),
		object("PutObjectLegalHold", "PUT", "?legal-hold", "<LegalHold><Status>ON</Status></LegalHold>", "s3:PutObjectLegalHold", "", "b", "event"),
		object("RestoreObject", "POST", "?restore", "<RestoreRequest/>", "s3:RestoreObject", "", "b", "403 InvalidObjectState"),
		object("SelectObjectContent", "POST", "?select&select-type=2", "<SelectObjectContentRequest/>", "s3:GetObject", "r", "o", "501 NotImplemented"),
	}
}

// locked also locks what is put.
func locked(r *row) {
	r.headers = append(slices.Clip(r.headers), "X-Amz-Object-Lock-Mode", "GOVERNANCE",
		"X-Amz-Object-Lock-Retain-Until-Date", "2099-01-01T00:00:00Z", "X-Amz-Object-Lock-Legal-Hold", "ON")
	r.needs, r.acl = append(slices.Clip(r.needs), needs("s3:PutObjectRetention BUCKET/KEY", "s3:PutObjectLegalHold BUCKET/KEY")...), ""
}

// also sets something more by a header, of what whoever puts it owns.
func also(action, header, value string) func(*row) {
	return func(r *row) {
		r.headers, r.needs = append(slices.Clip(r.headers), header, value), append(slices.Clip(r.needs), needs(action+" BUCKET/KEY own")...)
	}
}

// writeRows put and delete objects: that takes the bucket, whoever owns the object.
func writeRows() []row {
	put := object("PutObject", "PUT", "", "bytes", "s3:PutObject", "w", "", "event")
	post := put
	post.op, post.question = "PostObject", question{"POST", "/BUCKET", "bytes", []string{"key", "KEY"}}
	remove := object("DeleteObject", "DELETE", "", "", "s3:DeleteObject", "w", "", "event")
	begin := object("CreateMultipartUpload", "POST", "?uploads", "", "s3:PutObject", "w", "", "event")
	begin.named = true
	part := object("UploadPart", "PUT", "?partNumber=2&uploadId=UPLOAD", "bytes", "s3:PutObject", "", "", "event")
	complete := object("CompleteMultipartUpload", "POST", "?uploadId=UPLOAD", "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>ETAG</ETag></Part></CompleteMultipartUpload>", "s3:PutObject", "", "", "event")
	part.upload, complete.upload = true, true
	list, tags := also("s3:PutObjectAcl", "X-Amz-Acl", "public-read"), also("s3:PutObjectTagging", "X-Amz-Tagging", "a=b")
	grow := put.as("behind what is there", func(r *row) {
		r.headers, r.needs, r.acl = []string{"X-Amz-Write-Offset-Bytes", "9"}, append(r.needs, needs("s3:GetObject BUCKET/KEY")...), ""
		r.owners, r.grows = "o", true
	})
	return []row{
		put, put.as("with a list", list), put.as("with tags", tags), put.as("with a lock", locked),
		grow, put.as("behind nothing", func(r *row) { // takes no more than any PUT
			r.target, r.headers, r.needs = "/BUCKET/grown", []string{"X-Amz-Write-Offset-Bytes", "0"}, needs("s3:PutObject BUCKET/grown")
		}),
		post, post.as("with a lock", func(r *row) {
			locked(r)
			for i := 0; i < len(r.headers); i += 2 {
				r.headers[i] = strings.ToLower(r.headers[i])
			}
		}),
		post.as("with a list", also("s3:PutObjectAcl", "acl", "public-read")), post.as("with tags", also("s3:PutObjectTagging", "tagging", tagsXML)),
		begin, begin.as("with a list", list), begin.as("with tags", tags), begin.as("with a lock", locked),
		part, complete,
		object("ListParts", "GET", "?uploadId=UPLOAD", "", "s3:ListMultipartUploadParts", "", "", "200"),
		object("AbortMultipartUpload", "DELETE", "?uploadId=UPLOAD", "", "s3:AbortMultipartUpload", "", "", "event"),
		remove,
		remove.as("of a version", func(r *row) {
			r.target, r.needs, r.acl = "/BUCKET/KEY?versionId=VERSION", needs("s3:DeleteObjectVersion BUCKET/KEY"), ""
		}),
		remove.as("past governance", func(r *row) {
			r.target, r.headers = "/BUCKET/KEY?versionId=VERSION", []string{"X-Amz-Bypass-Governance-Retention", "true"}
			r.needs, r.acl = needs("s3:DeleteObjectVersion BUCKET/KEY", "s3:BypassGovernanceRetention BUCKET/KEY"), ""
		}),
	}
}

// copyRows read an object, too (S-D5).
func copyRows() []row {
	cp := object("CopyObject", "PUT", "", "", "s3:PutObject", "w", "", "event", "X-Amz-Copy-Source", "/source/open")
	cp.needs = append(cp.needs, needs("s3:GetObject source/open")...)
	cp.named = true
	part := cp
	part.op, part.target, part.upload, part.acl = "UploadPartCopy", "/BUCKET/KEY?partNumber=2&uploadId=UPLOAD", true, ""
	rename := object("RenameObject", "PUT", "?renameObject", "", "s3:PutObject", "", "", "event", "X-Amz-Rename-Source", "KEY")
	rename.target = "/BUCKET/renamed?renameObject"
	rename.needs = needs("s3:PutObject BUCKET/renamed", "s3:GetObject BUCKET/KEY", "s3:DeleteObject BUCKET/KEY")
	from := func(source, action string) func(*row) {
		return func(r *row) {
			r.headers = []string{"X-Amz-Copy-Source", "/source/" + source}
			resource, _, _ := strings.Cut(source, "?")
			r.needs, r.acl = append(r.needs[:1:1], needs(action+" source/"+resource)...), ""
		}
	}
	return []row{
		cp, cp.as("of what is closed to other accounts", from("closed", "s3:GetObject")), cp.as("of a version", from("closed?versionId=CLOSED", "s3:GetObjectVersion")),
		cp.as("of what has tags", func(r *row) {
			from("tagged", "s3:GetObject")(r)
			r.needs = append(r.needs, needs("s3:GetObjectTagging source/tagged", "s3:PutObjectTagging BUCKET/KEY own")...)
		}),
		cp.as("of a version that has tags", func(r *row) {
			from("tagged?versionId=TAGGED", "s3:GetObjectVersion")(r)
			r.needs = append(r.needs, needs("s3:GetObjectVersionTagging source/tagged", "s3:PutObjectTagging BUCKET/KEY own")...)
		}),
		cp.as("with a list", also("s3:PutObjectAcl", "X-Amz-Acl", "public-read")), cp.as("with a lock", locked),
		cp.as("with other tags", func(r *row) {
			also("s3:PutObjectTagging", "X-Amz-Tagging", "a=b")(r)
			r.headers = append(r.headers, "X-Amz-Tagging-Directive", "REPLACE")
		}),
		part, part.as("of what is closed to other accounts", from("closed", "s3:GetObject")), part.as("of a version", from("closed?versionId=CLOSED", "s3:GetObjectVersion")),
		rename,
	}
}
