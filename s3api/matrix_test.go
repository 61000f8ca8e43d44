package s3api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"ironman/s3api"
	"ironman/s3api/sig"
)

// TestMatrix asks for every operation, by every form of authentication, as everybody, and
// compares the answers with a model. Nothing is proposed to the log, stored or read of
// what is refused. S-D1, S-D2, S-D4, S-D5, S-A2, S-A5, S-A11, S-A12, S-B5, S-C2, S-D9.
func TestMatrix(t *testing.T) {
	began := time.Now()
	m := newMatrix(t)
	for i := range s3Rows() {
		r := &s3Rows()[i]
		t.Run(strings.TrimSpace(r.op+" "+r.variant), func(t *testing.T) {
			m.T = t
			m.allow(r)
			m.frozen = true
			m.private(r)
			m.public(r)
			m.altered(r)
			m.otherOwner(r)
			m.frozen = false
		})
	}
	t.Logf("%d requests in %s", m.asked, time.Since(began).Round(time.Millisecond))
}

// TestMatrixIsWhole: every operation has a row, and every row an operation. Whatever is
// not for everybody has an action, which is the first that its row needs.
func TestMatrixIsWhole(t *testing.T) {
	rows := make(map[string]bool)
	plain := make(map[string]*row)
	all := s3Rows()
	for i := range all {
		r := &all[i]
		rows[r.op] = true
		if r.variant == "" {
			if plain[r.op] != nil {
				t.Errorf("%s stands twice in the matrix", r.op)
			}
			plain[r.op] = r
		}
		if len(r.needs) > most {
			t.Errorf("%s needs more rights than somebody lacks", r.op)
		}
	}
	for _, op := range s3api.OperationsForTest() {
		r := plain[op.Name]
		switch {
		case r == nil:
			t.Errorf("operation %s has no row in the matrix", op.Name)
		case op.Nobody != r.nobody:
			t.Errorf("%s is for nobody: %v, the matrix says %v", op.Name, op.Nobody, r.nobody)
		case !op.Nobody && op.Action == "":
			t.Errorf("operation %s has no action", op.Name)
		case !op.Nobody && r.needs[0].action != op.Action:
			t.Errorf("%s is authorised as %s, not as %s", op.Name, op.Action, r.needs[0].action)
		}
		delete(rows, op.Name)
	}
	for name := range rows {
		t.Errorf("the matrix has %s, which is no operation", name)
	}
}

// TestMatrixRequestsAreTaken: what the rows ask for is not only let, but done, by its
// owner in a bucket of its own.
func TestMatrixRequestsAreTaken(t *testing.T) {
	m := newMatrix(t)
	for i, r := range s3Rows() {
		if r.want != "event" {
			continue
		}
		bucket := fmt.Sprintf("bucket-%d", i)
		m.bucket(bucket)
		q, f, next := m.fill(r.question, bucket), signedForms()[0], m.machine.Applied().Next
		if r.op == "PostObject" {
			f = postForms()[0]
		}
		if r.op == "CreateBucket" {
			q.target = "/" + bucket + "-fresh"
		}
		got := m.send(f.make(m.world, q, m.owner))
		if got.status >= 300 || got.code() != "" || m.operation != r.op || strings.Contains(string(got.body), "<Error>") {
			t.Errorf("%s %s: %v", r.op, r.variant, got)
		} else if r.op != "DeleteBucketPolicy" && m.machine.Applied().Next == next { // of which there is none
			t.Errorf("%s %s: nothing was done", r.op, r.variant)
		}
	}
}

// forms are the ways in which somebody may ask for a row. A browser's form is signed in
// its fields and nowhere else, and nothing else is signed there.
func (a *actor) forms(r *row) []authForm {
	switch {
	case r.op == "PostObject" && a.part == nobody:
		return anonymousPost()
	case r.op == "PostObject":
		return postForms()
	case a.part == nobody:
		return anonymousForms()
	}
	return signedForms()
}

// some are the forms that a question can have; where tests are to be short (under the race
// detector) only one of them, in turn.
func (m *matrix) some(forms []authForm, q *question) []authForm {
	var out []authForm
	for _, f := range forms {
		if !f.body || q.body != "" {
			out = append(out, f)
		}
	}
	if testing.Short() {
		m.turn++
		at := m.turn % len(out)
		return out[at : at+1]
	}
	return out
}

// private asks everybody in the owner's bucket.
func (m *matrix) private(r *row) {
	q := m.fill(r.question, "matrix")
	for _, a := range m.actors {
		if !a.plays(r) {
			continue
		}
		for _, f := range m.some(a.forms(r), q) {
			m.check(r, a, f, q, m.expect(r, a, a.may(r)))
		}
		// Whose the object is, and whether it is there, is decided behind all forms.
		f := a.forms(r)[0]
		if r.owners == "" || strings.Contains(r.target, "VERSION") {
			continue
		}
		foreign, missing := r.question, r.question
		foreign.target = strings.Replace(r.target, "KEY", "foreign", 1)
		m.check(r, a, f, m.fill(foreign, "matrix"), m.expect(r, a, a.mayOfForeign(r)))
		if r.grows { // there is a row for what is not there yet
			continue
		}
		missing.target = strings.Replace(r.target, "KEY", "missing", 1)
		want := m.expect(r, a, false)
		if want == "403 AccessDenied" && a.lists(r) {
			want = "404 NoSuchKey"
		}
		m.check(r, a, f, m.fill(missing, "matrix"), want)
	}
}

