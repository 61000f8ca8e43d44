package s3api

import (
	"context"
	"math"
	"net/http"

	"ironman/fsm"
	"ironman/s3api/checksum"
	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// listParts lists the parts of an upload.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html
func (s *Server) listParts(_ context.Context, r *Request) (*Response, error) {
	u, err := r.upload()
	if err != nil {
		return nil, err
	}
	max, err := r.intQuery("max-parts", maxKeys, 0, maxKeys)
	if err != nil {
		return nil, err
	}
	marker, err := r.intQuery("part-number-marker", 0, 0, math.MaxInt32)
	if err != nil {
		return nil, err
	}
	parts, err := r.view.Parts(u.Upload, uint32(marker), max+1)
	if err != nil {
		return nil, err
	}
	out := &s3xml.ListPartsResult{
		Bucket: r.Bucket, Key: r.Key, UploadID: u.Upload.ID(), Initiator: r.owner(u.Initiator), Owner: r.objectOwner(u.Owner),
		StorageClass: storageClass(u.StorageClass), PartNumberMarker: marker, MaxParts: max,
	}
	if u.ChecksumAlgorithm != noChecksum {
		out.ChecksumAlgorithm, out.ChecksumType = checksum.Name(u.ChecksumAlgorithm), checksumType(u.ChecksumComposite)
	}
	if len(parts) > max {
		parts, out.IsTruncated = parts[:max], max > 0
	}
	for _, p := range parts {
		x := s3xml.Part{PartNumber: int(p.Number), LastModified: s3xml.Time(p.Time), ETag: s3xml.ETag(p.Etag), Size: int64(p.Size)}
		if p.Checksum != nil && u.ChecksumAlgorithm != noChecksum {
			x.Checksums = checksumsXML(p.Checksum, p.Etag)
		}
		out.Parts = append(out.Parts, x)
		out.NextPartNumberMarker = int(p.Number)
	}
	rules, err := r.lifecycleRules()
	if err != nil {
		return nil, err
	}
	resp := &Response{Header: http.Header{}, XML: out}
	setAbortion(resp.Header, rules, r.Key, u.Time)
	return resp, nil
}

// listMultipartUploads lists the open uploads of a bucket.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html
func (s *Server) listMultipartUploads(_ context.Context, r *Request) (*Response, error) {
	q, encoding, err := r.uploadQuery()
	if err != nil {
		return nil, err
	}
	items, truncated, err := r.view.ListUploads(q)
	if err != nil {
		return nil, err
	}
	out := &s3xml.ListMultipartUploadsResult{
		Bucket: r.Bucket, KeyMarker: q.After, UploadIDMarker: q.AfterUpload.ID(), Prefix: q.Prefix, Delimiter: q.Delimiter,
		EncodingType: encoding, MaxUploads: q.Max, IsTruncated: truncated,
	}
	for _, it := range items {
		if it.Upload == nil {
			out.CommonPrefixes = append(out.CommonPrefixes, s3xml.CommonPrefix{Prefix: it.Prefix})
			continue
		}
		u := it.Upload
		x := s3xml.MultipartUpload{
			Key: u.Key, UploadID: u.Upload.ID(), Initiator: r.owner(u.Initiator), Owner: r.objectOwner(u.Owner),
			StorageClass: storageClass(u.StorageClass), Initiated: s3xml.Time(u.Time),
		}
		if u.ChecksumAlgorithm != noChecksum {
			x.ChecksumAlgorithm, x.ChecksumType = checksum.Name(u.ChecksumAlgorithm), checksumType(u.ChecksumComposite)
		}
		out.Uploads = append(out.Uploads, x)
	}
	if truncated {
		last := items[len(items)-1]
		if out.NextKeyMarker = last.Prefix; last.Upload != nil {
			out.NextKeyMarker, out.NextUploadIDMarker = last.Upload.Key, last.Upload.Upload.ID()
		}
	}
	return &Response{XML: out}, nil
}

func (r *Request) uploadQuery() (fsm.UploadQuery, string, error) {
	q := fsm.UploadQuery{Bucket: r.bucket.Bucket}
	encoding, err := r.encodingType()
	if err != nil {
		return q, "", err
	}
	if q.Max, err = r.intQuery("max-uploads", maxKeys, 0, maxKeys); err != nil {
		return q, "", err
	}
	for name, to := range map[string]*string{"prefix": &q.Prefix, "delimiter": &q.Delimiter, "key-marker": &q.After} {
		if *to, err = r.textQuery(name); err != nil {
			return q, "", err
		}
	}
	if marker := r.Query.Get("upload-id-marker"); marker != "" && q.After != "" { // ignored without a key marker, as with Amazon
		v, ok := event.ParseVersionID(marker)
		if !ok {
			return q, "", s3err.InvalidArgument("upload-id-marker", marker, "Invalid uploadId marker")
		}
		q.AfterUpload = v
	}
	return q, encoding, nil
}
