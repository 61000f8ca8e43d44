package transact

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// TestRefusedBeforeSending: what a document cannot say as it is, and parts that no server
// takes, are refused without a request, by Commit too.
func TestRefusedBeforeSending(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s is sent", r.Method, r.URL)
	}))
	defer s.Close()
	client := s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.URL), UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	put := func(key string, partBytes int, o PutOptions) func(*Transaction) error {
		return func(tx *Transaction) error {
			tx.PartBytes = partBytes
			return tx.Put(t.Context(), key, strings.NewReader("x"), o)
		}
	}
	const bad = "k\xff"
	for name, f := range map[string]func(*Transaction) error{
		"deleted key": func(tx *Transaction) error { return tx.Delete(Delete{Key: bad}) },
		"deleted tag": func(tx *Transaction) error { return tx.Delete(Delete{Key: "k", IfMatch: bad}) },
		"copied to":   func(tx *Transaction) error { return tx.Copy(Copy{Key: bad, Source: Source{Bucket: "b", Key: "k"}}) },
		"copied from": func(tx *Transaction) error { return tx.Copy(Copy{Key: "k", Source: Source{Bucket: "b", Key: bad}}) },
		"metadata": func(tx *Transaction) error {
			return tx.Copy(Copy{Key: "k", Source: Source{Bucket: "b", Key: "k"}, Metadata: map[string]string{"a": bad}})
		},
		"metadata name": func(tx *Transaction) error {
			return tx.Copy(Copy{Key: "k", Source: Source{Bucket: "b", Key: "k"}, Metadata: map[string]string{bad: "a"}})
		},
		"put key":       put(bad, 0, PutOptions{}),
		"put tag":       put("k", 0, PutOptions{IfMatch: bad}),
		"negative part": put("k", -1, PutOptions{}),
		"short part":    put("k", MinPartBytes-1, PutOptions{}),
	} {
		tx := New(client, "b")
		if err := f(tx); err == nil {
			t.Errorf("%s: no error", name)
		}
		if err := tx.Delete(Delete{Key: "\ufffd"}); err != nil { // this one is UTF-8
			t.Errorf("%s: %v", name, err)
		}
		if _, err := tx.Commit(t.Context()); err == nil {
			t.Errorf("%s: committed", name)
		}
	}
}
