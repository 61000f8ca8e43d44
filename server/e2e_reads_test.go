package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/s3api/sig"
	"ironman/server"
	"ironman/server/audit"
)

// logReads turns the log of reads on, and has the ledger told often.
func logReads(o *server.Options) { o.LogReads, o.ReadsNoteEvery = true, 50*time.Millisecond }

// readRecords are the records that a node tells of, once it tells of at least so many.
func (p *inProcess) readRecords(t testing.TB, least int, q url.Values) (out []*audit.Read) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		out = nil
		last := false
		for line := range bytes.Lines(p.adminGet(t, "/-/reads?"+q.Encode())) {
			var x struct {
				Read  *audit.Read
				Last  bool
				Error string
			}
			if err := json.Unmarshal(line, &x); err != nil || x.Error != "" {
				t.Fatalf("%s: %v", line, err)
			}
			if x.Read != nil {
				out = append(out, x.Read)
			}
			last = x.Last
		}
		if !last {
			t.Fatal("the answer has no end")
		}
		if len(out) >= least {
			return out
		}
		if time.Now().After(limit) {
			t.Fatalf("only %d records", len(out))
		}
	}
}

// awaitNoted waits until the ledger knows of at least so many records.
func (p *inProcess) awaitNoted(t testing.TB, least uint64) *server.ReadsStatus {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		s, err := p.node.Status()
		if err != nil {
			t.Fatal(err)
		}
		if s.Reads != nil && s.Reads.Noted >= least {
			return s.Reads
		}
		if time.Now().After(limit) {
			t.Fatalf("noted: %+v", s.Reads)
		}
	}
}

func (p *inProcess) verifyReads(t testing.TB) (*server.VerifiedReads, error) {
	t.Helper()
	return p.node.VerifyReads(t.Context(), nil)
}

// line is what matters of a record, in a line.
func line(x *audit.Read) string {
	who := "root"
	if x.Actor == "anonymous" {
		who = x.Actor
	}
	s := fmt.Sprintf("%s %s %s/%s %d %s sent=%d", who, x.Operation, x.Bucket, x.Key, x.Status, x.Code, x.Sent)
	for name, v := range map[string]string{"range": x.Range, "version": x.Version} {
		if v != "" {
			s += " " + name + "=" + v
		}
	}
	if x.Kind != "read" {
		s += " " + x.Kind
	}
	if x.Made != nil {
		s += " found"
	}
	if x.AsOf != 0 {
		s += " past"
	}
	return s
}

