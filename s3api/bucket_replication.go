package s3api

import (
	"context"

	"ironman/s3api/s3err"
)

// getBucketReplication answers for a bucket that is replicated nowhere, which is every one.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketReplication.html
func (s *Server) getBucketReplication(context.Context, *Request) (*Response, error) {
	return nil, s3err.New("ReplicationConfigurationNotFoundError")
}

// putBucketReplication is refused: what would not be done is not stored.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketReplication.html
func (s *Server) putBucketReplication(context.Context, *Request) (*Response, error) {
	return nil, s3err.Newf("NotImplemented", "Replication of buckets is not implemented. Objects are kept on all nodes of the cluster as it is.")
}

// deleteBucketReplication has nothing to remove.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketReplication.html
func (s *Server) deleteBucketReplication(context.Context, *Request) (*Response, error) {
	return noContent(), nil
}
