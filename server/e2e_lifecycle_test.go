package server_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server"
)

// lifecycleDay is long enough that nothing is due while a test writes.
const lifecycleDay = time.Minute

// lifecycleRun is a node whose days are short, and pass when the test says so.
type lifecycleRun struct {
	*awsRun
	in    *inProcess
	clock *testClock
	open  func() *inProcess
}

func newLifecycleRun(t *testing.T) *lifecycleRun {
	r := &lifecycleRun{clock: &testClock{}}
	mem := vfs.NewMem()
	r.open = func() *inProcess {
		return openInProcess(t, mem, "/lifecycle", func(o *server.Options) {
			o.Now, o.LifecycleDay = r.clock.now, lifecycleDay
		})
	}
	r.awsRun = &awsRun{T: t, ctx: t.Context(), bucket: aws.String("lifecycle")}
	r.begin()
	return r
}

// begin starts the node.
func (r *lifecycleRun) begin() {
	r.in = r.open()
	r.s3 = s3.New(s3.Options{
		Region: region, BaseEndpoint: &r.in.endpoint, UsePathStyle: true, Credentials: awsCredentials(r.in.cred), RetryMaxAttempts: 1,
		HTTPClient: &http.Client{Transport: r.in.transport},
	})
}

// nextDay is the midnight, and a little more, after which what is a day old is due.
func (r *lifecycleRun) nextDay() {
	now := r.clock.now()
	over := time.Duration(now.UnixNano() % int64(lifecycleDay))
	r.clock.advance(lifecycleDay - over + time.Second)
}

// keys are those of all versions and markers: KEY, KEY marker.
func (r *lifecycleRun) keys(bucket *string) (all []string) {
	pages := s3.NewListObjectVersionsPaginator(r.s3, &s3.ListObjectVersionsInput{Bucket: bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(r.ctx)
		r.ok(err)
		for _, v := range page.Versions {
			all = append(all, *v.Key)
		}
		for _, m := range page.DeleteMarkers {
			all = append(all, *m.Key+" marker")
		}
	}
	slices.Sort(all)
	return all
}

// become waits until exactly that is left.
func (r *lifecycleRun) become(bucket *string, want ...string) {
	r.Helper()
	var got []string
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if got = r.keys(bucket); slices.Equal(got, want) {
			return
		}
	}
	r.Fatalf("%s has %q, not %q", *bucket, got, want)
}

// removed is how many the node's metrics tell of.
func (r *lifecycleRun) removed(what string) int {
	r.Helper()
	_, after, _ := strings.Cut(string(r.in.adminGet(r.T, "/-/metrics")), "ironman_lifecycle_removed_total{what=\""+what+"\"} ")
	line, _, _ := strings.Cut(after, "\n")
	n, _ := strconv.Atoi(line) // there is no line before the first
	return n
}

func (r *lifecycleRun) rules(bucket *string, rules ...types.LifecycleRule) {
	r.Helper()
	_, err := r.s3.PutBucketLifecycleConfiguration(r.ctx, &s3.PutBucketLifecycleConfigurationInput{
		Bucket: bucket, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: rules},
	})
	r.ok(err)
}

func expireAfter(id, prefix string, days int32) types.LifecycleRule {
	return types.LifecycleRule{
		ID: &id, Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: &prefix},
		Expiration: &types.LifecycleExpiration{Days: &days},
	}
}

