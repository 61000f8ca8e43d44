package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestLostRaces: what a request had seen changes before its event is applied. The client
// is not told of it: the request is done again, with what is there now.
func TestLostRaces(t *testing.T) {
	p := openInProcess(t, vfs.NewMem(), "/")
	c := p.client()
	c.must(t, 200, "PUT", "/race", nil)
	versioned := []byte("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
	c.must(t, 200, "PUT", "/history", nil)
	c.must(t, 200, "PUT", "/history?versioning", versioned)
	// between has an overwrite come between the look and the event of the next request.
	between := func(target string, body []byte) {
		n := 0
		p.node.InterposeForTest(func(context.Context) {
			if n++; n == 1 {
				c.must(t, 200, "PUT", target, body)
			}
		})
	}
	second := content(2, 1000)
	for _, bucket := range []string{"/race", "/history"} {
		source := bucket + "/source"
		c.must(t, 200, "PUT", source, content(1, 1000))
		between(source, second)
		c.must(t, 200, "PUT", bucket+"/copy", []byte{}, header("X-Amz-Copy-Source", source))
		if bucket == "/race" {
			if a := c.must(t, 200, "GET", bucket+"/copy", nil); string(a.body) != string(second) {
				t.Error("the copy is of what was overwritten")
			}
		}
		id := c.begin(t, bucket+"/parts")
		c.must(t, 200, "PUT", source, content(3, 1000))
		between(source, second)
		c.must(t, 200, "PUT", fmt.Sprintf("%s/parts?partNumber=1&uploadId=%s", bucket, id), []byte{}, header("X-Amz-Copy-Source", source))

		target := bucket + "/change"
		c.must(t, 200, "PUT", target, content(4, 10))
		between(target, content(5, 10))
		c.must(t, 200, "PUT", target+"?tagging", []byte("<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"))
		if a := c.must(t, 200, "GET", target+"?tagging", nil); bucket == "/race" && !strings.Contains(string(a.body), "<Key>a</Key>") {
			t.Errorf("the tags are of what was overwritten: %s", a.body)
		}
		between(target, content(6, 10))
		c.must(t, 200, "PUT", target+"?acl", nil, header("X-Amz-Acl", "public-read"))
		between(target, content(7, 10))
		c.must(t, 204, "DELETE", target+"?tagging", nil)
	}
	// A part that is stored again is the same part.
	part := content(8, 100)
	id := c.begin(t, "/race/again")
	one := fmt.Sprintf("/race/again?partNumber=1&uploadId=%s", id)
	c.must(t, 200, "PUT", one, part)
	between(one, part)
	c.must(t, 200, "POST", "/race/again?uploadId="+id, completion("<ETag>"+etag(part)+"</ETag>"))
	// Another one is not.
	id = c.begin(t, "/race/again")
	one = fmt.Sprintf("/race/again?partNumber=1&uploadId=%s", id)
	c.must(t, 200, "PUT", one, part)
	between(one, content(9, 100))
	c.refused(t, 400, "InvalidPart", "POST", "/race/again?uploadId="+id, completion("<ETag>"+etag(part)+"</ETag>"))
	// Who loses every race is told.
	c.must(t, 200, "PUT", "/race/source", part)
	busy, seed := false, uint64(100)
	p.node.InterposeForTest(func(context.Context) {
		if !busy {
			busy = true
			seed++
			c.must(t, 200, "PUT", "/race/source", content(seed, 10))
			busy = false
		}
	})
	c.refused(t, 409, "OperationAborted", "PUT", "/race/copy", []byte{}, header("X-Amz-Copy-Source", "/race/source"))
	if seed != 104 {
		t.Errorf("it was tried %d times", seed-100)
	}
	p.node.InterposeForTest(nil)
}

// TestRaceIsDecidedAnew: a request that is done again may do no more than one that comes then.
func TestRaceIsDecidedAnew(t *testing.T) {
	v := newVictim(t)
	v.root.must(t, 200, "PUT", "/shared", nil, header("X-Amz-Acl", "public-read-write"))
	v.root.must(t, 200, "PUT", "/shared/source", []byte("for all"), header("X-Amz-Acl", "public-read"))
	n := 0
	v.p.node.InterposeForTest(func(context.Context) {
		if n++; n == 1 {
			v.root.must(t, 200, "PUT", "/shared/source", []byte("for me"))
		}
	})
	v.alice.refused(t, 403, "AccessDenied", "PUT", "/shared/copy", []byte{}, header("X-Amz-Copy-Source", "/shared/source"))
	if n != 2 { // alice's first one, and root's
		t.Errorf("%d events", n)
	}
}

// TestRaceKeepsDocument: a document is read once, and counts as often as its request is
// decided on.
func TestRaceKeepsDocument(t *testing.T) {
	v := newVictim(t)
	c := v.root
	once := func(f func()) {
		n := 0
		v.p.node.InterposeForTest(func(context.Context) {
			if n++; n == 1 {
				f()
			}
		})
	}
	// The version to be held goes, and the one before it is held.
	c.must(t, 200, "PUT", "/held", nil, header("X-Amz-Bucket-Object-Lock-Enabled", "true"))
	c.must(t, 200, "PUT", "/held/k", nil)
	version := c.must(t, 200, "PUT", "/held/k", nil).header.Get("X-Amz-Version-Id")
	once(func() { c.must(t, 204, "DELETE", "/held/k?versionId="+version, nil) })
	c.must(t, 200, "PUT", "/held/k?legal-hold", []byte("<LegalHold><Status>ON</Status></LegalHold>"))
	if a := c.must(t, 200, "GET", "/held/k?legal-hold", nil); !strings.Contains(string(a.body), "ON") {
		t.Errorf("it is not held: %s", a.body)
	}
	// Meanwhile a policy forbids the tag.
	c.must(t, 200, "PUT", "/tagged", nil)
	policy := func(deny string) []byte {
		return []byte(`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:PutObjectTagging","Resource":"arn:aws:s3:::tagged/*"}` + deny + `]}`)
	}
	c.must(t, 204, "PUT", "/tagged?policy", policy(""))
	c.must(t, 200, "PUT", "/tagged/k", []byte("1"))
	once(func() {
		c.must(t, 200, "PUT", "/tagged/k", []byte("2"))
		c.must(t, 204, "PUT", "/tagged?policy", policy(`,{"Effect":"Deny","Principal":"*","Action":"s3:PutObjectTagging","Resource":"arn:aws:s3:::tagged/*",`+
			`"Condition":{"StringEquals":{"s3:RequestObjectTag/class":"secret"}}}`))
	})
	v.alice.refused(t, 403, "AccessDenied", "PUT", "/tagged/k?tagging", []byte("<Tagging><TagSet><Tag><Key>class</Key><Value>secret</Value></Tag></TagSet></Tagging>"))
	v.p.node.InterposeForTest(nil)
}
