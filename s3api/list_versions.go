package s3api

import (
	"context"

	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
)

// nullVersion is the id of the only version that a key of an unversioned bucket has.
const nullVersion = "null"

// listObjectVersions lists the versions of a bucket's objects. In a bucket whose
// versioning was never set, which is every bucket of this release, each key has
// one: the null version.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
func (s *Server) listObjectVersions(ctx context.Context, r *Request) (*Response, error) {
	q, encoding, err := r.listQuery()
	if err != nil {
		return nil, err
	}
	if q.After, err = r.textQuery("key-marker"); err != nil {
		return nil, err
	}
	marker := r.Query.Get("version-id-marker")
	if marker != "" && q.After == "" {
		return nil, s3err.InvalidArgument("version-id-marker", marker, "A version-id marker cannot be specified without a key marker.")
	}
	page, err := r.page(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &s3xml.ListVersionsResult{
		Name: r.Bucket, Prefix: q.Prefix, KeyMarker: q.After, VersionIDMarker: marker, MaxKeys: q.Max,
		Delimiter: q.Delimiter, EncodingType: encoding, IsTruncated: page.Truncated,
	}
	objects, prefixes := r.contents(page, true)
	out.CommonPrefixes = prefixes
	for _, o := range objects {
		out.Entries = append(out.Entries, s3xml.ObjectVersion{
			Key: o.Key, VersionID: nullVersion, IsLatest: true, LastModified: o.LastModified, ETag: o.ETag,
			ChecksumAlgorithm: o.ChecksumAlgorithm, ChecksumType: o.ChecksumType, Size: o.Size,
			Owner: o.Owner, StorageClass: o.StorageClass,
		})
	}
	if page.Truncated {
		last := page.Items[len(page.Items)-1]
		if out.NextKeyMarker = last.Key; last.Object != nil {
			out.NextVersionIDMarker = nullVersion
		}
	}
	return &Response{XML: out}, nil
}
