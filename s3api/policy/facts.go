package policy

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Tag is a key and a value.
type Tag struct{ Key, Value string }

// Values gives headers or parameters by name; http.Header is one.
type Values interface {
	Values(name string) []string
}

// Claim is a condition key of a provider of identities, and its values.
type Claim struct {
	Key    string
	Values []string
}

// Facts are what is known of a request to S3. The zero value of each means that it is
// not known, and its key is missing.
type Facts struct {
	Action string
	// Now is the node's time.
	Now time.Time
	// Peer is the address at the other end of the connection. What a client or
	// proxy says of it counts for nothing.
	Peer netip.Addr
	// Secure: over TLS, of TLSVersion ("1.3").
	Secure     bool
	TLSVersion string

	// Header holds the request's headers, and what of a presigned query stands for one.
	Header Values
	// Query is the parsed query.
	Query map[string][]string

	Caller Caller
	// UserName is a user's; PrincipalTags are the principal's and its session's.
	UserName, UserID, PrincipalType string
	PrincipalTags                   []Tag
	// TokenIssued is when the session's token was made, MFA whether by a second factor.
	TokenIssued time.Time
	MFA         bool
	// Signed is when the request was; AuthType and SignatureVersion say how.
	Signed                     time.Time
	AuthType, SignatureVersion string

	// ResourceAccount is the number of the bucket owner's account.
	ResourceAccount string
	// Prefix stands for the parameter of that name where a key is judged as a listing
	// that would show it.
	Prefix *string
	// ExistingTags are the object's, RequestTags those that it is to have.
	ExistingTags, RequestTags []Tag
	// CopySource is "bucket/key" of what is copied, decoded: or an escape in the header
	// would lead around a denial.
	CopySource string
	// Version is the version id that is asked for.
	Version string
	// Claims are what the token said that a web identity's session began with.
	Claims []Claim
	// Region is the store's.
	Region string
	// Creation is "true" of what makes an object, and "false" of what makes a part of one.
	Creation string
	// ContentSHA256 is how the body is protected, as it was verified: a presigned
	// request says it nowhere.
	ContentSHA256 string
	// Location is what a new bucket's document asks for.
	Location string
	// LockMode, RetainUntil and LegalHold are those that the object is to have.
	LockMode, LegalHold string
	RetainUntil         time.Time
}

// NewContext makes the context of a request to S3. The keys are spelled out here, each
// with the fact it comes from: nothing of a request gets a key by bearing its name.
func NewContext(f *Facts) *Context {
	c := new(Context)
	f.setGlobal(c)
	f.setPrincipal(c)
	f.setSignature(c)
	f.setHeaders(c)
	f.setQuery(c)
	f.setTags(c)
	f.setLock(c)
	c.setText("s3:ResourceAccount", f.ResourceAccount)
	c.setText("aws:ResourceAccount", f.ResourceAccount)
	c.setText("s3:LocationConstraint", f.Location)
	c.setText("s3:ObjectCreationOperation", f.Creation)
	if f.CopySource != "" { // with and without a slash before the bucket it is the same
		c.Set("s3:x-amz-copy-source", f.CopySource, "/"+f.CopySource)
	}
	return c
}

// NewPrincipalContext makes the context of what is known of the caller alone, whatever it
// asks.
func NewPrincipalContext(f *Facts) *Context {
	c := new(Context)
	f.setPrincipal(c)
	return c
}

// setText sets a key unless its value is not known.
func (c *Context) setText(key, value string) {
	if value != "" {
		c.Set(key, value)
	}
}

func (f *Facts) setGlobal(c *Context) {
	if f.Peer.IsValid() {
		c.Set("aws:SourceIp", f.Peer.Unmap().WithZone("").String())
	}
	c.Set("aws:SecureTransport", strconv.FormatBool(f.Secure))
	c.setText("s3:TlsVersion", f.TLSVersion)
	c.setText("aws:RequestedRegion", f.Region)
	if !f.Now.IsZero() {
		c.Set("aws:CurrentTime", f.Now.UTC().Format(time.RFC3339Nano))
		c.Set("aws:EpochTime", strconv.FormatInt(f.Now.Unix(), 10))
	}
}