// TestReads: every read of an object's data is recorded, granted or refused, with who asked,
// for what, and what was given; nothing else is.
func TestReads(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/data", logReads)
	c, anonymous := p.client(), p.client()
	anonymous.cred = sig.Credential{}
	body := content(1, 1000)
	c.must(t, 200, "PUT", "/photos", nil)
	put := c.must(t, 200, "PUT", "/photos/a", body)
	seq := put.header.Get("X-Ironman-Sequence")
	c.must(t, 200, "PUT", "/photos/a", content(2, 10))
	var want []string
	c.must(t, 200, "GET", "/photos/a", nil)
	want = append(want, "root GetObject photos/a 200  sent=10 found")
	c.must(t, 206, "GET", "/photos/a", nil, header("Range", "bytes=2-4"))
	want = append(want, "root GetObject photos/a 206  sent=3 range=bytes=2-4 found")
	c.must(t, 200, "HEAD", "/photos/a", nil)
	want = append(want, "root HeadObject photos/a 200  sent=0 found")
	a := c.must(t, 404, "GET", "/photos/none", nil)
	want = append(want, fmt.Sprintf("root GetObject photos/none 404 NoSuchKey sent=%d", len(a.body)))
	a = c.must(t, 404, "GET", "/nowhere/x", nil)
	want = append(want, fmt.Sprintf("root GetObject nowhere/x 404 NoSuchBucket sent=%d", len(a.body)))
	a = anonymous.must(t, 403, "GET", "/photos/a", nil)
	want = append(want, fmt.Sprintf("anonymous GetObject photos/a 403 AccessDenied sent=%d found", len(a.body)))
	c.must(t, 304, "GET", "/photos/a", nil, header("If-None-Match", "*"))
	want = append(want, "root GetObject photos/a 304 NotModified sent=0 found")
	c.must(t, 200, "GET", "/photos/a", nil, header("X-Ironman-As-Of", seq))
	want = append(want, "root GetObject photos/a 200  sent=1000 found past")
	c.must(t, 200, "PUT", "/photos/b", nil, header("X-Amz-Copy-Source", "/photos/a"))
	want = append(want, "root CopyObject photos/a 200  sent=0 copy_source found")
	c.must(t, 404, "PUT", "/photos/c", nil, header("X-Amz-Copy-Source", "/photos/none"))
	want = append(want, "root CopyObject photos/none 404 NoSuchKey sent=0 copy_source")
	anonymous.must(t, 403, "PUT", "/photos/c", nil, header("X-Amz-Copy-Source", "/photos/a"))
	want = append(want, "anonymous CopyObject photos/a 403 AccessDenied sent=0 copy_source")
	started := c.must(t, 200, "POST", "/photos/up?uploads", nil)
	id, _, _ := strings.Cut(string(started.body[bytes.Index(started.body, []byte("<UploadId>"))+len("<UploadId>"):]), "<")
	c.must(t, 200, "PUT", "/photos/up?partNumber=1&uploadId="+id, nil, header("X-Amz-Copy-Source", "/photos/a"), header("X-Amz-Copy-Source-Range", "bytes=0-4"))
	want = append(want, "root UploadPartCopy photos/a 200  sent=0 range=bytes=0-4 copy_source found")
	// None of these is a read of what an object holds.
	c.must(t, 200, "GET", "/photos?list-type=2", nil)
	c.must(t, 200, "GET", "/photos/a?acl", nil)
	c.must(t, 200, "GET", "/photos/a?tagging", nil)
	c.must(t, 200, "HEAD", "/photos", nil)
	c.must(t, 204, "DELETE", "/photos/b", nil)

	all := p.readRecords(t, len(want)+1, nil)
	if len(all) != len(want)+1 || all[0].Kind != "begun" {
		t.Fatalf("%d records instead of %d", len(all), len(want)+1)
	}
	for i, x := range all[1:] {
		if got := line(x); got != want[i] {
			t.Errorf("record %d is  %q\ninstead of %q", x.Record, got, want[i])
		}
		if x.Client == nil || x.Client.Address != "127.0.0.1" || x.Began.After(x.Time) || x.Request == "" {
			t.Errorf("record %d: %+v", x.Record, x)
		}
		if granted := x.Code == "" || x.Code == "NotModified"; granted && x.Why.By != "root" && x.Why.By != "owner" {
			t.Errorf("record %d was allowed by %+v", x.Record, x.Why)
		}
	}
	for _, c := range []struct {
		q    string
		want int
	}{
		{"bucket=photos", len(want) - 1}, {"bucket=nowhere", 1}, {"key=none", 2}, {"prefix=no", 2}, {"actor=anonymous", 2}, {"actor=" + p.cred.AccessKey, len(want) - 2},
		{"operation=HeadObject", 1}, {"refused=true", 5}, {"from=5", len(want) - 4}, {"since=2100-01-01T00:00:00Z", 0}, {"until=2000-01-01T00:00:00Z", 0},
	} {
		q, err := url.ParseQuery(c.q)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.readRecords(t, 0, q); len(got) != c.want {
			t.Errorf("%s: %d records instead of %d", c.q, len(got), c.want)
		}
	}

	st := p.awaitNoted(t, uint64(len(all)))
	if !st.Logging || st.SetBack || st.Records != uint64(len(all)) || st.Dropped != 0 {
		t.Errorf("%+v", st)
	}
	v, err := p.verifyReads(t)
	if err != nil || v.Records != uint64(len(all)) || v.Noted == 0 || v.Starts != 1 {
		t.Fatalf("%+v, %v", v, err)
	}
	metrics := string(p.adminGet(t, "/-/metrics"))
	if want := fmt.Sprintf("ironman_reads_noted_records %d\n", len(all)); !strings.Contains(metrics, want) {
		t.Errorf("no metric %q", want)
	}
	var head server.ReadsHead
	if err := json.Unmarshal(p.adminGet(t, "/-/reads/checkpoint"), &head); err != nil || head.Records != uint64(len(all)) || !strings.HasSuffix(head.Origin, "/reads/1") {
		t.Errorf("%+v, %v", head, err)
	}
}

