package transaction

// Bounds of a document.
const (
	MaxBytes      = 2 << 20
	MaxOperations = 100
	MaxParts      = 10_000 // of all puts together
)

// Document is what is to be done: all of it, or nothing.
type Document struct {
	Operations []Operation `json:"operations"`
}

// Operation is exactly one of the three.
type Operation struct {
	Put    *Put    `json:"put,omitempty"`
	Copy   *Copy   `json:"copy,omitempty"`
	Delete *Delete `json:"delete,omitempty"`
}

// Put makes an object of the parts of an upload, as CompleteMultipartUpload does.
type Put struct {
	Key      string `json:"key"`
	UploadID string `json:"uploadId"`
	Parts    []Part `json:"parts"`
	Checksums
	ChecksumType string `json:"checksumType,omitempty"`
	Size         *int64 `json:"size,omitempty"` // of the object, if it is to be compared
	IfMatch      string `json:"ifMatch,omitempty"`
	IfNoneMatch  string `json:"ifNoneMatch,omitempty"`
}

// Part is one that the object is made of.
type Part struct {
	PartNumber int    `json:"partNumber"`
	ETag       string `json:"etag,omitempty"`
	Checksums
}

// Checksums are in Base64; at most one of them.
type Checksums struct {
	CRC32     string `json:"checksumCRC32,omitempty"`
	CRC32C    string `json:"checksumCRC32C,omitempty"`
	CRC64NVME string `json:"checksumCRC64NVME,omitempty"`
	SHA1      string `json:"checksumSHA1,omitempty"`
	SHA256    string `json:"checksumSHA256,omitempty"`
}

// Copy makes an object of another's bytes by reference, as CopyObject does. What it reads
// is what was there before the transaction.
type Copy struct {
	Key               string            `json:"key"`
	Source            Source            `json:"source"`
	MetadataDirective string            `json:"metadataDirective,omitempty"` // COPY or REPLACE
	Metadata          map[string]string `json:"metadata,omitempty"`
	CacheControl      string            `json:"cacheControl,omitempty"`
	Disposition       string            `json:"contentDisposition,omitempty"`
	Encoding          string            `json:"contentEncoding,omitempty"`
	Language          string            `json:"contentLanguage,omitempty"`
	ContentType       string            `json:"contentType,omitempty"`
	Expires           string            `json:"expires,omitempty"`
	TaggingDirective  string            `json:"taggingDirective,omitempty"` // COPY or REPLACE
	Tagging           string            `json:"tagging,omitempty"`          // as in a query: a=b&c=d
	StorageClass      string            `json:"storageClass,omitempty"`
	ACL               string            `json:"acl,omitempty"` // a canned one
	LockMode          string            `json:"objectLockMode,omitempty"`
	LockUntil         string            `json:"objectLockRetainUntilDate,omitempty"`
	LegalHold         string            `json:"objectLockLegalHold,omitempty"`
	IfMatch           string            `json:"ifMatch,omitempty"`
	IfNoneMatch       string            `json:"ifNoneMatch,omitempty"`
}

// Source is what a copy reads.
type Source struct {
	Bucket      string `json:"bucket"`
	Key         string `json:"key"`
	VersionID   string `json:"versionId,omitempty"`
	IfMatch     string `json:"ifMatch,omitempty"`
	IfNoneMatch string `json:"ifNoneMatch,omitempty"`
}

// Delete removes what is current, or the version that is named, as DeleteObject does.
type Delete struct {
	Key                 string `json:"key"`
	VersionID           string `json:"versionId,omitempty"`
	IfMatch             string `json:"ifMatch,omitempty"`
	IfMatchSize         *int64 `json:"ifMatchSize,omitempty"`
	IfMatchLastModified string `json:"ifMatchLastModifiedTime,omitempty"` // as in HTTP
	BypassGovernance    bool   `json:"bypassGovernanceRetention,omitempty"`
}

// Key is the one that an operation is about.
func (o *Operation) Key() string {
	switch {
	case o.Put != nil:
		return o.Put.Key
	case o.Copy != nil:
		return o.Copy.Key
	case o.Delete != nil:
		return o.Delete.Key
	}
	return ""
}

// Answer is what came of a transaction that was committed.
type Answer struct {
	// Sequence of its event: a read that is as new shows all of it.
	Sequence uint64 `json:"sequence,omitempty"`
	// Repeated: it had been committed before, by the same request. Versions are those that
	// are still there.
	Repeated bool     `json:"repeated,omitempty"`
	Results  []Result `json:"results"` // in the order of the operations
}

// Result is what came of one operation.
type Result struct {
	Key          string `json:"key"`
	VersionID    string `json:"versionId,omitempty"` // that was made, or removed; of the null version none
	ETag         string `json:"etag,omitempty"`      // in quotes; of what was made
	Size         *int64 `json:"size,omitempty"`      // likewise
	DeleteMarker bool   `json:"deleteMarker,omitempty"`
}
