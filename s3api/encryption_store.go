package s3api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"

	"ironman/fsm"
	"ironman/s3api/checksum"
	"ironman/s3api/s3err"
	"ironman/s3api/sse"
	"ironman/wal/event"
)

// store makes bytes durable, sealed under a data key of their own; size is -1 where
// it is not known. There is no blob of no bytes.
func (s *Server) store(ctx context.Context, body io.Reader, size int64, to *sealing) ([]*event.Blob, *event.Encryption, error) {
	if to == nil {
		b, err := s.Blobs.Put(ctx, body, size)
		return s.kept(b), nil, err
	}
	data := sse.RandomKey()
	defer data.Wipe()
	sealer := s.chunks.Seal(body, data)
	defer sealer.Close()
	if size >= 0 {
		size = int64(event.SealedSize(uint64(size)))
	}
	b, err := s.Blobs.Put(ctx, sealer, size)
	if err != nil {
		return nil, nil, err
	}
	blobs := s.kept(b)
	if blobs == nil {
		return nil, to.encryption(), nil
	}
	return blobs, to.encryption(to.wrapping.Wrap(data, b.Id)), nil
}

// kept gives up a blob to which nothing came, of a length that was not known.
func (s *Server) kept(b *event.Blob) []*event.Blob {
	if b == nil {
		return nil
	}
	if b.Size == 0 {
		s.Blobs.Abandon(b)
		return nil
	}
	return []*event.Blob{b}
}

