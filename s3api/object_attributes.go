package s3api

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"ironman/fsm"
	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
)

// maxAttributeParts is how many parts one answer shows.
const maxAttributeParts = 1000

// getObjectAttributes returns what is asked for of an object, but none of its bytes. It
// takes the right to read the object, too.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html
func (s *Server) getObjectAttributes(_ context.Context, r *Request) (*Response, error) {
	if err := s.admitRow(r, "s3:GetObject", r.bucket, r.Key, r.object, r.wantedVersion()); err != nil {
		return nil, err
	}
	if _, _, err := r.openObject(r.object); err != nil { // a client's key is wanted as for a GET
		return nil, err
	}
	names, err := r.objectAttributes()
	if err != nil {
		return nil, err
	}
	o, x := r.object, &s3xml.GetObjectAttributesResponse{}
	for _, a := range names {
		switch a {
		case "ETag":
			x.ETag = o.Etag
		case "Checksum":
			if o.Checksum != nil {
				x.Checksum = &s3xml.Checksum{Checksums: checksumsXML(o.Checksum, o.Etag), ChecksumType: checksumType(o.Checksum.Composite)}
			}
		case "ObjectParts":
			if x.ObjectParts, err = r.attributeParts(o); err != nil {
				return nil, err
			}
		case "StorageClass":
			if x.StorageClass = o.StorageClass; x.StorageClass == "" {
				x.StorageClass = "STANDARD"
			}
		case "ObjectSize":
			size := int64(o.Size)
			x.ObjectSize = &size
		}
	}
	h := make(http.Header)
	setVersion(h, r.shownBucket(), o.Version, o.NullVersion)
	h.Set("Last-Modified", time.Unix(0, o.Time).UTC().Format(http.TimeFormat))
	return &Response{Header: h, XML: x}, nil
}

// objectAttributes reads what is asked for. SDKs send one line for each, or one for all.
func (r *Request) objectAttributes() ([]string, error) {
	const name = "x-amz-object-attributes"
	var wanted []string
	for a := range strings.SplitSeq(strings.Join(r.Header.Values(name), ","), ",") {
		if a = strings.TrimSpace(a); a == "" {
			continue
		}
		if !slices.Contains([]string{"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"}, a) {
			return nil, s3err.InvalidArgument(name, a, "Invalid attribute name specified.")
		}
		wanted = append(wanted, a)
	}
	if len(wanted) == 0 {
		return nil, s3err.Newf("InvalidRequest", "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty")
	}
	return wanted, nil
}

// attributeParts is a page of the object's parts; nil if it was not uploaded in parts.
func (r *Request) attributeParts(o *fsm.Object) (*s3xml.GetObjectAttributesParts, error) {
	most, err := r.intHeader("x-amz-max-parts", maxAttributeParts)
	if err != nil {
		return nil, err
	}
	marker, err := r.intHeader("x-amz-part-number-marker", 0)
	if err != nil || partsOf(o.Etag) == 0 {
		return nil, err
	}
	_, parts, err := r.view.Body(o)
	if err != nil {
		return nil, err
	}
	page := &s3xml.GetObjectAttributesParts{MaxParts: min(most, maxAttributeParts), PartNumberMarker: marker, TotalPartsCount: len(parts)}
	for _, p := range parts {
		if int(p.Number) <= marker {
			continue
		}
		if len(page.Parts) == page.MaxParts {
			page.IsTruncated = true
			break
		}
		page.Parts = append(page.Parts, s3xml.ObjectPart{PartNumber: int(p.Number), Size: int64(p.Size), Checksums: checksumsXML(p.Checksum, "")})
		page.NextPartNumberMarker = int(p.Number)
	}
	return page, nil
}

// intHeader reads a header that is a number, 0 or more; absent it is def.
func (r *Request) intHeader(name string, def int) (int, error) {
	text := r.Header.Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, s3err.InvalidArgument(name, text, "Argument "+name+" must be an integer between 0 and 2147483647")
	}
	return int(n), nil
}
