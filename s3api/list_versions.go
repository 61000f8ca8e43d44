package s3api

import (
	"context"

	"ironman/fsm"
	"ironman/s3api/checksum"
	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
)

// listObjectVersions lists the versions and markers of a bucket's objects, by key, the
// newest of each first.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
func (s *Server) listObjectVersions(_ context.Context, r *Request) (*Response, error) {
	list, encoding, err := r.listQuery()
	if err != nil {
		return nil, err
	}
	q := fsm.VersionQuery{Bucket: list.Bucket, Prefix: list.Prefix, Delimiter: list.Delimiter, Max: list.Max}
	if q.After, err = r.textQuery("key-marker"); err != nil {
		return nil, err
	}
	marker := r.Query.Get("version-id-marker")
	if err := r.afterVersion(&q, marker); err != nil {
		return nil, err
	}
	items, truncated, err := r.shownView().ListVersions(q)
	if err != nil {
		return nil, err
	}
	out := &s3xml.ListVersionsResult{
		Name: r.shownName(), Prefix: q.Prefix, KeyMarker: q.After, VersionIDMarker: marker, MaxKeys: q.Max,
		Delimiter: q.Delimiter, EncodingType: encoding, IsTruncated: truncated,
	}
	for _, it := range items {
		if it.Object == nil {
			out.CommonPrefixes = append(out.CommonPrefixes, s3xml.CommonPrefix{Prefix: it.Key})
			continue
		}
		out.Entries = append(out.Entries, r.versionXML(&it))
	}
	if truncated {
		last := items[len(items)-1]
		if out.NextKeyMarker = last.Key; last.Object != nil {
			out.NextVersionIDMarker = objectVersionID(last.Object)
		}
	}
	return &Response{XML: out}, nil
}

// afterVersion reads the version that a page goes on behind. The null version is known
// by its place.
func (r *Request) afterVersion(q *fsm.VersionQuery, marker string) error {
	if marker == "" {
		return nil
	}
	if q.After == "" {
		return s3err.InvalidArgument("version-id-marker", marker, "A version-id marker cannot be specified without a key marker.")
	}
	var p parsedVersion
	if p.parse(marker) != nil {
		return s3err.InvalidArgument("version-id-marker", marker, "Invalid version id specified")
	}
	if q.AfterVersion = p.version; p.version == nil {
		o, err := p.find(r.shownView(), q.Bucket, q.After)
		if err != nil {
			return err
		}
		q.AfterVersion = o.GetVersion() // gone meanwhile: the page goes on at the next key
	}
	return nil
}

func (r *Request) versionXML(it *fsm.VersionItem) s3xml.ObjectVersion {
	o := it.Object
	v := s3xml.ObjectVersion{
		Key: it.Key, VersionID: objectVersionID(o), IsLatest: it.Latest, LastModified: s3xml.Time(o.Time), Owner: r.objectOwner(o.Owner),
		DeleteMarker: o.DeleteMarker,
	}
	if o.DeleteMarker {
		return v
	}
	v.ETag, v.Size, v.StorageClass = s3xml.ETag(o.Etag), int64(o.Size), storageClass(o.StorageClass)
	if c := o.Checksum; c != nil {
		v.ChecksumAlgorithm, v.ChecksumType = []string{checksum.Name(c.Algorithm)}, checksumType(c.Composite)
	}
	return v
}
