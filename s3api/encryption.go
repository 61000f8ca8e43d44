package s3api

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"ironman/s3api/s3err"
	"ironman/s3api/sse"
	"ironman/wal/digest"
	"ironman/wal/event"
)

// The kinds of encryption, short.
const (
	notSealed        = event.EncryptionKind_ENCRYPTION_KIND_NONE
	sealedByS3       = event.EncryptionKind_ENCRYPTION_KIND_S3
	sealedByKMS      = event.EncryptionKind_ENCRYPTION_KIND_KMS
	sealedByCustomer = event.EncryptionKind_ENCRYPTION_KIND_CUSTOMER
)

// Headers of server-side encryption.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/serv-side-encryption.html
const (
	sseHeader        = "X-Amz-Server-Side-Encryption"
	sseKeyIDHeader   = sseHeader + "-Aws-Kms-Key-Id"
	sseContextHeader = sseHeader + "-Context"
	sseBucketKey     = sseHeader + "-Bucket-Key-Enabled"
	customerPrefix   = sseHeader + "-Customer-"
	sourcePrefix     = "X-Amz-Copy-Source-Server-Side-Encryption-Customer-"
)

// defaultKMSKey is the key of SSE-KMS where no other is named, as Amazon's.
const defaultKMSKey = "alias/aws/s3"

// maxContextBytes bounds an encryption context, decoded, as AWS KMS does.
const maxContextBytes = 8192

// customerKey is the key that a client sends for SSE-C. It is never stored.
type customerKey struct {
	key sse.Key
	md5 string // of the key, as the client sent it and the answer repeats it
}

// customerKey reads the three headers of a client's key; nil if there are none.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html
func (r *Request) customerKey(prefix string) (*customerKey, error) {
	algorithm, key, sum := r.Header.Get(prefix+"Algorithm"), r.Header.Get(prefix+"Key"), r.Header.Get(prefix+"Key-Md5")
	name := strings.ToLower(prefix)
	refuse := func(header, what string) error {
		// The value is not repeated: it may be a key.
		return s3err.Newf("InvalidArgument", "Requests specifying Server Side Encryption with Customer provided keys must provide %s.", what).
			With("ArgumentName", name+header).With("ArgumentValue", "null")
	}
	switch {
	case algorithm == "" && key == "" && sum == "":
		return nil, nil
	case r.HTTP.TLS == nil && !r.server.AllowInsecureSSEC:
		return nil, s3err.Newf("InvalidRequest", "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection.")
	case algorithm == "":
		return nil, refuse("algorithm", "a valid encryption algorithm")
	case algorithm != "AES256":
		return nil, s3err.New("InvalidEncryptionAlgorithmError").With("ArgumentName", name+"algorithm").With("ArgumentValue", algorithm)
	case key == "":
		return nil, refuse("key", "an appropriate secret key")
	case sum == "":
		return nil, refuse("key-md5", "the client calculated MD5 of the secret key")
	}
	b, err := base64.StdEncoding.DecodeString(key)
	defer clear(b)
	if err != nil || len(b) != sse.KeyBytes {
		return nil, s3err.InvalidArgument(name+"key", "null", "The secret key was invalid for the specified algorithm.")
	}
	md5 := digest.NewMD5()
	md5.Write(b)
	claimed, err := base64.StdEncoding.DecodeString(sum)
	if err != nil || subtle.ConstantTimeCompare(claimed, md5.Sum(nil)) != 1 {
		return nil, s3err.InvalidArgument(name+"key-md5", sum, "The calculated MD5 hash of the key did not match the hash that was provided.")
	}
	k, err := sse.NewKey(b)
	return &customerKey{k, sum}, err
}

// sealing is how the bytes of a write are sealed; nil: they are not.
type sealing struct {
	event    *event.Encryption // what the event says of it, without keys
	wrapping sse.Wrapping
	customer *customerKey // nil unless SSE-C
}

func (s *sealing) kind() event.EncryptionKind {
	if s == nil {
		return notSealed
	}
	return s.event.Kind
}

// encryption is what an event says of bytes whose data keys are wrapped; nil: plain.
func (s *sealing) encryption(keys ...*event.WrappedKey) *event.Encryption {
	if s == nil {
		return nil
	}
	return &event.Encryption{
		Kind: s.event.Kind, KeyId: s.event.KeyId, CustomerKeyCheck: s.event.CustomerKeyCheck, Keys: keys,
		Context: s.event.Context, BucketKey: s.event.BucketKey,
	}
}

// etag is the entity tag of bytes of which md5 is the MD5. Sealed with a key that the
// caller manages they have another, as with Amazon: it must not tell of the bytes. With a
// key that the client sent it is the same for the same bytes, so that a part may be sent
// again by whoever has not seen the answer.
func (s *sealing) etag(md5 string) string {
	switch s.kind() {
	case notSealed, sealedByS3:
		return md5
	case sealedByCustomer:
		return s.customer.key.Tag(md5)
	}
	return opaqueTag()
}

// headers tells a client how its bytes are sealed.
func (s *sealing) headers(h http.Header) {
	if s != nil {
		encryptionHeaders(h, s.event, s.customer)
	}
}

func encryptionHeaders(h http.Header, e *event.Encryption, customer *customerKey) {
	switch e.GetKind() {
	case sealedByS3:
		h.Set(sseHeader, "AES256")
	case sealedByKMS:
		h.Set(sseHeader, "aws:kms")
		h.Set(sseKeyIDHeader, e.KeyId)
		if e.BucketKey {
			h.Set(sseBucketKey, "true")
		}
	case sealedByCustomer:
		if customer != nil { // a completion may come without
			h.Set(customerPrefix+"Algorithm", "AES256")
			h.Set(customerPrefix+"Key-Md5", customer.md5)
		}
	}
}

