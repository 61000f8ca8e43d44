package server_test

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// attributes reads what Amazon's SDK reads of objects of one part and of several.
func (a *awsRun) attributes() {
	ask := func(key string, change func(*s3.GetObjectAttributesInput)) (*s3.GetObjectAttributesOutput, error) {
		in := &s3.GetObjectAttributesInput{Bucket: a.bucket, Key: &key, ObjectAttributes: types.ObjectAttributesEtag.Values()}
		if change != nil {
			change(in)
		}
		return a.s3.GetObjectAttributes(a.ctx, in)
	}
	put := a.put("attributes/plain", []byte("plain"), func(in *s3.PutObjectInput) { in.ChecksumAlgorithm = types.ChecksumAlgorithmSha256 })
	out, err := ask("attributes/plain", nil)
	a.ok(err)
	a.same("etag", `"`+*out.ETag+`"`, *put.ETag)
	a.same("size", *out.ObjectSize, 5)
	a.same("class", out.StorageClass, "STANDARD")
	a.same("checksum", *out.Checksum.ChecksumSHA256, *put.ChecksumSHA256)
	a.same("type", out.Checksum.ChecksumType, "FULL_OBJECT")
	if out.ObjectParts != nil || out.LastModified == nil {
		a.Errorf("%+v", out)
	}
	out, err = ask("attributes/plain", func(in *s3.GetObjectAttributesInput) {
		in.ObjectAttributes = []types.ObjectAttributes{types.ObjectAttributesObjectSize}
	})
	a.ok(err)
	if out.ETag != nil || out.Checksum != nil || out.StorageClass != "" || *out.ObjectSize != 5 {
		a.Errorf("what was not asked for: %+v", out)
	}
	_, err = ask("attributes/plain", func(in *s3.GetObjectAttributesInput) { in.ObjectAttributes = []types.ObjectAttributes{"Owner"} })
	a.want("InvalidArgument", err)
	_, err = ask("attributes/none", nil)
	a.want("NoSuchKey", err)
	_, err = a.other.GetObjectAttributes(a.ctx, &s3.GetObjectAttributesInput{Bucket: a.bucket, Key: aws.String("attributes/plain"), ObjectAttributes: types.ObjectAttributesEtag.Values()})
	a.want("AccessDenied", err)
	a.attributesOfParts(ask)
}

// attributesOfParts reads an object's parts at once and page by page.
func (a *awsRun) attributesOfParts(ask func(string, func(*s3.GetObjectAttributesInput)) (*s3.GetObjectAttributesOutput, error)) {
	parts := [][]byte{content(20, 5<<20), content(21, 5<<20), content(22, 77)}
	id, done := a.upload("attributes/parts", types.ChecksumAlgorithmSha256, parts...)
	_, err := a.complete("attributes/parts", id, done)
	a.ok(err)
	out, err := ask("attributes/parts", nil)
	a.ok(err)
	a.same("type", out.Checksum.ChecksumType, "COMPOSITE")
	a.same("parts", *out.ObjectParts.TotalPartsCount, 3)
	a.same("shown", len(out.ObjectParts.Parts), 3)
	a.same("truncated", *out.ObjectParts.IsTruncated, false)
	marker, seen := "", 0
	for {
		page, err := ask("attributes/parts", func(in *s3.GetObjectAttributesInput) {
			in.MaxParts = aws.Int32(1)
			if marker != "" {
				in.PartNumberMarker = &marker
			}
		})
		a.ok(err)
		if len(page.ObjectParts.Parts) != 1 {
			a.Fatalf("a page of one part: %+v", page.ObjectParts)
		}
		p := page.ObjectParts.Parts[0]
		a.same("number", *p.PartNumber, seen+1)
		a.same("size", *p.Size, len(parts[seen]))
		a.same("checksum", *p.ChecksumSHA256, *done[seen].ChecksumSHA256)
		a.same("total", *page.ObjectParts.TotalPartsCount, 3)
		seen++
		if !*page.ObjectParts.IsTruncated {
			break
		}
		marker = *page.ObjectParts.NextPartNumberMarker
	}
	a.same("parts by page", seen, 3)
	beyond, err := ask("attributes/parts", func(in *s3.GetObjectAttributesInput) { in.PartNumberMarker = aws.String("3") })
	a.ok(err)
	a.same("beyond the last", len(beyond.ObjectParts.Parts), 0)
	none, err := ask("attributes/parts", func(in *s3.GetObjectAttributesInput) { in.MaxParts = aws.Int32(0) })
	a.ok(err)
	a.same("none at a time", *none.ObjectParts.IsTruncated, true)
	_, err = ask("attributes/parts", func(in *s3.GetObjectAttributesInput) { in.PartNumberMarker = aws.String("x") })
	a.want("InvalidArgument", err)
}

// unserved are the operations that are known and never done.
func (a *awsRun) unserved() {
	a.put("unserved", []byte("a,b"))
	key := aws.String("unserved")
	_, err := a.s3.RestoreObject(a.ctx, &s3.RestoreObjectInput{Bucket: a.bucket, Key: key, RestoreRequest: &types.RestoreRequest{Days: aws.Int32(1)}})
	a.want("InvalidObjectState", err)
	_, err = a.s3.RestoreObject(a.ctx, &s3.RestoreObjectInput{Bucket: a.bucket, Key: aws.String("none")})
	a.want("NoSuchKey", err)
	_, err = a.s3.GetObjectTorrent(a.ctx, &s3.GetObjectTorrentInput{Bucket: a.bucket, Key: key})
	a.want("NoSuchKey", err)
	_, err = a.s3.SelectObjectContent(a.ctx, &s3.SelectObjectContentInput{Bucket: a.bucket, Key: key, Expression: aws.String("select * from S3Object"),
		ExpressionType: types.ExpressionTypeSql, InputSerialization: &types.InputSerialization{CSV: &types.CSVInput{}},
		OutputSerialization: &types.OutputSerialization{CSV: &types.CSVOutput{}}})
	a.want("NotImplemented", err)
}
