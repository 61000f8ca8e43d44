package s3api

import (
	"context"

	"ironman/s3api/s3err"
)

// The operations below are known, and authorised, but never done.

// restoreObject is for objects in an archive, of which there are none.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_RestoreObject.html
func (s *Server) restoreObject(_ context.Context, r *Request) (*Response, error) {
	class := r.object.StorageClass
	if class == "" {
		class = "STANDARD"
	}
	return nil, s3err.Newf("InvalidObjectState", "Restore is not allowed for the object's current storage class").With("StorageClass", class)
}

// selectObjectContent would run a query over an object. Amazon itself has closed it to
// new customers.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_SelectObjectContent.html
func (s *Server) selectObjectContent(context.Context, *Request) (*Response, error) {
	return nil, s3err.Newf("NotImplemented", "SelectObjectContent is not implemented. Read the object, or a range of it, and select at the client.")
}

// getObjectTorrent would return a torrent file. Clients take a 404 for a store that has
// none, as the yardsticks do.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectTorrent.html
func (s *Server) getObjectTorrent(context.Context, *Request) (*Response, error) {
	return nil, s3err.Newf("NoSuchKey", "Objects are not served by BitTorrent: there is no torrent file.")
}
