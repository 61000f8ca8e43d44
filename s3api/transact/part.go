package transact

import (
	"bytes"
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"ironman/s3api/transaction"
)

// sendPart stages a part. What the SDK computed of its bytes is said again at the commit.
func (t *Transaction) sendPart(ctx context.Context, u upload, number int, b []byte) (*transaction.Part, error) {
	out, err := t.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &t.bucket, Key: &u.key, UploadId: &u.id, PartNumber: aws.Int32(int32(number)), Body: bytes.NewReader(b),
	})
	if err != nil {
		return nil, err
	}
	p := &transaction.Part{PartNumber: number, ETag: aws.ToString(out.ETag)}
	switch { // at most one of them counts
	case out.ChecksumCRC64NVME != nil:
		p.CRC64NVME = *out.ChecksumCRC64NVME
	case out.ChecksumCRC32 != nil:
		p.CRC32 = *out.ChecksumCRC32
	case out.ChecksumCRC32C != nil:
		p.CRC32C = *out.ChecksumCRC32C
	case out.ChecksumSHA256 != nil:
		p.SHA256 = *out.ChecksumSHA256
	case out.ChecksumSHA1 != nil:
		p.SHA1 = *out.ChecksumSHA1
	}
	return p, nil
}

// gone tells that there is no such upload any more.
func gone(err error) bool {
	var e smithy.APIError
	return errors.As(err, &e) && e.ErrorCode() == "NoSuchUpload"
}
