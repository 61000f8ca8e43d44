package transact

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"ironman/s3api/transaction"
)

func TestCommitURL(t *testing.T) {
	for _, c := range []struct {
		endpoint string
		path     bool
		want     string // empty: an error
	}{
		{"http://127.0.0.1:9000", true, "http://127.0.0.1:9000/b?transaction="},
		{"http://127.0.0.1:9000/", true, "http://127.0.0.1:9000/b?transaction="},
		{"https://s3.example:443/under", true, "https://s3.example:443/under/b?transaction="},
		{"https://s3.example", false, "https://b.s3.example/?transaction="},
		{"", true, ""},
		{"s3.example", true, ""},
	} {
		u, err := commitURL(c.endpoint, "b", c.path)
		if (err == nil) != (c.want != "") || err == nil && u.String() != c.want {
			t.Errorf("%s, %v: %v, %v, want %s", c.endpoint, c.path, u, err, c.want)
		}
	}
}

// TestCommitTries: what is refused is not sent again; what may have been done is, if it
// puts something, for only then a second one is told apart.
func TestCommitTries(t *testing.T) {
	var statuses []int
	sent := 0
	const lost, broken = 0, 1 // the answer, or the rest of it
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent++
		status := statuses[min(sent, len(statuses))-1]
		switch status {
		case lost:
			panic(http.ErrAbortHandler)
		case broken:
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("{"))
			return
		}
		w.WriteHeader(status)
		if status == 200 {
			_, _ = w.Write([]byte(`{"sequence":7,"results":[]}`))
			return
		}
		_, _ = w.Write([]byte(`<Error><Code>SlowDown</Code><Message>m</Message><OperationIndex>1</OperationIndex><OperationKey>k</OperationKey></Error>`))
	}))
	defer s.Close()
	client := s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.URL), UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	for _, c := range []struct {
		statuses []int
		put      bool
		sent     int
		done     bool
		known    bool // of what is not done
	}{
		{[]int{200}, false, 1, true, true},
		{[]int{503, 500, 200}, true, 3, true, true},
		{[]int{503}, true, commitTries, false, false},
		{[]int{503, 200}, false, 1, false, false},
		{[]int{412, 200}, true, 1, false, true},
		{[]int{503, 412}, true, 2, false, false}, // the first may have been done, and be why the second is refused
		{[]int{lost, 404}, true, 2, false, false},
		{[]int{broken, 404}, true, 2, false, false},
		{[]int{lost, 200}, true, 2, true, true},
	} {
		statuses, sent = c.statuses, 0
		tx := New(client, "b")
		tx.staged = []upload{{"other", "that could not be aborted"}}
		operation := transaction.Operation{Delete: &Delete{Key: "k"}}
		if c.put {
			operation = transaction.Operation{Put: &transaction.Put{Key: "k", UploadID: "u"}}
			tx.staged = append(tx.staged, upload{"k", "u"})
		}
		if err := tx.add(operation); err != nil {
			t.Fatal(err)
		}
		a, err := tx.Commit(t.Context())
		if (err == nil) != c.done || sent != c.sent || c.done && (a.Sequence != 7 || (len(tx.staged) != 1 || tx.staged[0].key != "other")) || !c.done && len(tx.doc.Operations) != 1 {
			t.Errorf("%v: sent %d times: %+v, %v", c.statuses, sent, a, err)
		}
		var api smithy.APIError
		var e *Error
		if c.known == errors.As(err, new(*UnknownError)) {
			t.Errorf("%v: whether it is done is told as %v", c.statuses, err)
		}
		if !c.known {
			if errors.As(err, &e) || !tx.unknown {
				t.Errorf("%v: nothing was done, says %v", c.statuses, err)
			}
			statuses = []int{412} // as it was sent before
			if _, err := tx.Commit(t.Context()); !errors.As(err, new(*UnknownError)) {
				t.Errorf("%v: nothing was done, says %v later", c.statuses, err)
			}
			continue
		}
		if !c.done && (!errors.As(err, &api) || api.ErrorCode() != "SlowDown" || !errors.As(err, &e) || e.Operation != 1 || e.Key != "k" || !strings.Contains(err.Error(), `operation 1, key "k"`)) {
			t.Errorf("%v: %v", c.statuses, err)
		}
	}
	tx := New(s3.New(s3.Options{Region: "us-east-1"}), "b")
	if err := tx.Delete(Delete{Key: "k"}); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(t.Context()); err == nil {
		t.Error("there is no endpoint")
	}
}