// encryptionLevel is the feature level from which all nodes know sealed sizes.
const encryptionLevel = 3

// newSealing reads how the bytes of a new object are to be sealed: what the request
// says, else what the bucket's default is. POST uploads put their fields where the headers are.
func (r *Request) newSealing() (*sealing, error) {
	to, err := r.askedSealing()
	if err == nil && to != nil && r.cluster.GetFeatureLevel() < encryptionLevel {
		return nil, s3err.Newf("ServiceUnavailable", "Objects can be encrypted once all nodes of the cluster run this release.")
	}
	return to, err
}

func (r *Request) askedSealing() (*sealing, error) {
	customer, err := r.customerKey(customerPrefix)
	if err != nil {
		return nil, err
	}
	method := r.Header.Get(sseHeader)
	if customer != nil {
		if method != "" || r.Header.Get(sseKeyIDHeader) != "" {
			return nil, s3err.InvalidArgument(strings.ToLower(sseHeader), method,
				"Server Side Encryption with Customer provided key is incompatible with the encryption method specified")
		}
		return newCustomerSealing(customer), r.refuseBlocked()
	}
	switch method {
	case "":
		return r.defaultSealing()
	case "AES256", "aws:kms":
	case "aws:kms:dsse":
		return nil, s3err.Newf("NotImplemented", "Dual-layer encryption (aws:kms:dsse) is not implemented. Use aws:kms.")
	default:
		return nil, s3err.InvalidArgument(strings.ToLower(sseHeader), method, "The encryption method specified is not supported")
	}
	if method == "aws:kms" {
		context, err := r.encryptionContext()
		if err != nil {
			return nil, err
		}
		return r.server.newKMSSealing(r.Header.Get(sseKeyIDHeader), context, strings.EqualFold(r.Header.Get(sseBucketKey), "true"))
	}
	if err := r.refuseKMSHeaders(); err != nil {
		return nil, err
	}
	return r.server.newS3Sealing(), nil
}

// refuseKMSHeaders refuses those that mean something for SSE-KMS only.
func (r *Request) refuseKMSHeaders() error {
	for _, name := range []string{sseKeyIDHeader, sseContextHeader} {
		if v := r.Header.Get(name); v != "" {
			return s3err.InvalidArgument(strings.ToLower(name), v,
				"Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms")
		}
	}
	return nil
}

// encryptionContext reads the context of SSE-KMS: base64 of a JSON object of strings. It
// is kept in one form, so that equal contexts are equal bytes.
func (r *Request) encryptionContext() (string, error) {
	v := r.Header.Get(sseContextHeader)
	if v == "" {
		return "", nil
	}
	refused := s3err.InvalidArgument(strings.ToLower(sseContextHeader), v, "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string holding JSON which represents a string-string map")
	b, err := base64.StdEncoding.DecodeString(v)
	if err != nil || len(b) > maxContextBytes {
		return "", refused
	}
	var pairs map[string]string
	if json.Unmarshal(b, &pairs) != nil || pairs == nil {
		return "", refused
	}
	if b, err = json.Marshal(pairs); err != nil { // sorted
		return "", refused
	}
	return string(b), nil
}

func newCustomerSealing(c *customerKey) *sealing {
	w := sse.NewCustomer(c.key)
	return &sealing{&event.Encryption{Kind: sealedByCustomer, CustomerKeyCheck: w.Check()}, w, c}
}

func (s *Server) newS3Sealing() *sealing {
	return &sealing{&event.Encryption{Kind: sealedByS3}, s.Secrets.Masters().S3(), nil}
}

func (s *Server) newKMSSealing(id, context string, bucketKey bool) (*sealing, error) {
	if id == "" {
		id = defaultKMSKey
	}
	if !s.knownKMSKey(id) {
		return nil, s3err.Newf("KMS.NotFoundException", "Invalid keyId '%s'", id)
	}
	return &sealing{
		&event.Encryption{Kind: sealedByKMS, KeyId: id, Context: context, BucketKey: bucketKey}, s.Secrets.Masters().KMS(id, context), nil,
	}, nil
}

// maxKMSKeyID is the longest name of a key, well above that of an ARN.
const maxKMSKeyID = 2048

// knownKMSKey tells whether a key may be used for new objects. A name is all that a key
// is: what bytes it has follows from the keyring.
func (s *Server) knownKMSKey(id string) bool {
	if id == defaultKMSKey {
		return true
	}
	if len(id) > maxKMSKeyID || !validHeaderValue(id) {
		return false
	}
	for _, k := range s.KMSKeys {
		prefix, pattern := strings.CutSuffix(k, "*")
		if k == id || pattern && strings.HasPrefix(id, prefix) && len(id) > len(prefix) {
			return true
		}
	}
	return false
}

// asksEncryption tells whether the request says how bytes are to be sealed.
func (r *Request) asksEncryption() bool {
	return r.Header.Get(sseHeader) != "" || r.Header.Get(customerPrefix+"Algorithm") != ""
}

// refuseWriteEncryption refuses, on a read, headers that only a write can have.
func (r *Request) refuseWriteEncryption() error {
	for _, name := range []string{sseHeader, sseKeyIDHeader, sseContextHeader} {
		if v := r.Header.Get(name); v != "" {
			return s3err.InvalidArgument(strings.ToLower(name), v, strings.ToLower(name)+" header is not supported for this operation.")
		}
	}
	return nil
}