// TestReadsElsewhere: pages of a website, and each source of a transaction's copies, are
// reads; so are those of one that was refused.
func TestReadsElsewhere(t *testing.T) {
	t.Parallel()
	p, root, visit := openSites(t, logReads)
	page := visit("GET", "site.web.example", "/")
	missing := visit("GET", "site.web.example", "/private")
	root.must(t, 200, "PUT", "/target", nil)
	x := &transactor{t, root, "target"}
	x.commit(x.copy("one", "site/private"), x.copy("two", "site/moved"))
	x.refuses(404, "NoSuchKey", 1, document(x.copy("three", "site/private"), x.copy("four", "site/none")))
	want := []string{
		fmt.Sprintf("anonymous WebsiteGet site/index.html 200  sent=%d found", len(page.body)),
		fmt.Sprintf("anonymous WebsiteGet site/private 403 AccessDenied sent=%d", len(missing.body)),
		"root CommitTransaction site/private 200  sent=0 copy_source found",
		"root CommitTransaction site/moved 200  sent=0 copy_source found",
		"root CommitTransaction site/private 404 NoSuchKey sent=0 copy_source found",
		"root CommitTransaction site/none 404 NoSuchKey sent=0 copy_source",
	}
	all := p.readRecords(t, len(want)+1, nil)[1:]
	for i, x := range all {
		if i >= len(want) || line(x) != want[i] {
			t.Errorf("record %d is  %q", x.Record, line(x))
		}
		if x.Operation == "WebsiteGet" && (x.Made != nil) != (x.Why.By != "") {
			t.Errorf("record %d tells of an object: %v, and was allowed by %+v", x.Record, x.Made != nil, x.Why)
		}
	}
	if len(all) != len(want) {
		t.Errorf("%d records instead of %d", len(all), len(want))
	}
}

