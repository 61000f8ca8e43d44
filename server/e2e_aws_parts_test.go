package server_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// lists checks both listings against what was put, page by page.
func (a *awsRun) lists() {
	bucket := aws.String("aws-lists")
	_, err := a.s3.CreateBucket(a.ctx, &s3.CreateBucketInput{Bucket: bucket})
	a.ok(err)
	keys := []string{"a", "b/1", "b/2", "b/c/3", "c d+e", "d&<>\"", "e\u00fc", "z"}
	for _, k := range keys {
		_, err := a.s3.PutObject(a.ctx, &s3.PutObjectInput{Bucket: bucket, Key: &k, Body: strings.NewReader(k)})
		a.ok(err)
	}
	for _, max := range []int32{1, 2, 3, 1000} {
		var got []string
		pages := s3.NewListObjectsV2Paginator(a.s3, &s3.ListObjectsV2Input{Bucket: bucket, MaxKeys: &max, FetchOwner: aws.Bool(true)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(a.ctx)
			a.ok(err)
			for _, o := range page.Contents {
				got = append(got, *o.Key)
				if *o.Size != int64(len(*o.Key)) || o.Owner == nil || *o.ETag == "" || o.StorageClass != "STANDARD" {
					a.Errorf("entry %+v", o)
				}
			}
		}
		a.same(fmt.Sprintf("v2 by %d", max), got, keys)
		got = nil
		in := &s3.ListObjectsInput{Bucket: bucket, MaxKeys: &max, Delimiter: aws.String("/")}
		for more := true; more; {
			page, err := a.s3.ListObjects(a.ctx, in)
			a.ok(err)
			for _, o := range page.Contents {
				got = append(got, *o.Key)
			}
			for _, p := range page.CommonPrefixes {
				got = append(got, *p.Prefix)
			}
			more, in.Marker = *page.IsTruncated, page.NextMarker
		}
		slices.Sort(got)
		a.same(fmt.Sprintf("v1 by %d", max), got, []string{"a", "b/", "c d+e", "d&<>\"", "e\u00fc", "z"})
	}
	out, err := a.s3.ListObjectsV2(a.ctx, &s3.ListObjectsV2Input{Bucket: bucket, Prefix: aws.String("b/"), Delimiter: aws.String("/"), StartAfter: aws.String("b/1")})
	a.ok(err)
	if len(out.Contents) != 1 || *out.Contents[0].Key != "b/2" || len(out.CommonPrefixes) != 1 || *out.CommonPrefixes[0].Prefix != "b/c/" {
		a.Errorf("prefix, delimiter, start-after: %+v %+v", out.Contents, out.CommonPrefixes)
	}
}

func (a *awsRun) deletes() {
	var ids []types.ObjectIdentifier
	for i := range 25 {
		key := fmt.Sprintf("deletes/%02d", i)
		a.put(key, []byte(key))
		ids = append(ids, types.ObjectIdentifier{Key: &key})
	}
	ids = append(ids, types.ObjectIdentifier{Key: aws.String("deletes/never there")})
	out, err := a.s3.DeleteObjects(a.ctx, &s3.DeleteObjectsInput{Bucket: a.bucket, Delete: &types.Delete{Objects: ids[5:]}})
	a.ok(err)
	a.same("deleted", len(out.Deleted), 21)
	a.same("errors", len(out.Errors), 0)
	out, err = a.s3.DeleteObjects(a.ctx, &s3.DeleteObjectsInput{Bucket: a.bucket, Delete: &types.Delete{Objects: ids[:4], Quiet: aws.Bool(true)}})
	a.ok(err)
	a.same("quiet", len(out.Deleted), 0)
	_, err = a.s3.DeleteObject(a.ctx, &s3.DeleteObjectInput{Bucket: a.bucket, Key: aws.String("deletes/never there")})
	a.ok(err)
	left, err := a.s3.ListObjectsV2(a.ctx, &s3.ListObjectsV2Input{Bucket: a.bucket, Prefix: aws.String("deletes/")})
	a.ok(err)
	if len(left.Contents) != 1 || *left.Contents[0].Key != "deletes/04" {
		a.Errorf("left: %+v", left.Contents)
	}
}

// upload begins an upload and sends parts; it returns what completes it.
func (a *awsRun) upload(key string, algorithm types.ChecksumAlgorithm, parts ...[]byte) (*string, []types.CompletedPart) {
	a.Helper()
	created, err := a.s3.CreateMultipartUpload(a.ctx, &s3.CreateMultipartUploadInput{Bucket: a.bucket, Key: &key,
		ChecksumAlgorithm: algorithm, ContentType: aws.String("video/x-test"), Metadata: map[string]string{"of": "upload"}})
	a.ok(err)
	var done []types.CompletedPart
	for i, b := range parts {
		n := int32(i + 1)
		out, err := a.s3.UploadPart(a.ctx, &s3.UploadPartInput{Bucket: a.bucket, Key: &key, UploadId: created.UploadId, PartNumber: &n,
			Body: bytes.NewReader(b), ChecksumAlgorithm: algorithm})
		a.ok(err)
		done = append(done, types.CompletedPart{PartNumber: &n, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32,
			ChecksumCRC32C: out.ChecksumCRC32C, ChecksumCRC64NVME: out.ChecksumCRC64NVME, ChecksumSHA1: out.ChecksumSHA1, ChecksumSHA256: out.ChecksumSHA256})
	}
	return created.UploadId, done
}

func (a *awsRun) complete(key string, id *string, parts []types.CompletedPart) (*s3.CompleteMultipartUploadOutput, error) {
	return a.s3.CompleteMultipartUpload(a.ctx, &s3.CompleteMultipartUploadInput{Bucket: a.bucket, Key: &key, UploadId: id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
}

func (a *awsRun) multipart() {
	parts := [][]byte{content(10, 5<<20), content(11, 6<<20+3), content(12, 1234)}
	whole := slices.Concat(parts...)
	for _, algorithm := range []types.ChecksumAlgorithm{"", types.ChecksumAlgorithmCrc64nvme, types.ChecksumAlgorithmSha256} {
		key := "multipart/" + string(algorithm)
		id, done := a.upload(key, algorithm, parts...)
		a.checkOpen(key, id, parts)
		out, err := a.complete(key, id, done)
		a.ok(err)
		again, err := a.complete(key, id, done) // a client that lost the answer asks again
		a.ok(err)
		a.same("repeated completion", *again.ETag, *out.ETag)
		var sums []byte
		for _, p := range parts {
			s := md5.Sum(p)
			sums = append(sums, s[:]...)
		}
		s := md5.Sum(sums)
		a.same("etag", *out.ETag, fmt.Sprintf(`"%s-3"`, hex.EncodeToString(s[:])))
		got, read := a.get(key, func(in *s3.GetObjectInput) { in.ChecksumMode = types.ChecksumModeEnabled })
		a.sameBytes(key, got, whole)
		a.same("type", *read.ContentType, "video/x-test")
		a.same("metadata", read.Metadata, map[string]string{"of": "upload"})
		got, read = a.get(key, func(in *s3.GetObjectInput) { in.PartNumber = aws.Int32(2) })
		a.sameBytes("part 2", got, parts[1])
		a.same("parts", *read.PartsCount, 3)
		got, _ = a.get(key, func(in *s3.GetObjectInput) { in.Range = aws.String("bytes=5242870-5242889") })
		a.sameBytes("across parts", got, whole[5242870:5242890])
	}
	a.multipartErrors(parts)
}

// checkOpen checks how an open upload is listed.
func (a *awsRun) checkOpen(key string, id *string, parts [][]byte) {
	a.Helper()
	uploads, err := a.s3.ListMultipartUploads(a.ctx, &s3.ListMultipartUploadsInput{Bucket: a.bucket, Prefix: &key})
	a.ok(err)
	if len(uploads.Uploads) != 1 || *uploads.Uploads[0].Key != key || *uploads.Uploads[0].UploadId != *id {
		a.Errorf("open uploads of %s: %+v", key, uploads.Uploads)
	}
	pages := s3.NewListPartsPaginator(a.s3, &s3.ListPartsInput{Bucket: a.bucket, Key: &key, UploadId: id, MaxParts: aws.Int32(2)})
	n := 0
	for pages.HasMorePages() {
		page, err := pages.NextPage(a.ctx)
		a.ok(err)
		for _, p := range page.Parts {
			if int(*p.PartNumber) != n+1 || *p.Size != int64(len(parts[n])) {
				a.Errorf("part %d of %s: %+v", n+1, key, p)
			}
			n++
		}
	}
	a.same("parts", n, len(parts))
}

// unchecked writes as a client does that sends no checksums, and reads as one that
// compares them: what the store computed by itself is what Amazon's SDK computes.
func (a *awsRun) unchecked() {
	plain := s3.New(a.s3.Options(), func(o *s3.Options) {
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	})
	key := aws.String("unchecked")
	for _, size := range []int{0, 1, 100_000} {
		b := content(uint64(size), size)
		put, err := plain.PutObject(a.ctx, &s3.PutObjectInput{Bucket: a.bucket, Key: key, Body: bytes.NewReader(b)})
		a.ok(err)
		got, out := a.get(*key, func(in *s3.GetObjectInput) { in.ChecksumMode = types.ChecksumModeEnabled })
		a.sameBytes("unchecked", got, b)
		a.same("checksum", aws.ToString(out.ChecksumCRC64NVME), base64CRC64(b))
		a.same("checksum of the PUT", aws.ToString(put.ChecksumCRC64NVME), base64CRC64(b))
		a.same("type", out.ChecksumType, types.ChecksumTypeFullObject)
	}
	parts := [][]byte{content(21, 5<<20), content(22, 100)}
	created, err := plain.CreateMultipartUpload(a.ctx, &s3.CreateMultipartUploadInput{Bucket: a.bucket, Key: key})
	a.ok(err)
	var done []types.CompletedPart
	for i, c := range []*s3.Client{plain, a.s3} { // the second one sends CRC32
		n := int32(i + 1)
		out, err := c.UploadPart(a.ctx, &s3.UploadPartInput{Bucket: a.bucket, Key: key, UploadId: created.UploadId, PartNumber: &n, Body: bytes.NewReader(parts[i])})
		a.ok(err)
		done = append(done, types.CompletedPart{PartNumber: &n, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32})
	}
	out, err := plain.CompleteMultipartUpload(a.ctx, &s3.CompleteMultipartUploadInput{Bucket: a.bucket, Key: key, UploadId: created.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: done}})
	a.ok(err)
	whole := slices.Concat(parts...)
	a.same("checksum of the completion", aws.ToString(out.ChecksumCRC64NVME), base64CRC64(whole))
	got, read := a.get(*key, func(in *s3.GetObjectInput) { in.ChecksumMode = types.ChecksumModeEnabled })
	a.sameBytes("unchecked parts", got, whole)
	a.same("checksum of parts", aws.ToString(read.ChecksumCRC64NVME), base64CRC64(whole))
	got, read = a.get(*key, func(in *s3.GetObjectInput) {
		in.ChecksumMode, in.PartNumber = types.ChecksumModeEnabled, aws.Int32(2)
	})
	a.sameBytes("one part", got, parts[1])
	a.same("checksum of one part", aws.ToString(read.ChecksumCRC64NVME), base64CRC64(parts[1]))
}

func (a *awsRun) multipartErrors(parts [][]byte) {
	id, done := a.upload("multipart/wrong", "", parts...)
	swapped := []types.CompletedPart{done[1], done[0]}
	_, err := a.complete("multipart/wrong", id, swapped)
	a.want("InvalidPartOrder", err)
	wrong := []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: done[1].ETag}}
	_, err = a.complete("multipart/wrong", id, wrong)
	a.want("InvalidPart", err)
	_, err = a.complete("multipart/wrong", id, []types.CompletedPart{{PartNumber: aws.Int32(9), ETag: done[1].ETag}})
	a.want("InvalidPart", err)
	_, err = a.complete("other key", id, done)
	a.want("NoSuchUpload", err)
	_, err = a.s3.AbortMultipartUpload(a.ctx, &s3.AbortMultipartUploadInput{Bucket: a.bucket, Key: aws.String("multipart/wrong"), UploadId: id})
	a.ok(err)
	_, err = a.complete("multipart/wrong", id, done)
	a.want("NoSuchUpload", err)
	_, err = a.s3.ListParts(a.ctx, &s3.ListPartsInput{Bucket: a.bucket, Key: aws.String("multipart/wrong"), UploadId: id})
	a.want("NoSuchUpload", err)
	small := [][]byte{content(13, 1000), content(14, 1000)}
	id, done = a.upload("multipart/small", "", small...)
	_, err = a.complete("multipart/small", id, done)
	a.want("EntityTooSmall", err)
	_, err = a.s3.HeadObject(a.ctx, &s3.HeadObjectInput{Bucket: a.bucket, Key: aws.String("multipart/small")})
	a.want("NotFound", err)
}

