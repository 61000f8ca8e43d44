package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// lockRun is a bucket with object lock, and in it a key whose version is locked.
type lockRun struct {
	*testing.T
	c         *client
	lock      map[string]string
	key, id   string
	body, tag string
}

// keeps checks that the locked version is what it was, and cannot be deleted.
func (l *lockRun) keeps(after string) {
	l.Helper()
	at := "/locked/" + l.key + "?versionId=" + l.id
	a := l.c.must(l, 200, "GET", at, nil)
	if string(a.body) != l.body || a.header.Get("Etag") != l.tag || a.header.Get("X-Amz-Meta-Of") != "old" {
		l.Errorf("after %s it is %q, %v", after, a.body, a.header)
	}
	for name, want := range l.lock {
		if got := a.header.Get(name); got != want {
			l.Errorf("after %s %s is %q, want %q", after, name, got, want)
		}
	}
	l.c.refused(l, 403, "AccessDenied", "DELETE", at, nil)
	list := l.c.must(l, 200, "POST", "/locked?delete", []byte("<Delete><Object><Key>"+l.key+"</Key><VersionId>"+l.id+"</VersionId></Object></Delete>"))
	if s := string(list.body); !strings.Contains(s, "<Code>AccessDenied</Code>") || strings.Contains(s, "<Deleted>") {
		l.Errorf("after %s a list deletes it: %s", after, s)
	}
}

// now checks what a key's newest version is, and that it is another than the locked one.
func (l *lockRun) now(after, key, body string) *answer {
	l.Helper()
	a := l.c.must(l, 200, "GET", "/locked/"+key, nil)
	if string(a.body) != body || key == l.key && a.header.Get("X-Amz-Version-Id") == l.id {
		l.Errorf("after %s %s is %q, version %s", after, key, a.body, a.header.Get("X-Amz-Version-Id"))
	}
	return a
}

// TestLocksOutlastWrites: whatever puts something else in the place of a locked version,
// an append, a copy onto itself or a rename, leaves that version as it was.
func TestLocksOutlastWrites(t *testing.T) {
	c := openInProcess(t, vfs.NewMem(), "/").client()
	c.must(t, 200, "PUT", "/locked", nil, header("X-Amz-Bucket-Object-Lock-Enabled", "true"))
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second).Format("2006-01-02T15:04:05.000Z")
	for name, lock := range map[string]map[string]string{
		"compliance": {"X-Amz-Object-Lock-Mode": "COMPLIANCE", "X-Amz-Object-Lock-Retain-Until-Date": until},
		"governance": {"X-Amz-Object-Lock-Mode": "GOVERNANCE", "X-Amz-Object-Lock-Retain-Until-Date": until},
		"hold":       {"X-Amz-Object-Lock-Legal-Hold": "ON"},
	} {
		t.Run(name, func(t *testing.T) {
			l := &lockRun{T: t, c: c, lock: lock, key: name, body: "12345"}
			a := c.must(t, 200, "PUT", "/locked/"+name, []byte(l.body), withHeaders(lock), header("X-Amz-Meta-Of", "old"))
			l.id, l.tag = a.header.Get("X-Amz-Version-Id"), a.header.Get("Etag")
			l.keeps("it was put")
			l.grow()
			l.copyOver()
			l.renames()
			c.must(t, 204, "DELETE", "/locked/"+name, nil)
			l.keeps("a marker")
		})
	}
}

// grow appends to the locked version.
func (l *lockRun) grow() {
	l.Helper()
	target, at := "/locked/"+l.key, header("X-Amz-Write-Offset-Bytes", "5")
	l.c.refused(l, 400, "InvalidRequest", "PUT", target, []byte("678"), at, withHeaders(l.lock)) // nothing is locked and grows
	if a := l.c.must(l, 200, "GET", target, nil); a.header.Get("X-Amz-Version-Id") != l.id {
		l.Errorf("a refused append: %v", a.header)
	}
	l.c.must(l, 200, "PUT", target, []byte("678"), at)
	a := l.now("an append", l.key, "12345678")
	for name := range l.lock {
		if a.header.Get(name) != "" {
			l.Errorf("the append is locked: %s is %q", name, a.header.Get(name))
		}
	}
	l.keeps("an append")
	// What was appended is not locked, and the older is the newest again.
	l.c.must(l, 204, "DELETE", target+"?versionId="+a.header.Get("X-Amz-Version-Id"), nil)
	if a := l.c.must(l, 200, "GET", target, nil); a.header.Get("X-Amz-Version-Id") != l.id {
		l.Errorf("the newest is %v", a.header)
	}
	l.keeps("an append that was deleted")
}

// copyOver copies the locked version onto its own key.
func (l *lockRun) copyOver() {
	l.Helper()
	target, source := "/locked/"+l.key, header("X-Amz-Copy-Source", "/locked/"+l.key)
	l.c.refused(l, 400, "InvalidRequest", "PUT", target, nil, source) // it would change nothing
	l.c.must(l, 200, "PUT", target, nil, source, header("X-Amz-Metadata-Directive", "REPLACE"), header("X-Amz-Meta-Of", "new"))
	a := l.now("a copy onto itself", l.key, l.body)
	if a.header.Get("X-Amz-Meta-Of") != "new" || a.header.Get("X-Amz-Object-Lock-Mode")+a.header.Get("X-Amz-Object-Lock-Legal-Hold") != "" {
		l.Errorf("the copy: %v", a.header)
	}
	l.keeps("a copy onto itself")
	l.c.must(l, 204, "DELETE", target+"?versionId="+a.header.Get("X-Amz-Version-Id"), nil)
	l.keeps("a copy that was deleted")
}