// public asks in a bucket in which everybody may do everything by its policy: there
// credentials that are refused must not count as none.
func (m *matrix) public(r *row) {
	if r.service || r.nobody {
		return
	}
	q := m.fill(r.question, "public")
	for _, a := range m.actors {
		if a.part != nobody && a.part != refused {
			continue
		}
		for _, f := range m.some(a.forms(r), q) {
			m.check(r, a, f, q, m.expect(r, a, !r.upload && !r.named && !r.grows))
		}
	}
}

// altered asks as the owner, and then changes what was signed: a header more (S-A5), or a
// parameter (S-C2).
func (m *matrix) altered(r *row) {
	if r.nobody || r.op == "PostObject" { // a form's fields are its policy's matter
		return
	}
	q := m.fill(r.question, "matrix")
	for i, f := range signedForms()[:4] {
		more := f
		more.name += ", a header more"
		more.make = func(w *world, q *question, c sig.Credential) *http.Request {
			out := f.make(w, q, c)
			out.Header.Set("X-Amz-Meta-More", "x")
			return out
		}
		want := "403 AccessDenied"
		if i >= 2 {
			want = "403 SignatureDoesNotMatch"
		}
		m.check(r, m.actors[1], more, q, want)
		more.name = f.name + ", a parameter more"
		more.make = func(w *world, q *question, c sig.Credential) *http.Request {
			out := f.make(w, q, c)
			out.URL.RawQuery = strings.TrimPrefix(out.URL.RawQuery+"&response-expires=x", "&")
			return out
		}
		m.check(r, m.actors[1], more, q, "403 SignatureDoesNotMatch")
	}
}

// otherOwner asks as who may, but takes the bucket, or a copy's source, for another's
// (S-D9).
func (m *matrix) otherOwner(r *row) {
	if r.nobody || r.service {
		return
	}
	headers := []string{"X-Amz-Expected-Bucket-Owner"}
	if slices.Contains(r.headers, "X-Amz-Copy-Source") {
		headers = append(headers, "X-Amz-Source-Expected-Bucket-Owner")
	}
	for _, h := range headers {
		q, f := m.fill(r.question, "matrix"), m.actors[0].forms(r)[0]
		if r.op == "PostObject" { // beside the form
			plain := f.make
			f.make = func(w *world, q *question, c sig.Credential) *http.Request {
				out := plain(w, q, c)
				out.Header.Set(h, strangeAccount)
				return out
			}
		} else {
			q.headers = append(q.headers, h, strangeAccount)
		}
		for _, a := range m.actors[:2] { // root, and the owner
			m.check(r, a, f, q, "403 AccessDenied")
		}
	}
}

// expect is the answer that somebody is to get.
func (m *matrix) expect(r *row, a *actor, may bool) string {
	switch {
	case r.nobody:
		return r.want
	case a.part == refused:
		return a.refusal
	case may:
		return r.want
	case r.eachKey:
		return "each key"
	}
	return "403 AccessDenied"
}

// check asks once.
func (m *matrix) check(r *row, a *actor, f authForm, q *question, want string) {
	m.Helper()
	m.asked++
	m.proposals, m.puts, m.opens, m.operation = 0, 0, 0, ""
	before := m.machine.Applied()
	got := m.send(f.make(m.world, q, a.cred))
	what := fmt.Sprintf("%s, %s: %s %s %v", a.name, f.name, q.method, q.target, q.headers)
	if m.operation != r.op {
		m.Errorf("%s reaches %q", what, m.operation)
	}
	if m.machine.Applied() != before {
		m.Errorf("%s changed the state", what)
	}
	if !m.is(got, q, want) {
		m.Errorf("%s: want %s, got %v, %d proposals", what, want, got, m.proposals)
	}
	if want != r.want && m.proposals+m.puts+m.opens > 0 {
		m.Errorf("%s is refused, but %d events were proposed, %d blobs stored and %d read", what, m.proposals, m.puts, m.opens)
	}
}

// is compares an answer with the wanted one.
func (m *matrix) is(got *reply, q *question, want string) bool {
	switch want {
	case "event":
		return got.status == 503 && m.proposals > 0
	case "each key":
		return got.status == 200 && strings.Contains(string(got.body), "<Code>AccessDenied</Code>") && !strings.Contains(string(got.body), "<Deleted>")
	}
	status, code, _ := strings.Cut(want, " ")
	return fmt.Sprint(got.status) == status && (got.code() == code || q.method == "HEAD" && len(got.body) == 0) && m.proposals == 0
}