func (f *Facts) setPrincipal(c *Context) {
	c.setText("aws:username", f.UserName)
	c.setText("aws:userid", f.UserID)
	c.setText("aws:PrincipalAccount", f.Caller.Account)
	principal := f.Caller.ARN
	if f.Caller.Role != "" { // a session is known by its role
		principal = f.Caller.Role
	}
	c.setText("aws:PrincipalArn", principal)
	c.setText("aws:PrincipalType", f.PrincipalType)
	for _, x := range f.Claims {
		c.Set(x.Key, x.Values...)
	}
	for _, t := range f.PrincipalTags {
		c.add("aws:PrincipalTag/"+t.Key, t.Value)
	}
	if !f.TokenIssued.IsZero() {
		c.Set("aws:TokenIssueTime", f.TokenIssued.UTC().Format(time.RFC3339))
		c.Set("aws:MultiFactorAuthPresent", strconv.FormatBool(f.MFA))
		c.Set("sts:authentication", "true") // a key of Ceph's: the credentials are of a session
	}
}

func (f *Facts) setSignature(c *Context) {
	c.setText("s3:authType", f.AuthType)
	c.setText("s3:signatureversion", f.SignatureVersion)
	c.setText("s3:x-amz-content-sha256", f.ContentSHA256)
	if !f.Signed.IsZero() && !f.Now.IsZero() {
		c.Set("s3:signatureAge", strconv.FormatInt(max(0, f.Now.Sub(f.Signed).Milliseconds()), 10))
	}
}

// headerKeys are the keys that come from a header each.
var headerKeys = [...]struct{ key, header string }{
	{"aws:UserAgent", "User-Agent"},
	{"aws:Referer", "Referer"},
	{"s3:x-amz-acl", "X-Amz-Acl"},
	{"s3:x-amz-grant-read", "X-Amz-Grant-Read"},
	{"s3:x-amz-grant-write", "X-Amz-Grant-Write"},
	{"s3:x-amz-grant-read-acp", "X-Amz-Grant-Read-Acp"},
	{"s3:x-amz-grant-write-acp", "X-Amz-Grant-Write-Acp"},
	{"s3:x-amz-grant-full-control", "X-Amz-Grant-Full-Control"},
	{"s3:x-amz-metadata-directive", "X-Amz-Metadata-Directive"},
	{"s3:x-amz-object-ownership", "X-Amz-Object-Ownership"},
	{"s3:x-amz-server-side-encryption", "X-Amz-Server-Side-Encryption"},
	{"s3:x-amz-server-side-encryption-aws-kms-key-id", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"},
	{"s3:x-amz-server-side-encryption-customer-algorithm", "X-Amz-Server-Side-Encryption-Customer-Algorithm"},
	{"s3:x-amz-storage-class", "X-Amz-Storage-Class"},
	{"s3:x-amz-website-redirect-location", "X-Amz-Website-Redirect-Location"},
	{"s3:if-match", "If-Match"},
	{"s3:if-none-match", "If-None-Match"},
}

func (f *Facts) setHeaders(c *Context) {
	if f.Header == nil {
		return
	}
	for _, k := range headerKeys {
		if values := f.Header.Values(k.header); len(values) > 0 {
			c.Set(k.key, strings.Join(values, ","))
		}
	}
}

// lists are the actions that s3:prefix, s3:delimiter and s3:max-keys are for.
func lists(action string) bool {
	switch action {
	case "s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads":
		return true
	}
	return false
}

func (f *Facts) setQuery(c *Context) {
	c.setText("s3:VersionId", f.Version)
	if !lists(f.Action) {
		return
	}
	for _, name := range [...]string{"prefix", "delimiter", "max-keys"} {
		if values := f.Query[name]; len(values) > 0 && (values[0] != "" || name != "max-keys") { // an empty number is none
			c.Set("s3:"+name, values[0])
		}
	}
	if f.Prefix != nil {
		c.Set("s3:prefix", *f.Prefix)
	}
}

func (f *Facts) setTags(c *Context) {
	for _, t := range f.ExistingTags {
		c.add("s3:ExistingObjectTag/"+t.Key, t.Value)
	}
	for _, t := range f.RequestTags {
		c.add("s3:RequestObjectTag/"+t.Key, t.Value)
		c.add("s3:RequestObjectTagKeys", t.Key)
	}
}

func (f *Facts) setLock(c *Context) {
	c.setText("s3:object-lock-mode", f.LockMode)
	c.setText("s3:object-lock-legal-hold", f.LegalHold)
	if f.RetainUntil.IsZero() {
		return
	}
	c.Set("s3:object-lock-retain-until-date", f.RetainUntil.UTC().Format(time.RFC3339))
	if !f.Now.IsZero() {
		days := math.Ceil(f.RetainUntil.Sub(f.Now).Hours() / 24)
		c.Set("s3:object-lock-remaining-retention-days", strconv.FormatInt(int64(days), 10))
	}
}