// renames takes another object to the locked one's key, and the locked one elsewhere.
func (l *lockRun) renames() {
	l.Helper()
	target, away := "/locked/"+l.key, l.key+"-away"
	rename := func(from, to string) {
		l.Helper()
		l.c.must(l, 200, "PUT", "/locked/"+to+"?renameObject", []byte{}, header("X-Amz-Rename-Source", from))
	}
	l.c.must(l, 200, "PUT", "/locked/other", []byte("other"))
	rename("other", l.key)
	a := l.now("a rename onto it", l.key, "other")
	l.keeps("a rename onto it")
	l.c.must(l, 204, "DELETE", target+"?versionId="+a.header.Get("X-Amz-Version-Id"), nil)

	rename(l.key, away)
	l.c.must(l, 404, http.MethodHead, target, nil)
	l.keeps("a rename")
	a = l.now("a rename", away, l.body)
	// The lock went with it.
	moved := &lockRun{T: l.T, c: l.c, lock: l.lock, key: away, id: a.header.Get("X-Amz-Version-Id"), body: l.body, tag: l.tag}
	moved.keeps("a rename to it")
}

// TestDefaultRetentionOfWrites: a bucket's default retention is that of whatever becomes a
// version, though it brings no lock.
func TestDefaultRetentionOfWrites(t *testing.T) {
	c := openInProcess(t, vfs.NewMem(), "/").client()
	c.must(t, 200, "PUT", "/locked", nil, header("X-Amz-Bucket-Object-Lock-Enabled", "true"))
	c.must(t, 200, "PUT", "/locked/k", []byte("12345"))
	c.must(t, 200, "PUT", "/locked?object-lock", []byte(`<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>`))
	for _, write := range []struct {
		what, target string
		body         []byte
		headers      map[string]string
	}{
		{"an append", "k", []byte("678"), map[string]string{"X-Amz-Write-Offset-Bytes": "5"}},
		{"a copy onto itself", "k", nil, map[string]string{"X-Amz-Copy-Source": "/locked/k", "X-Amz-Metadata-Directive": "REPLACE"}},
		{"a new object by an append", "new", []byte("1"), map[string]string{"X-Amz-Write-Offset-Bytes": "0"}},
		{"a rename", "renamed?renameObject", []byte{}, map[string]string{"X-Amz-Rename-Source": "k"}},
	} {
		id := c.must(t, 200, "PUT", "/locked/"+write.target, write.body, withHeaders(write.headers)).header.Get("X-Amz-Version-Id")
		key, _, _ := strings.Cut(write.target, "?")
		at := "/locked/" + key + "?versionId=" + id
		if got := c.must(t, 200, http.MethodHead, at, nil).header.Get("X-Amz-Object-Lock-Mode"); got != "GOVERNANCE" {
			t.Errorf("%s has the mode %q", write.what, got)
		}
		c.refused(t, 403, "AccessDenied", "DELETE", at, nil)
	}
}

// TestCopyOntoItself: where versions are kept it makes one more, elsewhere it takes the
// older one's place.
func TestCopyOntoItself(t *testing.T) {
	c := openInProcess(t, vfs.NewMem(), "/").client()
	for _, versions := range []bool{true, false} {
		bucket := "/plain"
		c.must(t, 200, "PUT", "/plain", nil)
		if versions {
			bucket = "/kept"
			c.must(t, 200, "PUT", bucket, nil)
			c.must(t, 200, "PUT", bucket+"?versioning", []byte("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"))
		}
		key := bucket + "/k"
		first := c.must(t, 200, "PUT", key, []byte("12345"), header("X-Amz-Meta-Of", "old")).header.Get("X-Amz-Version-Id")
		second := c.must(t, 200, "PUT", key, nil, header("X-Amz-Copy-Source", key), header("X-Amz-Metadata-Directive", "REPLACE"), header("X-Amz-Meta-Of", "new")).header.Get("X-Amz-Version-Id")
		is := func(target, of string) {
			t.Helper()
			if a := c.must(t, 200, "GET", target, nil); string(a.body) != "12345" || a.header.Get("X-Amz-Meta-Of") != of {
				t.Errorf("%s is %q, %v", target, a.body, a.header)
			}
		}
		is(key, "new")
		list := string(c.must(t, 200, "GET", bucket+"?versions", nil).body)
		if !versions {
			if first+second != "" || strings.Count(list, "<Version>") != 1 {
				t.Errorf("versions %q and %q: %s", first, second, list)
			}
			continue
		}
		if first == "" || second == "" || first == second || strings.Count(list, "<Version>") != 2 {
			t.Errorf("versions %q and %q: %s", first, second, list)
		}
		is(key+"?versionId="+first, "old")
		is(key+"?versionId="+second, "new")
		// The older one, copied onto its own key, is the newest again: a third version.
		c.must(t, 200, "PUT", key, nil, header("X-Amz-Copy-Source", key+"?versionId="+first))
		is(key, "old")
		if list := c.must(t, 200, "GET", bucket+"?versions", nil); strings.Count(string(list.body), "<Version>") != 3 {
			t.Errorf("%s", list.body)
		}
	}
}
