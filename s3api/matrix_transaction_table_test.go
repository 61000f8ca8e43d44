package s3api_test

// transactionRows take the right of each operation, as it is taken by itself. The document
// is never a stranger's.
func transactionRows() []row {
	commit := func(operations string, rights ...string) func(*row) {
		return func(r *row) {
			r.body, r.needs, r.acl = `{"operations":[`+operations+`]}`, needs(rights...), ""
		}
	}
	const (
		from  = `"source":{"bucket":"source","key":"open"}`
		plain = `{"copy":{"key":"KEY",` + from + `}}`
	)
	two := config("CommitTransaction", "POST", "transaction", "", "s3:PutObject", "event")
	two.named = true
	commit(`{"copy":{"key":"copied",`+from+`}},{"delete":{"key":"KEY"}}`, "s3:PutObject BUCKET/copied", "s3:GetObject source/open", "s3:DeleteObject BUCKET/KEY")(&two)
	two.acl = "w"
	given := func(change func(*row)) func(*row) { // by a grant, too
		return func(r *row) {
			change(r)
			r.acl = "w"
		}
	}
	put := two.as("of a put", commit(`{"put":{"key":"KEY","uploadId":"UPLOAD","parts":[{"partNumber":1,"etag":"ETAG"}]}}`, "s3:PutObject BUCKET/KEY"))
	put.upload = true
	return []row{
		two, put,
		two.as("of a put and a delete", func(r *row) {
			commit(`{"delete":{"key":"else"}},{"put":{"key":"KEY","uploadId":"UPLOAD","parts":[{"partNumber":1,"etag":"ETAG"}]}}`, "s3:DeleteObject BUCKET/else", "s3:PutObject BUCKET/KEY")(r)
			r.upload = true
		}),
		two.as("of a copy of what is closed to other accounts", commit(`{"copy":{"key":"KEY","source":{"bucket":"source","key":"closed"}}}`,
			"s3:PutObject BUCKET/KEY", "s3:GetObject source/closed")),
		two.as("of a copy of a version", commit(`{"copy":{"key":"KEY","source":{"bucket":"source","key":"closed","versionId":"CLOSED"}}}`,
			"s3:PutObject BUCKET/KEY", "s3:GetObjectVersion source/closed")),
		two.as("of a copy of what has tags", commit(`{"copy":{"key":"KEY","source":{"bucket":"source","key":"tagged"}}}`,
			"s3:PutObject BUCKET/KEY", "s3:GetObject source/tagged", "s3:GetObjectTagging source/tagged", "s3:PutObjectTagging BUCKET/KEY own")),
		two.as("of a copy with a list", given(commit(`{"copy":{"key":"KEY",`+from+`,"acl":"public-read"}}`,
			"s3:PutObject BUCKET/KEY", "s3:GetObject source/open", "s3:PutObjectAcl BUCKET/KEY own"))),
		two.as("of a copy with other tags", given(commit(`{"copy":{"key":"KEY",`+from+`,"taggingDirective":"REPLACE","tagging":"a=b"}}`,
			"s3:PutObject BUCKET/KEY", "s3:GetObject source/open", "s3:PutObjectTagging BUCKET/KEY own"))),
		two.as("of a copy with a lock", commit(
			`{"copy":{"key":"KEY",`+from+`,"objectLockMode":"GOVERNANCE","objectLockRetainUntilDate":"2099-01-01T00:00:00Z","objectLockLegalHold":"ON"}}`,
			"s3:PutObject BUCKET/KEY", "s3:GetObject source/open", "s3:PutObjectRetention BUCKET/KEY", "s3:PutObjectLegalHold BUCKET/KEY")),
		two.as("of a copy and a delete of a version", commit(plain+`,{"delete":{"key":"else","versionId":"VERSION"}}`,
			"s3:PutObject BUCKET/KEY", "s3:GetObject source/open", "s3:DeleteObjectVersion BUCKET/else")),
		two.as("of a delete past governance", commit(`{"delete":{"key":"KEY","versionId":"VERSION","bypassGovernanceRetention":true}}`,
			"s3:DeleteObjectVersion BUCKET/KEY", "s3:BypassGovernanceRetention BUCKET/KEY")),
	}
}
