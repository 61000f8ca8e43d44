package transact

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"

	"ironman/s3api/transaction"
	"ironman/wal/digest"
)

const (
	// commitTries is how often a commit is sent whose outcome is not known. A second one is
	// answered like the first, if that was done: the puts tell it apart.
	commitTries = 4
	firstPause  = 200 * time.Millisecond
	// maxAnswerBytes bounds what is read of an answer: 100 results, with keys of 1,024 bytes
	// of which JSON makes six each.
	maxAnswerBytes = 1 << 20
)

// UnknownError says that it is not known whether a transaction was committed: no answer came,
// or one that does not tell, to this or to an earlier try. An *Error is not in its chain, so
// that what refused only the last try is not taken for a refusal of all.
type UnknownError struct {
	Last error // that came of the last try
}

// Error implements error.
func (e *UnknownError) Error() string {
	return "transact: the outcome is not known: " + e.Last.Error()
}

// Unwrap gives what came of the last try, unless it is an answer.
func (e *UnknownError) Unwrap() error {
	if _, ok := e.Last.(*Error); ok {
		return nil
	}
	return e.Last
}

// Error is an answer that says why nothing was done. It is an smithy.APIError.
type Error struct {
	Status    int
	Code      string
	Message   string
	Operation int    // whose condition or right it was, from 0; below 0: of none of them
	Key       string // of that operation
	RequestID string
}

// Error implements error.
func (e *Error) Error() string {
	s := fmt.Sprintf("transact: %s: %s (status %d, request %s)", e.Code, e.Message, e.Status, e.RequestID)
	if e.Operation >= 0 {
		s += fmt.Sprintf(", operation %d, key %q", e.Operation, e.Key)
	}
	return s
}

// ErrorCode implements smithy.APIError.
func (e *Error) ErrorCode() string { return e.Code }

// ErrorMessage implements smithy.APIError.
func (e *Error) ErrorMessage() string { return e.Message }

// ErrorFault implements smithy.APIError.
func (e *Error) ErrorFault() smithy.ErrorFault {
	if e.Status >= 500 {
		return smithy.FaultServer
	}
	return smithy.FaultClient
}

// Commit does all operations, or none. An *UnknownError says that it is not known which; any
// other error that nothing was done, an *Error why the server refused it. The transaction is
// as it was then: it can be committed again, or aborted, and of one whose outcome was not
// known it stays so until it is. One with a put is sent again here a few times where that is
// not known, which does it at most once.
func (t *Transaction) Commit(ctx context.Context) (*Answer, error) {
	if t.err != nil {
		return nil, fmt.Errorf("transact: an operation could not be staged or said: %w", t.err)
	}
	text, err := json.Marshal(&t.doc)
	if err != nil {
		return nil, err
	}
	tries := 1
	if len(t.uploads()) > 0 {
		tries = commitTries
	}
	for pause := firstPause; ; pause *= 2 {
		answer, told, err := t.send(ctx, text)
		if err == nil {
			t.committed()
			return answer, nil
		}
		t.unknown = t.unknown || !told
		if t.unknown {
			err = &UnknownError{err}
		}
		if tries--; tries == 0 || told {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pause):
		}
	}
}

// uploads are those that the transaction puts. Others may be staged: what an Abort could not
// give up, or what failed.
func (t *Transaction) uploads() map[string]bool {
	ids := make(map[string]bool)
	for _, o := range t.doc.Operations {
		if o.Put != nil {
			ids[o.Put.UploadID] = true
		}
	}
	return ids
}

// committed forgets what is done.
func (t *Transaction) committed() {
	ids := t.uploads()
	t.staged = slices.DeleteFunc(t.staged, func(u upload) bool { return ids[u.id] })
	t.doc, t.unknown = transaction.Document{}, false
}

// send sends a document once. told: an error says that this time nothing was done.
func (t *Transaction) send(ctx context.Context, text []byte) (a *Answer, told bool, err error) {
	r, err := t.request(ctx, text)
	if err != nil {
		return nil, true, err
	}
	resp, err := t.client.Options().HTTPClient.Do(r)
	if err != nil {
		return nil, false, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	switch {
	case resp.StatusCode != http.StatusOK:
		e := readError(resp, b)
		return nil, e.Status < 500, e
	case err != nil:
		return nil, false, err
	}
	a = &Answer{}
	if err := json.Unmarshal(b, a); err != nil {
		return nil, false, fmt.Errorf("transact: the answer cannot be read: %w", err)
	}
	return a, true, nil
}

// request is the one that commits a document.
func (t *Transaction) request(ctx context.Context, text []byte) (*http.Request, error) {
	o := t.client.Options()
	target, err := commitURL(aws.ToString(o.BaseEndpoint), t.bucket, o.UsePathStyle)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	sum := fmt.Sprintf("%x", digest.SHA256(text))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Amz-Content-Sha256", sum)
	if o.Credentials == nil {
		return nil, errors.New("transact: the client has no credentials")
	}
	credentials, err := o.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	if err := v4.NewSigner().SignHTTP(ctx, credentials, r, sum, "s3", o.Region, time.Now(), func(s *v4.SignerOptions) {
		s.DisableURIPathEscaping = true
	}); err != nil {
		return nil, err
	}
	return r, nil
}

// commitURL is where the transactions of a bucket are posted.
func commitURL(endpoint, bucket string, path bool) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		return nil, errors.New("transact: the client has no base endpoint")
	}
	if path {
		u = u.JoinPath(bucket)
	} else {
		u.Host = bucket + "." + u.Host
		u.Path = "/"
	}
	u.RawQuery = "transaction="
	return u, nil
}

// readError reads what a server says that does not say that it has committed.
func readError(resp *http.Response, b []byte) *Error {
	doc := struct {
		Code, Message, OperationKey, RequestId string
		OperationIndex                         *int
	}{}
	e := &Error{Status: resp.StatusCode, Code: http.StatusText(resp.StatusCode), Operation: -1, RequestID: resp.Header.Get("X-Amz-Request-Id")}
	if xml.Unmarshal(b, &doc) == nil && doc.Code != "" {
		e.Code, e.Message, e.Key = doc.Code, doc.Message, doc.OperationKey
		if doc.OperationIndex != nil {
			e.Operation = *doc.OperationIndex
		}
	}
	return e
}
