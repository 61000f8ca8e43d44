package transact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ironman/s3api/transaction"
)

// Operations that need no staging, and what came of a transaction.
type (
	Copy   = transaction.Copy
	Source = transaction.Source
	Delete = transaction.Delete
	Answer = transaction.Answer
	Result = transaction.Result
)

// DefaultPartBytes is how long the parts are in which bytes are staged. Each is held in
// memory while it is sent.
const (
	DefaultPartBytes = 8 << 20
	MinPartBytes     = 5 << 20 // of all parts but the last
)

// Transaction is what is to be done to a bucket. For one goroutine.
type Transaction struct {
	// PartBytes is how long parts are, at least MinPartBytes; 0: DefaultPartBytes.
	PartBytes int

	client *s3.Client
	bucket string
	doc    transaction.Document
	staged []upload // that are neither committed nor aborted
	err    error    // of what could not be staged or said: there is nothing to commit then
	// unknown: it was sent, and no answer told what came of it. Only success or an end of it
	// changes that: what was sent may still be on its way.
	unknown bool
}

// upload is one that was begun.
type upload struct{ key, id string }

// New begins a transaction. The client must have a base endpoint.
func New(client *s3.Client, bucket string) *Transaction {
	return &Transaction{client: client, bucket: bucket}
}

// PutOptions say how an object is put.
type PutOptions struct {
	IfMatch     string // the entity tag that the object there must have; "*": any
	IfNoneMatch string // "*": there must be none
	// Upload changes the request that begins the upload, where what is stored beside the
	// bytes is said: content type, metadata, tags, encryption, a lock.
	Upload func(*s3.CreateMultipartUploadInput)
}

// Put stages an object. Whoever abandons the transaction aborts it, also after an error.
func (t *Transaction) Put(ctx context.Context, key string, body io.Reader, o PutOptions) error {
	if !utf8.ValidString(key) || !utf8.ValidString(o.IfMatch) || !utf8.ValidString(o.IfNoneMatch) {
		return t.fail(fmt.Errorf("transact: key %q or its condition is not UTF-8", key))
	}
	put, err := t.stage(ctx, key, body, o)
	if err != nil {
		return t.fail(err)
	}
	return t.add(transaction.Operation{Put: put})
}

// Copy adds a copy. It reads what was there before the transaction. An error is told by
// Commit, too.
func (t *Transaction) Copy(c Copy) error { return t.add(transaction.Operation{Copy: &c}) }

// Delete adds a delete. An error is told by Commit, too.
func (t *Transaction) Delete(d Delete) error { return t.add(transaction.Operation{Delete: &d}) }

// fail notes why nothing can be committed.
func (t *Transaction) fail(err error) error {
	t.err = errors.Join(t.err, err)
	return err
}

// stage uploads an object's bytes.
func (t *Transaction) stage(ctx context.Context, key string, body io.Reader, o PutOptions) (*transaction.Put, error) {
	partBytes, err := t.partBytes()
	if err != nil {
		return nil, err
	}
	in := &s3.CreateMultipartUploadInput{Bucket: &t.bucket, Key: &key}
	if o.Upload != nil {
		o.Upload(in)
		in.Bucket, in.Key = &t.bucket, &key
	}
	begun, err := t.client.CreateMultipartUpload(ctx, in)
	if err != nil {
		return nil, err
	}
	id := aws.ToString(begun.UploadId)
	t.staged = append(t.staged, upload{key, id})
	put := &transaction.Put{Key: key, UploadID: id, IfMatch: o.IfMatch, IfNoneMatch: o.IfNoneMatch}
	buffer := make([]byte, partBytes)
	for number := 1; ; number++ {
		n, err := io.ReadFull(body, buffer)
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return nil, err
		}
		if n == 0 && number > 1 {
			return put, nil
		}
		part, err := t.sendPart(ctx, upload{key, id}, number, buffer[:n])
		if err != nil {
			return nil, err
		}
		put.Parts = append(put.Parts, *part)
		if last {
			return put, nil
		}
	}
}

func (t *Transaction) partBytes() (int, error) {
	switch n := t.PartBytes; {
	case n == 0:
		return DefaultPartBytes, nil
	case n < MinPartBytes:
		return 0, fmt.Errorf("transact: parts of %d bytes are too short: at least %d", n, MinPartBytes)
	default:
		return n, nil
	}
}

// Abort gives up what was staged and not committed. A transaction that was aborted can be
// begun again from nothing.
func (t *Transaction) Abort(ctx context.Context) error {
	var failed []upload
	var errs []error
	for _, u := range t.staged {
		if _, err := t.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &t.bucket, Key: &u.key, UploadId: &u.id}); err != nil && !gone(err) {
			failed, errs = append(failed, u), append(errs, err)
		}
	}
	t.staged, t.doc, t.err, t.unknown = failed, transaction.Document{}, nil, false
	return errors.Join(errs...)
}