// opaqueTag is an entity tag that tells nothing of the bytes; it has an MD5's form.
func opaqueTag() string {
	var b [16]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// appendSealing is how bytes behind those of an object are sealed: as the object is. A
// client's key must come along; what else the request says of encryption is passed over.
func (r *Request) appendSealing(old *fsm.Object) (*sealing, error) {
	if old == nil {
		return r.newSealing()
	}
	customer, err := r.customerKey(customerPrefix)
	if err != nil {
		return nil, err
	}
	w, err := r.wrappingOf(old.Encryption, customer)
	if err != nil || w == nil {
		return nil, err
	}
	e := old.Encryption
	return &sealing{
		&event.Encryption{Kind: e.Kind, KeyId: e.KeyId, CustomerKeyCheck: e.CustomerKeyCheck, Context: e.Context, BucketKey: e.BucketKey}, w, customer,
	}, nil
}

// uploadSealing is how a part of an upload is sealed. A client's key comes with
// every part and must be the upload's; what else a part says of encryption is passed
// over, for the upload has said it.
func (r *Request) uploadSealing(u *fsm.Upload) (*sealing, error) {
	customer, err := r.customerKey(customerPrefix)
	if err != nil {
		return nil, err
	}
	switch {
	case customer != nil && u.Encryption.GetKind() != sealedByCustomer:
		return nil, s3err.Newf("InvalidRequest", "The multipart upload initiate did not request encryption. Please resend the request without sending encryption parameters.")
	case customer == nil && u.Encryption.GetKind() == sealedByCustomer:
		return nil, s3err.Newf("InvalidRequest", "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.")
	}
	w, err := r.wrappingOf(u.Encryption, customer)
	if err != nil || w == nil {
		return nil, err
	}
	return &sealing{u.Encryption, w, customer}, nil
}

// completionSealing is that of the upload that is completed. As with Amazon a client's
// key need not come along unless the upload has a checksum algorithm; one that
// comes must be right.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
func (r *Request) completionSealing(u *fsm.Upload) (*sealing, error) {
	if u.Encryption.GetKind() == sealedByCustomer && u.ChecksumAlgorithm == noChecksum &&
		r.Header.Get(customerPrefix+"Algorithm") == "" && r.Header.Get(customerPrefix+"Key") == "" {
		return &sealing{event: u.Encryption}, nil
	}
	return r.uploadSealing(u)
}

// partEncryption is what the event of a part says: kind and keys, for the rest is
// the upload's.
func partEncryption(e *event.Encryption) *event.Encryption {
	if e == nil {
		return nil
	}
	return &event.Encryption{Kind: e.Kind, Keys: e.Keys}
}

// recode reads a range of a body and stores it anew, sealed in another way. It closes
// the view.
func (s *Server) recode(ctx context.Context, r *Request, segments []*event.Segment, rng byteRange, from *opening, to *sealing, algorithm event.ChecksumAlgorithm) ([]*event.Blob, *event.Encryption, *received, error) {
	pieces, err := r.pieces(segments, rng)
	if err != nil {
		return nil, nil, nil, err
	}
	r.closeView()
	want := checksum.Want{Algorithm: algorithm, Size: rng.length}
	if len(pieces) == 0 {
		return nil, to.encryption(), receivedOf(checksum.New(want).Sums(), 0), nil
	}
	body, err := s.openPieces(ctx, pieces, from)
	if err != nil {
		return nil, nil, nil, err
	}
	defer body.Close()
	hashed := checksum.NewReader(body, want, &s.blocks)
	blobs, e, err := s.store(ctx, hashed, rng.length, to)
	if err != nil {
		return nil, nil, nil, err
	}
	return blobs, e, receivedOf(hashed.Sums(), rng.length), nil
}

// maxRewrapped bounds the keys that a copy by reference brings along in its event.
const maxRewrapped = maxPartSegments

// share settles whether a copy may have the source's bytes as they are: both plain,
// or sealed in the same way. Keys are those of the blobs, wrapped for the copy; none:
// as they are wrapped for the source.
func (o *opening) share(to *sealing, blobs []*event.WrappedKey) (keys []*event.WrappedKey, ok bool, err error) {
	switch {
	case o == nil || to == nil:
		return nil, o == nil && to == nil, nil
	case o.encryption.Kind != to.event.Kind:
		return nil, false, nil
	case o.wrapsAlike(to):
		return nil, true, nil
	case len(blobs) > maxRewrapped:
		return nil, false, nil
	}
	for _, k := range blobs {
		data, err := o.key(k.Blob)
		if err != nil {
			return nil, false, err
		}
		keys = append(keys, to.wrapping.Wrap(data, k.Blob))
		data.Wipe()
	}
	return keys, true, nil
}

// wrapsAlike tells whether what is wrapped for the source opens for the copy.
func (o *opening) wrapsAlike(to *sealing) bool {
	a, b := o.encryption, to.event
	return a.KeyId == b.KeyId && a.Context == b.Context && string(a.CustomerKeyCheck) == string(b.CustomerKeyCheck)
}

// adopt makes a sealing under the client's key of the source's own, if the key is the
// same: then keys need not be wrapped anew.
func (s *sealing) adopt(from *opening) {
	if s.kind() != sealedByCustomer || from == nil || from.encryption.Kind != sealedByCustomer || !s.customer.key.Equal(from.customer.key.Secret) {
		return
	}
	s.event.CustomerKeyCheck, s.wrapping = from.encryption.CustomerKeyCheck, from.wrapping
}

// all are the wrapped keys of the whole object.
func (o *opening) all() []*event.WrappedKey {
	if o == nil {
		return nil
	}
	return o.list
}

// shareSegments is share for ranges of the source's blobs. Their keys always come along:
// a part has those of its own blobs only.
func (o *opening) shareSegments(to *sealing, segments []*event.Segment) ([]*event.WrappedKey, bool, error) {
	blobs := o.ofSegments(segments)
	keys, ok, err := o.share(to, blobs)
	if ok && keys == nil {
		keys = blobs
	}
	return keys, ok, err
}

// ofSegments are the wrapped keys of the blobs that segments name, each once.
func (o *opening) ofSegments(segments []*event.Segment) []*event.WrappedKey {
	if o == nil {
		return nil
	}
	var out []*event.WrappedKey
	seen := make(map[[16]byte]bool)
	for _, s := range segments {
		if id := s.Blob.Key(); !seen[id] && o.keys[id] != nil {
			seen[id] = true
			out = append(out, o.keys[id])
		}
	}
	return out
}