// TestReadsOff: without the flag nothing is recorded, and what was is kept and shown.
func TestReadsOff(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	p := openInProcess(t, mem, "/data")
	c := p.client()
	c.must(t, 200, "PUT", "/bucket", nil)
	c.must(t, 200, "PUT", "/bucket/k", content(1, 10))
	c.must(t, 200, "GET", "/bucket/k", nil)
	if s, err := p.node.Status(); err != nil || s.Reads != nil {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := mem.Stat("/data/node/reads"); err == nil {
		t.Fatal("a log of reads was made")
	}
	p.close(t)

	p = openInProcess(t, mem, "/data", logReads)
	p.client().must(t, 200, "GET", "/bucket/k", nil)
	p.readRecords(t, 2, nil)
	p.close(t)

	p = openInProcess(t, mem, "/data")
	p.client().must(t, 200, "GET", "/bucket/k", nil)
	if s, err := p.node.Status(); err != nil || s.Reads == nil || s.Reads.Logging || s.Reads.Records != 2 || s.Reads.Noted != 2 {
		t.Fatalf("%+v, %v: an orderly stop notes all", s.Reads, err)
	}
	if got := p.readRecords(t, 2, nil); len(got) != 2 {
		t.Fatalf("%d records", len(got))
	}
}

// TestReadsPowerCut: what the ledger vouches for survives any power cut, whatever of the
// unsynced writes does; each start goes on where the log ended.
func TestReadsPowerCut(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	noted, reads := uint64(0), 0
	for n := range 5 {
		p := openInProcess(t, disk, "/srv/data/store", logReads, func(o *server.Options) { o.PackBytes = 256 << 10 })
		s, err := p.node.Status()
		if err != nil || s.Reads.SetBack || s.Reads.Records < noted {
			t.Fatalf("%+v, %v: %d were noted", s.Reads, err, noted)
		}
		if v, err := p.verifyReads(t); err != nil || v.Starts != n+1 {
			t.Fatalf("%+v, %v", v, err)
		}
		c := p.client()
		if n == 0 {
			c.must(t, 200, "PUT", "/cut", nil)
			c.must(t, 200, "PUT", "/cut/k", content(1, 10))
		}
		for range 150 {
			c.must(t, 200, "GET", "/cut/k", nil)
			reads++
		}
		p.awaitNoted(t, s.Reads.Records+1)
		for range 150 { // of which any may be lost
			c.must(t, 200, "GET", "/cut/k", nil)
		}
		after, err := p.node.Status()
		if err != nil {
			t.Fatal(err)
		}
		noted = after.Reads.Noted
		next := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 25 * n, RNG: rand.New(rand.NewPCG(uint64(n), 1))})
		p.close(t)
		disk = next
	}
	if noted < 256 {
		t.Fatalf("only %d records were noted", noted)
	}
}

// TestReadsSetBack: a node whose log lacks what the ledger vouches for says so, goes on, and
// verification names the first record that is gone.
func TestReadsSetBack(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	p := openInProcess(t, mem, "/data", logReads)
	c := p.client()
	c.must(t, 200, "PUT", "/bucket", nil)
	c.must(t, 200, "PUT", "/bucket/k", content(1, 10))
	for range 5 {
		c.must(t, 200, "GET", "/bucket/k", nil)
	}
	p.awaitNoted(t, 6)
	p.close(t)
	if err := mem.Remove("/data/node/reads/tail"); err != nil {
		t.Fatal(err)
	}
	p = openInProcess(t, mem, "/data", logReads)
	s, err := p.node.Status()
	if err != nil || !s.Reads.SetBack || s.Reads.Records != 7 {
		t.Fatalf("%+v, %v", s.Reads, err)
	}
	if !strings.Contains(string(p.adminGet(t, "/-/metrics")), "ironman_reads_set_back 1\n") {
		t.Error("no metric tells of it")
	}
	p.client().must(t, 200, "GET", "/bucket/k", nil)
	p.awaitNoted(t, 8)
	v, err := p.verifyReads(t)
	if err == nil || !strings.Contains(err.Error(), "first bad record 0") || v == nil || len(v.SetBack) != 1 || v.SetBack[0].Noted != 6 {
		t.Fatalf("%+v, %v", v, err)
	}
	kinds := ""
	for _, x := range p.readRecords(t, 8, nil) {
		kinds += x.Kind + " "
	}
	if kinds != "set_back lost lost lost lost lost begun read " {
		t.Fatalf("the log has %s", kinds)
	}
}

