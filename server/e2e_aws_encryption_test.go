package server_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// encryption takes every kind of encryption through the SDK; a client's key over TLS.
func (a *awsRun) encryption() {
	b := content(30, 3<<20+5)
	out := a.put("sse/s3", b, func(in *s3.PutObjectInput) { in.ServerSideEncryption = types.ServerSideEncryptionAes256 })
	a.same("PUT", out.ServerSideEncryption, types.ServerSideEncryptionAes256)
	got, read := a.get("sse/s3", func(in *s3.GetObjectInput) { in.ChecksumMode = types.ChecksumModeEnabled })
	a.sameBytes("SSE-S3", got, b)
	a.same("GET", read.ServerSideEncryption, types.ServerSideEncryptionAes256)
	kms := a.put("sse/kms", b, func(in *s3.PutObjectInput) { in.ServerSideEncryption = types.ServerSideEncryptionAwsKms })
	a.same("the key's id", *kms.SSEKMSKeyId, "alias/aws/s3")
	got, _ = a.get("sse/kms")
	a.sameBytes("SSE-KMS", got, b)

	key := content(31, 32)
	text, sum := base64.StdEncoding.EncodeToString(key), contentMD5(key)
	in := func(in *s3.PutObjectInput) {
		in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = aws.String("AES256"), &text, &sum
	}
	if a.p.tls == nil {
		put := &s3.PutObjectInput{Bucket: a.bucket, Key: aws.String("sse/c"), Body: bytes.NewReader(b[:1000])} // short, for it is refused before it is read
		in(put)
		_, err := a.s3.PutObject(a.ctx, put)
		a.want("InvalidRequest", err)
		return
	}
	written := a.put("sse/c", b, in)
	a.same("PUT", *written.SSECustomerKeyMD5, sum)
	for _, r := range [][2]int{{0, len(b) - 1}, {65530, 65540}, {1 << 20, 3 << 20}, {len(b) - 1, len(b) - 1}} {
		got, read = a.get("sse/c", func(in *s3.GetObjectInput) {
			in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = aws.String("AES256"), &text, &sum
			in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", r[0], r[1]))
		})
		a.sameBytes("SSE-C", got, b[r[0]:r[1]+1])
		a.same("GET", *read.SSECustomerAlgorithm, "AES256")
	}
	_, err := a.s3.GetObject(a.ctx, &s3.GetObjectInput{Bucket: a.bucket, Key: aws.String("sse/c")})
	a.want("InvalidRequest", err)
	a.customerParts(text, sum)
}

// customerParts uploads parts under a client's key and copies the object away from it.
func (a *awsRun) customerParts(text, sum string) {
	algorithm, key := aws.String("AES256"), aws.String("sse/parts")
	created, err := a.s3.CreateMultipartUpload(a.ctx, &s3.CreateMultipartUploadInput{
		Bucket: a.bucket, Key: key, SSECustomerAlgorithm: algorithm, SSECustomerKey: &text, SSECustomerKeyMD5: &sum,
	})
	a.ok(err)
	parts := [][]byte{content(32, 5<<20+1), content(33, 100_000)}
	var done []types.CompletedPart
	for i, p := range parts {
		n := int32(i + 1)
		out, err := a.s3.UploadPart(a.ctx, &s3.UploadPartInput{
			Bucket: a.bucket, Key: key, UploadId: created.UploadId, PartNumber: &n, Body: bytes.NewReader(p),
			SSECustomerAlgorithm: algorithm, SSECustomerKey: &text, SSECustomerKeyMD5: &sum,
		})
		a.ok(err)
		done = append(done, types.CompletedPart{PartNumber: &n, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32})
	}
	_, err = a.s3.CompleteMultipartUpload(a.ctx, &s3.CompleteMultipartUploadInput{
		Bucket: a.bucket, Key: key, UploadId: created.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
		SSECustomerAlgorithm: algorithm, SSECustomerKey: &text, SSECustomerKeyMD5: &sum,
	})
	a.ok(err)
	_, err = a.s3.GetObject(a.ctx, &s3.GetObjectInput{Bucket: a.bucket, Key: key, PartNumber: aws.Int32(3)})
	a.want("InvalidPart", err)
	_, err = a.s3.GetObject(a.ctx, &s3.GetObjectInput{Bucket: a.bucket, Key: key, PartNumber: aws.Int32(2)})
	a.want("InvalidRequest", err)
	_, err = a.s3.CopyObject(a.ctx, &s3.CopyObjectInput{
		Bucket: a.bucket, Key: aws.String("sse/copied"), CopySource: aws.String(*a.bucket + "/" + *key), ServerSideEncryption: types.ServerSideEncryptionAes256,
		CopySourceSSECustomerAlgorithm: algorithm, CopySourceSSECustomerKey: &text, CopySourceSSECustomerKeyMD5: &sum,
	})
	a.ok(err)
	got, _ := a.get("sse/copied")
	a.sameBytes("copied from SSE-C", got, slices.Concat(parts...))
}
