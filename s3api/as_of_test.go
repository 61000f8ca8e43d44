package s3api_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestNoMoment asks, as who may, for everything as of a moment that cannot be asked so.
// Nothing of it is done: the header is named in the answer, and a bucket as of a moment
// is told to be one that can only be read.
func TestNoMoment(t *testing.T) {
	m := newMatrix(t)
	m.frozen = true
	for _, r := range s3Rows() {
		q, f := m.fill(r.question, "matrix"), m.actors[1].forms(&r)[0]
		if r.showsPast() || strings.Contains(r.target, "--at-") {
			continue
		}
		ask := func(what, status, code, says string) {
			t.Helper()
			m.proposals, m.puts = 0, 0
			got := m.send(f.make(m.world, q, m.owner))
			if fmt.Sprint(got.status) != status || got.code() != code || !strings.Contains(string(got.body), says) || m.proposals+m.puts > 0 {
				t.Errorf("%s %s %s: %v, %d proposals", r.op, r.variant, what, got, m.proposals)
			}
		}
		if r.op != "PostObject" { // whose headers are fields
			q.headers = append(q.headers, "X-Ironman-As-Of", "1")
			ask("with the header", "400", "InvalidArgument", "<ArgumentName>x-ironman-as-of</ArgumentName>")
		}
		if r.service || r.nobody {
			continue
		}
		q = m.fill(r.question, "matrix")
		q.target = strings.Replace(q.target, "/matrix", "/matrix--at-s1", 1)
		if r.method == "GET" {
			ask("as of a moment", "400", "InvalidArgument", "matrix--at-s1")
		} else {
			ask("as of a moment", "405", "MethodNotAllowed", "only be read")
		}
	}
	for _, call := range [][2]string{{"iam", "ListUsers"}, {"sts", "GetCallerIdentity"}} {
		r := m.call(m.owner, call[0], call[1])
		r.Header.Set("X-Ironman-As-Of", "1")
		if got := m.send(r); got.status != 400 || got.code() != "ValidationError" {
			t.Errorf("%s: %v", call[1], got)
		}
	}
}

// TestMoments: what is no moment, has not come or is before the first event is refused,
// and so is a name that no bucket has.
func TestMoments(t *testing.T) {
	m := newMatrix(t)
	head := m.machine.Applied().Next - 1
	for value, says := range map[string]string{
		"": "must be a number", "now": "must be a number", "-1": "must be a number", "+1": "must be a number", "1_0": "must be a number",
		"0x10": "must be a number", "1, 2": "must be a number", "18446744073709551616": "must be a number", "2026-11-27": "must be a number",
		"2026-11-27T12:00:00": "must be a number", "2026-11-27T12:00:00.5Z": "must be a number", "2026-02-30T12:00:00Z": "must be a number",
		"18446744073709551615": "has not happened", fmt.Sprint(head + 1): "has not happened",
		"2999-01-01T00:00:00Z": "may not be over yet", "9999-12-31T23:59:59-23:59": "may not be over yet",
		"2026-11-27T11:59:00Z": "The oldest that can be read is that of sequence 0, at 2026-11-27T12:00:01Z.", "0001-01-01T00:00:00Z": "sequence 0",
	} {
		got := m.must(m.owner, 400, "GET", "/matrix/key", "", "X-Ironman-As-Of", value)
		if got.code() != "InvalidArgument" || got.field("ArgumentName") != "x-ironman-as-of" || !strings.Contains(got.field("Message"), says) {
			t.Errorf("%q: %v", value, got)
		}
		if a := m.send(m.request("GET", "/matrix/key", "", "X-Ironman-As-Of", value)); a.status == 200 || a.header.Get("X-Ironman-As-Of") != "" {
			t.Errorf("%q, asked by nobody: %v", value, a)
		}
	}
	for value, shown := range map[string]uint64{
		"0": 0, fmt.Sprint(head): head, "000007": 7, "2026-11-27T12:00:01Z": 0, "2026-11-27T13:00:04+01:00": 3, "2026-11-27T12:00:03.000Z": 2,
	} {
		a := m.must(m.owner, 404, "GET", "/matrix/none", "", "X-Ironman-As-Of", value)
		if a.header.Get("X-Ironman-As-Of") != fmt.Sprint(shown) {
			t.Errorf("%q: %v %v", value, a, a.header)
		}
	}
	for _, name := range []string{"--at-s1", "matrix--at-", "matrix--at-s", "matrix--at-s-1", "matrix--at-1", "matrix--at-S1", "matrix--at-s1--at-s1", "matrix--at-20261127",
		"matrix--at-20261127T120000Z", "matrix--at-20261127t120000", "matrix--at-20261127t120000.5z", "matrix--at-20261327t120000z"} {
		if a := m.must(m.owner, 400, "GET", "/"+name+"/key", ""); a.code() != "InvalidBucketName" || a.field("BucketName") != name {
			t.Errorf("%s: %v", name, a)
		}
	}
	if a := m.must(m.owner, 404, "GET", "/none--at-s1", ""); a.code() != "NoSuchBucket" {
		t.Error(a)
	}
	if a := m.must(m.owner, 400, "GET", "/matrix--at-s1", "", "X-Ironman-As-Of", "1"); a.field("ArgumentName") != "x-ironman-as-of" {
		t.Error(a)
	}
	if a := m.must(m.owner, 400, "PUT", "/source/copied", "", "X-Amz-Copy-Source", "/matrix--at-s1/key"); a.field("ArgumentName") != "x-amz-copy-source" {
		t.Error(a)
	}
}

// TestMomentIsSigned: who holds a signed request cannot ask it of the past.
func TestMomentIsSigned(t *testing.T) {
	m := newMatrix(t)
	q := m.fill(question{method: "GET", target: "/matrix/key"}, "matrix")
	at := fmt.Sprint(m.machine.Applied().Next - 1)
	for i, f := range signedForms()[:4] {
		r := f.make(m.world, q, m.owner)
		r.Header.Set("X-Ironman-As-Of", at)
		if a := m.send(r); a.status != 403 || a.code() != "AccessDenied" || a.field("HeadersNotSigned") != "x-ironman-as-of" {
			t.Errorf("%s: %v", f.name, a)
		}
		asked := *q
		asked.headers = []string{"X-Ironman-As-Of", at}
		want := 200
		if i >= 2 { // version 2 signs no such header
			want = 403
		}
		if a := m.send(f.make(m.world, &asked, m.owner)); a.status != want {
			t.Errorf("%s: %v", f.name, a)
		}
	}
}