func (a *awsRun) partCopy() {
	source := content(15, 12<<20)
	a.put("part source", source)
	for _, algorithm := range []types.ChecksumAlgorithm{"", types.ChecksumAlgorithmCrc32} {
		key := "part copy" + string(algorithm)
		id, _ := a.upload(key, algorithm)
		var done []types.CompletedPart
		for i, r := range []string{"bytes=100-6000099", "bytes=1000000-7999999", ""} {
			n := int32(i + 1)
			in := &s3.UploadPartCopyInput{Bucket: a.bucket, Key: &key, UploadId: id, PartNumber: &n, CopySource: aws.String(*a.bucket + "/part%20source")}
			if r != "" {
				in.CopySourceRange = &r
			}
			out, err := a.s3.UploadPartCopy(a.ctx, in)
			a.ok(err)
			done = append(done, types.CompletedPart{PartNumber: &n, ETag: out.CopyPartResult.ETag, ChecksumCRC32: out.CopyPartResult.ChecksumCRC32})
		}
		_, err := a.complete(key, id, done)
		a.ok(err)
		got, _ := a.get(key)
		a.sameBytes(key, got, slices.Concat(source[100:6000100], source[1000000:8000000], source))
	}
	id, _ := a.upload("part copy", "")
	in := &s3.UploadPartCopyInput{Bucket: a.bucket, Key: aws.String("part copy"), UploadId: id, PartNumber: aws.Int32(1),
		CopySource: aws.String(*a.bucket + "/part%20source"), CopySourceRange: aws.String(fmt.Sprintf("bytes=0-%d", len(source)))}
	_, err := a.s3.UploadPartCopy(a.ctx, in)
	a.want("InvalidRange", err)
}
