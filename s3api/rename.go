package s3api

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"ironman/s3api/s3err"
	"ironman/wal/event"
)

// renameObject gives an object of the same bucket the key of the request, in one step:
// no byte moves, and nobody sees both or neither.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_RenameObject.html
func (s *Server) renameObject(ctx context.Context, r *Request) (*Response, error) {
	source := r.source.object
	if err := r.refuseHeaders("If-Modified-Since", "If-Unmodified-Since"); err != nil {
		return nil, err
	}
	if err := judge(r.Header, "X-Amz-Rename-Source-", source, preconditionFailed); err != nil {
		return nil, err
	}
	condition, err := r.writeCondition()
	if err != nil {
		return nil, err
	}
	old, err := r.view.Object(r.bucket.Bucket, r.Key)
	if err != nil {
		return nil, err
	}
	if err := s.foresee(r, condition, old); err != nil {
		return nil, err
	}
	r.closeView()
	d := event.NewDraft(nil, &event.Statement_ObjectRenamed{ObjectRenamed: &event.ObjectRenamed{
		Bucket: r.bucket.Bucket, Version: source.Version, Condition: condition,
	}}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, r.Key).AddText(event.ItemKind_ITEM_KIND_SOURCE_KEY, 0, r.source.key)
	o, err := s.propose(ctx, r, d)
	if err != nil {
		return nil, err
	}
	resp := &Response{Header: http.Header{}}
	setNewVersion(resp.Header, o.Version, o.NullVersion)
	return resp, nil
}

// renameSource finds the object that is to be renamed. It takes the right to read it, to
// delete it, and (the operation's own) to put it; its conditions are judged on what is
// pinned.
func (s *Server) renameSource(r *Request) (*copySource, error) {
	key, err := parseRenameSource(r.Bucket, r.Header.Get("X-Amz-Rename-Source"))
	if err != nil {
		return nil, err
	}
	if key == r.Key {
		return nil, s3err.InvalidArgument("x-amz-rename-source", key, "The source and destination keys must be different.")
	}
	o, err := s.admitRead(r, r.bucket, key, wanted{})
	if err != nil {
		return nil, err
	}
	if err := s.alsoDecide(r, question{action: "s3:DeleteObject", bucket: r.bucket, key: key, object: o}); err != nil {
		return nil, err
	}
	return &copySource{bucket: r.bucket, key: key, object: o}, nil
}

// parseRenameSource reads the key of x-amz-rename-source: "/bucket/key", or the key alone,
// percent-encoded.
func parseRenameSource(bucket, v string) (string, error) {
	key, err := url.PathUnescape(v)
	if err != nil {
		return "", invalidRenameSource(v)
	}
	if rest, ok := strings.CutPrefix(key, "/"); ok {
		b, k, _ := strings.Cut(rest, "/")
		if b != bucket {
			return "", s3err.InvalidArgument("x-amz-rename-source", v, "The source must be in the same bucket as the destination.")
		}
		key = k
	}
	if key == "" || len(key) > maxKeyBytes || !utf8.ValidString(key) {
		return "", invalidRenameSource(v)
	}
	return key, nil
}

func invalidRenameSource(v string) error {
	return s3err.InvalidArgument("x-amz-rename-source", v, "The rename source must be a key of this bucket.")
}
