// Package transact stages and commits transactions of IronMan-S3 for clients: puts, copies
// and deletes of up to 100 keys of a bucket, of which all are done at one moment, or none.
//
// What is put is staged by ordinary multipart uploads, through the SDK's own client; the
// commit is one request more, to the same endpoint, signed with the same credentials.
//
// It knows the SDK's client and the document of a transaction. It keeps nothing: what was
// staged lies in the bucket's open uploads until the transaction is committed or aborted,
// or a lifecycle rule aborts it (AbortIncompleteMultipartUpload).
package transact
