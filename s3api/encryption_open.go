package s3api

import (
	"context"
	"errors"
	"fmt"
	"io"

	"ironman/fsm"
	"ironman/s3api/s3err"
	"ironman/s3api/sse"
	"ironman/wal/event"
)

// opening is how the bytes of an object are opened; nil: they are plain.
type opening struct {
	encryption *event.Encryption
	wrapping   sse.Wrapping
	customer   *customerKey
	list       []*event.WrappedKey
	keys       map[[16]byte]*event.WrappedKey // by blob
}

// opening settles how an object is opened, and refuses a client's key that is missing,
// wrong, or not called for. It reads no bytes.
func (r *Request) opening(o *fsm.Object, customer *customerKey) (*opening, error) {
	e := o.Encryption
	w, err := r.wrappingOf(e, customer)
	if err != nil || w == nil {
		return nil, err
	}
	list, err := r.view.Keys(o)
	if err != nil {
		return nil, err
	}
	return newOpening(e, w, customer, list), nil
}

func newOpening(e *event.Encryption, w sse.Wrapping, customer *customerKey, list []*event.WrappedKey) *opening {
	out := &opening{encryption: e, wrapping: w, customer: customer, list: list, keys: make(map[[16]byte]*event.WrappedKey, len(list))}
	for _, k := range list {
		out.keys[k.Blob.Key()] = k
	}
	return out
}

// opening is how what was sealed so is opened again; nil: it is plain.
func (s *sealing) opening(keys []*event.WrappedKey) (*opening, error) {
	switch {
	case s == nil:
		return nil, nil
	case s.wrapping == nil:
		return nil, s3err.Newf("InvalidRequest", "The object's checksum can be compared only by reading its parts. The encryption key that they were stored with must be provided.")
	}
	return newOpening(s.event, s.wrapping, s.customer, keys), nil
}

// wrappingOf is how the data keys of stored bytes are wrapped; nil if they are plain.
func (r *Request) wrappingOf(e *event.Encryption, customer *customerKey) (sse.Wrapping, error) {
	if customer != nil && e.GetKind() != sealedByCustomer {
		return nil, s3err.Newf("InvalidRequest", "The encryption parameters are not applicable to this object.")
	}
	switch e.GetKind() {
	case notSealed:
		return nil, nil
	case sealedByS3:
		return r.server.Secrets.Masters().S3(), nil
	case sealedByKMS:
		return r.server.Secrets.Masters().KMS(e.KeyId, e.Context), nil
	case sealedByCustomer:
		if customer == nil {
			return nil, s3err.Newf("InvalidRequest", "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.")
		}
		return openCustomer(customer, e)
	}
	return nil, fmt.Errorf("s3api: encryption of the unknown kind %v", e.Kind)
}

// openCustomer compares a client's key with the one that was used.
func openCustomer(customer *customerKey, e *event.Encryption) (*sse.Customer, error) {
	w, err := sse.OpenCustomer(customer.key, e.CustomerKeyCheck)
	if errors.Is(err, sse.ErrWrongKey) {
		return nil, s3err.Newf("InvalidRequest", "The provided encryption parameters did not match the ones used originally.")
	}
	return w, err
}

// key opens the data key of a blob.
func (o *opening) key(blob *event.BlobID) (sse.Key, error) {
	w := o.keys[blob.Key()]
	if w == nil {
		return sse.Key{}, fmt.Errorf("s3api: a sealed blob has no key: %v", blob)
	}
	k, err := o.wrapping.Unwrap(w)
	if err != nil {
		return k, fmt.Errorf("s3api: the key of blob %v: %w", blob, err)
	}
	return k, nil
}

// openBlob opens a range of plain bytes of a blob.
func (s *Server) openBlob(ctx context.Context, p piece, from *opening) (io.ReadCloser, error) {
	if from == nil {
		return s.Blobs.Open(ctx, p.blob, p.offset, p.length)
	}
	at, err := sse.Locate(int64(p.blob.Size), p.offset, p.length)
	if err != nil {
		return nil, err
	}
	data, err := from.key(p.blob.Id)
	if err != nil {
		return nil, err
	}
	defer data.Wipe()
	sealed, err := s.Blobs.Open(ctx, p.blob, at.Offset, at.Length)
	if err != nil {
		return nil, err
	}
	return s.chunks.Open(sealed, data, at), nil
}
