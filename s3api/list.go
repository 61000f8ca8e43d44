package s3api

import (
	"context"

	"ironman/fsm"
	"ironman/s3api/checksum"
	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/sim/sabotage"
)

// maxKeys is the most that one page of a listing returns.
const maxKeys = 1000

// listQuery reads what all listings of objects share.
func (r *Request) listQuery() (fsm.ListQuery, string, error) {
	q := fsm.ListQuery{Bucket: r.bucket.Bucket}
	encoding, err := r.encodingType()
	if err != nil {
		return q, "", err
	}
	if q.Max, err = r.intQuery("max-keys", maxKeys, 0, maxKeys); err != nil {
		return q, "", err
	}
	if q.Prefix, err = r.textQuery("prefix"); err != nil {
		return q, "", err
	}
	q.Delimiter, err = r.textQuery("delimiter")
	return q, encoding, err
}

// page reads a page of a listing: all of it at one moment, that of the view.
func (r *Request) page(ctx context.Context, q fsm.ListQuery) (*fsm.Listing, error) {
	page, err := r.shownView().ListObjects(q)
	if sabotage.On(sabotage.X34) && err == nil && len(page.Items) > 1 {
		r.closeView()
		if err := r.openView(ctx); err != nil {
			return nil, err
		}
		q.After, q.Max = page.Items[0].Key, q.Max-1
		rest, err := r.view.ListObjects(q)
		return &fsm.Listing{Items: append(page.Items[:1], rest.Items...), Truncated: rest.Truncated}, err
	}
	return page, err
}

// listObjects lists a bucket by marker.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html
func (s *Server) listObjects(ctx context.Context, r *Request) (*Response, error) {
	q, encoding, err := r.listQuery()
	if err != nil {
		return nil, err
	}
	if q.After, err = r.textQuery("marker"); err != nil {
		return nil, err
	}
	page, err := r.page(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &s3xml.ListBucketResult{
		Name: r.shownName(), Prefix: q.Prefix, Marker: q.After, MaxKeys: q.Max, Delimiter: q.Delimiter,
		EncodingType: encoding, IsTruncated: page.Truncated,
	}
	out.Contents, out.CommonPrefixes = r.contents(page, true)
	if page.Truncated && q.Delimiter != "" {
		// Without a delimiter clients go on from the last key they got.
		out.NextMarker = page.Items[len(page.Items)-1].Key
	}
	return &Response{XML: out}, nil
}

// listObjectsV2 lists a bucket by continuation token.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
func (s *Server) listObjectsV2(ctx context.Context, r *Request) (*Response, error) {
	if r.Query.Get("list-type") != "2" {
		return nil, s3err.Newf("InvalidArgument", "Invalid list-type").With("ArgumentName", "list-type")
	}
	q, encoding, err := r.listQuery()
	if err != nil {
		return nil, err
	}
	out := &s3xml.ListBucketResultV2{Name: r.shownName(), Prefix: q.Prefix, MaxKeys: q.Max, Delimiter: q.Delimiter, EncodingType: encoding}
	if r.Query.Has("start-after") {
		if q.After, err = r.textQuery("start-after"); err != nil {
			return nil, err
		}
		after := q.After
		out.StartAfter = &after
	}
	if r.Query.Has("continuation-token") {
		token := r.Query.Get("continuation-token")
		out.ContinuationToken = &token
		if token != "" { // an empty one is the first page, as with Amazon
			last, err := decodeToken(token)
			if err != nil {
				return nil, err
			}
			q.After = max(q.After, last)
		}
	}
	page, err := r.page(ctx, q)
	if err != nil {
		return nil, err
	}
	out.IsTruncated = page.Truncated
	out.KeyCount = len(page.Items)
	out.Contents, out.CommonPrefixes = r.contents(page, r.Query.Get("fetch-owner") == "true")
	if page.Truncated {
		out.NextContinuationToken = encodeToken(page.Items[len(page.Items)-1].Key)
	}
	return &Response{XML: out}, nil
}

// contents splits a page into objects and common prefixes.
func (r *Request) contents(page *fsm.Listing, owners bool) ([]s3xml.Object, []s3xml.CommonPrefix) {
	var prefixes []s3xml.CommonPrefix
	objects := make([]s3xml.Object, 0, len(page.Items))
	for _, it := range page.Items {
		if it.Object == nil {
			prefixes = append(prefixes, s3xml.CommonPrefix{Prefix: it.Key})
			continue
		}
		o := s3xml.Object{
			Key: it.Key, LastModified: s3xml.Time(it.Object.Time), ETag: s3xml.ETag(it.Object.Etag),
			Size: int64(it.Object.Size), StorageClass: storageClass(it.Object.StorageClass),
		}
		if c := it.Object.Checksum; c != nil {
			o.ChecksumAlgorithm = []string{checksum.Name(c.Algorithm)}
			o.ChecksumType = checksumType(c.Composite)
		}
		if owners {
			o.Owner = r.objectOwner(it.Object.Owner)
		}
		objects = append(objects, o)
	}
	return objects, prefixes
}

// storageClass is how a stored class is shown.
func storageClass(c string) string {
	if c == "" {
		return "STANDARD"
	}
	return c
}