// TestReadsKept: records go by age, bundle by bundle, and all that the ledger vouches for holds.
func TestReadsKept(t *testing.T) {
	t.Parallel()
	clock := &testClock{}
	mem := vfs.NewMem()
	p := openInProcess(t, mem, "/data", logReads, func(o *server.Options) { o.LogReadsKeep, o.Now = time.Hour, clock.now })
	c := p.client()
	c.must(t, 200, "PUT", "/bucket", nil)
	c.must(t, 200, "PUT", "/bucket/k", content(1, 10))
	read := func(n int) {
		for range n {
			c.must(t, 200, "GET", "/bucket/k", nil)
		}
	}
	read(300)
	p.awaitNoted(t, 301)
	clock.advance(2 * time.Hour)
	c.ahead = 2 * time.Hour
	read(300)
	for limit := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		s, err := p.node.Status()
		if err != nil {
			t.Fatal(err)
		}
		if s.Reads.Kept == 256 && s.Reads.Retention == "1h0m0s" {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("%+v", s.Reads)
		}
	}
	if _, err := mem.Stat("/data/node/reads/tile/entries/000"); err == nil {
		t.Error("the first bundle is there")
	}
	all := p.readRecords(t, 345, nil)
	if all[0].Record != 256 {
		t.Errorf("the first record is %d", all[0].Record)
	}
	v, err := p.verifyReads(t)
	if err != nil || v.Kept != 256 || v.Noted < 1 {
		t.Fatalf("%+v, %v", v, err)
	}
}

// TestReadsCutOff: a read that a stop cuts off is in the log, with what was sent of it.
func TestReadsCutOff(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	p := openInProcess(t, mem, "/data", logReads)
	c := p.client()
	c.must(t, 200, "PUT", "/bucket", nil)
	c.must(t, 200, "PUT", "/bucket/k", content(1, 32<<20))
	r := c.request(t.Context(), "GET", "/bucket/k", nil)
	c.sign(r, nil)
	resp, err := (&http.Transport{}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() // nobody reads it
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := p.node.Close(ctx); err != nil {
		t.Log(err)
	}
	p = openInProcess(t, mem, "/data", logReads)
	for _, x := range p.readRecords(t, 3, nil) {
		if x.Key == "k" && x.Broken && x.Sent < 32<<20 || x.Kind == "dropped" && x.Reads == 1 {
			return
		}
	}
	t.Error("nothing tells of it")
}

// TestReadsUnusable: a log of reads that cannot be opened keeps a node from starting that is
// to add to it, and nothing of it is touched; another one starts, and says so.
func TestReadsUnusable(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	forgets := func(o *server.Options) { o.HistoryRetention = 0 }
	p := openInProcess(t, mem, "/data", logReads, forgets)
	c := p.client()
	c.must(t, 200, "PUT", "/bucket", nil)
	put := c.must(t, 200, "PUT", "/bucket/k", content(1, 10))
	for range 300 {
		c.must(t, 200, "GET", "/bucket/k", nil)
	}
	p.awaitNoted(t, 301)
	p.close(t)
	if err := mem.Remove("/data/node/reads/checkpoint"); err != nil {
		t.Fatal(err)
	}
	p = openInProcess(t, mem, "/data", forgets)
	s, err := p.node.Status()
	if err != nil || s.Reads == nil || !strings.Contains(s.Reads.Problem, "Nothing was removed") {
		t.Fatalf("%+v, %v", s.Reads, err)
	}
	if _, err := mem.Stat("/data/node/reads/tile/entries/000"); err != nil {
		t.Error("the first bundle is gone")
	}
	// An erasure is carried out elsewhere, and not called done.
	p.client().must(t, 204, "DELETE", "/bucket/k", nil)
	if _, err := p.node.Erase(t.Context(), &server.Erase{Bucket: "bucket", Keys: []string{"k"}}, func(uint64, uint64) {}); err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		e, err := p.node.Erasures(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if e.Done() {
			t.Fatal("the erasure is called done")
		}
		if strings.Contains(e.Nodes[0].Problem, "elsewhere on this node it is") {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("%+v", e.Nodes[0])
		}
	}
	seq, err := strconv.ParseUint(put.header.Get("X-Ironman-Sequence"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.node.Detail(t.Context(), seq)
	if err != nil || len(d.Items) == 0 || !d.Items[0].Erased {
		t.Fatalf("%+v, %v", d, err)
	}
}