// TestLifecycle has each kind of rule do what it is for, on its day and not before, and
// nothing else.
func TestLifecycle(t *testing.T) {
	t.Parallel()
	r := newLifecycleRun(t)
	_, err := r.s3.CreateBucket(r.ctx, &s3.CreateBucketInput{Bucket: r.bucket})
	r.ok(err)
	versioned := aws.String("lifecycle-versions")
	_, err = r.s3.CreateBucket(r.ctx, &s3.CreateBucketInput{Bucket: versioned, ObjectLockEnabledForBucket: aws.Bool(true)})
	r.ok(err)
	r.nextDay() // all that follows is of one day
	r.rules(r.bucket, expireAfter("one day", "day/", 1), expireAfter("two days", "days/", 2),
		types.LifecycleRule{ID: aws.String("tagged"), Status: types.ExpirationStatusEnabled, Expiration: &types.LifecycleExpiration{Days: aws.Int32(1)},
			Filter: &types.LifecycleRuleFilter{Tag: &types.Tag{Key: aws.String("a"), Value: aws.String("b")}}},
		types.LifecycleRule{ID: aws.String("off"), Status: types.ExpirationStatusDisabled, Expiration: &types.LifecycleExpiration{Days: aws.Int32(1)},
			Filter: &types.LifecycleRuleFilter{Prefix: aws.String("keep/")}},
		types.LifecycleRule{ID: aws.String("uploads"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("up/")},
			AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(1)}})
	out := r.put("day/a", []byte("1"))
	if e := aws.ToString(out.Expiration); !strings.Contains(e, `rule-id="one%20day"`) || !strings.Contains(e, "expiry-date=") {
		t.Errorf("PUT tells of no expiration: %q", e)
	}
	_, got := r.get("day/a")
	r.same("a GET's expiration", aws.ToString(got.Expiration), aws.ToString(out.Expiration))
	if out := r.put("keep/a", []byte("1")); out.Expiration != nil {
		t.Errorf("what stays expires %s", *out.Expiration)
	}
	r.put("days/a", nil)
	r.put("tag/b", nil, func(in *s3.PutObjectInput) { in.Tagging = aws.String("a=b") })
	r.put("tag/c", nil, func(in *s3.PutObjectInput) { in.Tagging = aws.String("a=c") })
	for _, key := range []string{"up/a", "keep/up"} {
		_, err = r.s3.CreateMultipartUpload(r.ctx, &s3.CreateMultipartUploadInput{Bucket: r.bucket, Key: &key})
		r.ok(err)
	}

	r.rules(versioned, types.LifecycleRule{ID: aws.String("old"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("")},
		NoncurrentVersionExpiration: &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(1), NewerNoncurrentVersions: aws.Int32(1)},
		Expiration:                  &types.LifecycleExpiration{ExpiredObjectDeleteMarker: aws.Bool(true)}},
		expireAfter("current", "cur/", 1))
	put := func(key string, change ...func(*s3.PutObjectInput)) {
		in := &s3.PutObjectInput{Bucket: versioned, Key: &key}
		for _, f := range change {
			f(in)
		}
		_, err := r.s3.PutObject(r.ctx, in)
		r.ok(err)
	}
	for range 3 {
		put("many")
	}
	put("cur/x")
	for range 3 {
		put("held", func(in *s3.PutObjectInput) { in.ObjectLockLegalHoldStatus = types.ObjectLockLegalHoldStatusOn })
	}
	_, err = r.s3.DeleteObject(r.ctx, &s3.DeleteObjectInput{Bucket: versioned, Key: aws.String("only a marker")})
	r.ok(err)

	plain := []string{"day/a", "days/a", "keep/a", "tag/b", "tag/c"}
	r.become(r.bucket, plain...)
	r.become(versioned, "cur/x", "held", "held", "held", "many", "many", "many") // the marker hides nothing
	r.nextDay()
	time.Sleep(2 * lifecycleDay / 24) // two looks
	r.become(r.bucket, plain...)      // a day is not over at the next midnight
	r.nextDay()
	r.become(r.bucket, "days/a", "keep/a", "tag/c")
	r.become(versioned, "cur/x", "cur/x marker", "held", "held", "held", "many", "many")
	ups, err := r.s3.ListMultipartUploads(r.ctx, &s3.ListMultipartUploadsInput{Bucket: r.bucket})
	r.ok(err)
	if len(ups.Uploads) != 1 || *ups.Uploads[0].Key != "keep/up" {
		t.Errorf("uploads that are left: %+v", ups.Uploads)
	}
	r.nextDay()
	r.become(r.bucket, "keep/a", "tag/c")
	for what, want := range map[string]int{"current": 4, "noncurrent": 1, "marker": 1, "upload": 1} {
		r.same("the metric of "+what, r.removed(what), want)
	}
}

// TestLifecycleResumes restarts the node while it removes many objects: it goes on with
// what is left, and no object that is to stay goes. IRONMAN_EXPIRED says how many.
func TestLifecycleResumes(t *testing.T) {
	t.Parallel()
	objects := 2000
	if v := os.Getenv("IRONMAN_EXPIRED"); v != "" {
		var err error
		if objects, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	r := newLifecycleRun(t)
	c := r.in.client()
	c.must(t, 200, "PUT", "/lifecycle", nil)
	left := make(chan int)
	failed := make(chan error, 8)
	for range cap(failed) {
		go func() {
			for i := range left {
				if a, err := c.try("PUT", fmt.Sprintf("/lifecycle/gone/%06d", i), nil); err != nil || a.status != 200 {
					failed <- fmt.Errorf("PUT %d: %v %v", i, a, err)
					return
				}
			}
			failed <- nil
		}()
	}
	for i := range objects {
		left <- i
	}
	close(left)
	for range cap(failed) {
		r.ok(<-failed)
	}
	c.must(t, 200, "PUT", "/lifecycle/stays", nil)
	r.rules(r.bucket, expireAfter("gone", "gone/", 1))
	r.nextDay()
	r.nextDay()
	count := func() int { return len(r.keys(r.bucket)) - 1 }
	deadline := time.Now().Add(5*time.Minute + time.Duration(objects)*10*time.Millisecond)
	for r.removed("current") == 0 {
		if time.Now().After(deadline) {
			t.Fatal("nothing is removed")
		}
		time.Sleep(time.Millisecond)
	}
	r.in.close(t)
	r.begin()
	for n := count(); n > 0; n = count() {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d are left", n, objects)
		}
		time.Sleep(20 * time.Millisecond)
	}
	r.become(r.bucket, "stays")
	if removed := r.removed("current"); removed == 0 || removed == objects {
		t.Errorf("%d of %d were removed after the restart: this shows nothing", removed, objects)
	}
}
