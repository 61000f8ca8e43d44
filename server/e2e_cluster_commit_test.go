package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// store is what table formats and lock files ask of a bucket.
type store interface {
	// get returns an object and its entity tag; nil: there is none.
	get(ctx context.Context, key string) (b []byte, tag string, err error)
	// put stores an object if the one that is there has a tag ("": whatever is there), or
	// if there is none (none: "*"). False: the condition did not hold.
	put(ctx context.Context, key string, b []byte, tag, none string) (bool, error)
	remove(ctx context.Context, key string) error
}

// awsStore is a bucket through Amazon's SDK.
type awsStore struct {
	s3     *s3.Client
	bucket string
}

func (s *awsStore) get(ctx context.Context, key string) ([]byte, string, error) {
	out, err := s.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() == "NoSuchKey" {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	return b, *out.ETag, err
}

func (s *awsStore) put(ctx context.Context, key string, b []byte, tag, none string) (bool, error) {
	in := &s3.PutObjectInput{Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(b)}
	if tag != "" {
		in.IfMatch = &tag
	}
	if none != "" {
		in.IfNoneMatch = &none
	}
	_, err := s.s3.PutObject(ctx, in)
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() == "PreconditionFailed" {
		return false, nil
	}
	return err == nil, err
}

func (s *awsStore) remove(ctx context.Context, key string) error {
	_, err := s.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &key})
	return err
}

// minioStore is a bucket through minio-go.
type minioStore struct {
	core   *minio.Core
	bucket string
}

func (s *minioStore) get(ctx context.Context, key string) ([]byte, string, error) {
	body, info, _, err := s.core.GetObject(ctx, s.bucket, key, minio.GetObjectOptions{})
	if minio.ToErrorResponse(err).Code == "NoSuchKey" {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	return b, info.ETag, err
}

func (s *minioStore) put(ctx context.Context, key string, b []byte, tag, none string) (bool, error) {
	var o minio.PutObjectOptions
	if tag != "" {
		o.SetMatchETag(tag)
	}
	if none != "" {
		o.SetMatchETagExcept(none)
	}
	_, err := s.core.Client.PutObject(ctx, s.bucket, key, bytes.NewReader(b), int64(len(b)), o)
	if minio.ToErrorResponse(err).Code == "PreconditionFailed" {
		return false, nil
	}
	return err == nil, err
}

func (s *minioStore) remove(ctx context.Context, key string) error {
	return s.core.RemoveObject(ctx, s.bucket, key, minio.RemoveObjectOptions{})
}

// users are two SDKs on two nodes, each used twice at a time. Neither tries again by
// itself: a lost answer would show.
func (c *trio) users(bucket string) []store {
	c.Helper()
	c.clients[2].must(c, 200, "PUT", "/"+bucket, nil)
	_, host, _ := strings.Cut(c.nodes[1].endpoint, "://")
	core, err := minio.NewCore(host, &minio.Options{
		Creds: credentials.NewStaticV4(c.cred.AccessKey, string(c.cred.Secret.Reveal()), ""), Transport: c.clients[1].http.Transport.(*http.Transport),
		Region: region, BucketLookup: minio.BucketLookupPath, MaxRetries: 1,
	})
	if err != nil {
		c.Fatal(err)
	}
	a, m := &awsStore{newAWS(c.nodes[0], awsCredentials(c.cred)), bucket}, &minioStore{core, bucket}
	return []store{a, m, a, m}
}

// commits has writers append to one object as table formats commit: each reads the
// pointer, adds itself and replaces what it read. As many commits are in it at the end
// as were acknowledged, each once, and those of a writer in its order.
// https://iceberg.apache.org/spec/#optimistic-concurrency
func (c *trio) commits() {
	const key = "metadata/current.txt"
	each := rounds(5, 10, 250)
	users := c.users("warehouse")
	var lost atomic.Int64
	var wait sync.WaitGroup
	for n, u := range users {
		wait.Go(func() {
			for i := 0; i < each && !c.Failed(); {
				b, tag, err := u.get(c.Context(), key)
				if err != nil {
					c.Errorf("writer %d reads: %v", n, err)
					return
				}
				none := ""
				if b == nil {
					none = "*"
				}
				switch done, err := u.put(c.Context(), key, fmt.Appendf(b, "%d commits %d\n", n, i), tag, none); {
				case err != nil:
					c.Errorf("writer %d commits: %v", n, err)
					return
				case done:
					i++
				default:
					lost.Add(1)
				}
			}
		})
	}
	wait.Wait()
	lines := strings.Split(strings.TrimSuffix(string(c.clients[2].must(c, 200, "GET", "/warehouse/"+key, nil).body), "\n"), "\n")
	for n := range users {
		var own, want []string
		for _, l := range lines {
			if strings.HasPrefix(l, strconv.Itoa(n)+" ") {
				own = append(own, l)
			}
		}
		for i := range each {
			want = append(want, fmt.Sprintf("%d commits %d", n, i))
		}
		if !slices.Equal(own, want) {
			c.Errorf("writer %d was told of %d commits; there are %q", n, each, own)
		}
	}
	if want := len(users) * each; len(lines) != want {
		c.Errorf("%d commits are there, %d were acknowledged", len(lines), want)
	}
	c.Logf("%d commits, %d attempts lost a race", len(lines), lost.Load())
}

// locks has writers add to a number under a lock that is an object, as Terraform does:
// nobody adds to what another one is adding to.
// https://developer.hashicorp.com/terraform/language/backend/s3#state-locking
func (c *trio) locks() {
	each := rounds(3, 5, 100)
	users := c.users("terraform")
	var holders, waited atomic.Int64
	var wait sync.WaitGroup
	for n, u := range users {
		wait.Go(func() {
			for i := 0; i < each && !c.Failed(); {
				id := fmt.Sprintf(`{"ID":"%d-%d"}`, n, i)
				switch held, err := u.put(c.Context(), "state.tflock", []byte(id), "", "*"); {
				case err != nil:
					c.Errorf("writer %d locks: %v", n, err)
					return
				case !held:
					waited.Add(1)
					time.Sleep(5 * time.Millisecond) // a lock that is an object wakes nobody
					continue
				}
				if h := holders.Add(1); h != 1 {
					c.Errorf("%d hold the lock", h)
				}
				if err := addOne(c.Context(), u, users[(n+1)%len(users)], id); err != nil {
					c.Errorf("writer %d: %v", n, err)
				}
				holders.Add(-1)
				if err := u.remove(c.Context(), "state.tflock"); err != nil {
					c.Errorf("writer %d unlocks: %v", n, err)
					return
				}
				i++
			}
		})
	}
	wait.Wait()
	want := strconv.Itoa(len(users) * each)
	if a := c.clients[2].must(c, 200, "GET", "/terraform/state", nil); string(a.body) != want {
		c.Errorf("the state is %s, not %s", a.body, want)
	}
	c.Logf("%s updates, %d times somebody found the lock taken", want, waited.Load())
}

// addOne does what the lock is for, and sees through the other node whose it is.
func addOne(ctx context.Context, u, other store, id string) error {
	lock, _, err := other.get(ctx, "state.tflock")
	if err != nil {
		return err
	}
	if string(lock) != id {
		return fmt.Errorf("the lock is %q, not %q", lock, id)
	}
	b, _, err := u.get(ctx, "state")
	if err != nil {
		return err
	}
	n := 0
	if b != nil {
		if n, err = strconv.Atoi(string(b)); err != nil {
			return err
		}
	}
	_, err = u.put(ctx, "state", []byte(strconv.Itoa(n+1)), "", "")
	return err
}
