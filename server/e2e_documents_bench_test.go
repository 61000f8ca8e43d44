package server_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// BenchmarkDocuments tells what the documents of a bucket cost a GET of a small object:
// nothing where there are none.
func BenchmarkDocuments(b *testing.B) {
	p := openInProcess(b, vfs.NewMem(), "/")
	c := p.client()
	for _, bucket := range []string{"/without", "/with"} {
		c.must(b, 200, "PUT", bucket, nil)
		c.must(b, 200, "PUT", bucket+"/k", []byte("x"))
	}
	c.must(b, 200, "PUT", "/with?ownershipControls", []byte("<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>"))
	c.must(b, 200, "PUT", "/with?publicAccessBlock", []byte("<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>"))
	for _, bucket := range []string{"/without", "/with"} {
		for _, method := range []string{"GET", "PUT"} {
			b.Run(method+bucket, func(b *testing.B) {
				body := []byte("x")
				if method == "GET" {
					body = nil
				}
				for b.Loop() {
					c.must(b, 200, method, bucket+"/k", body)
				}
			})
		}
	}
}
