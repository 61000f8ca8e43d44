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

// Error is why nothing was done. It is an smithy.APIError.
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

// Commit does all operations, or none. An *Error says that nothing was done, or that it
// is not known (5xx); any other error that it is not known. What was staged is there still:
// the same transaction can be committed again, or aborted. One with a put is sent again
// here a few times where that is not known, which does it at most once.
func (t *Transaction) Commit(ctx context.Context) (*Answer, error) {
	if t.err != nil {
		return nil, fmt.Errorf("transact: something was not staged: %w", t.err)
	}
	text, err := json.Marshal(&t.doc)
	if err != nil {
		return nil, err
	}
	tries := 1
	if len(t.staged) > 0 {
		tries = commitTries
	}
	for pause := firstPause; ; pause *= 2 {
		answer, err := t.send(ctx, text)
		if err == nil {
			t.staged, t.doc = nil, transaction.Document{}
			return answer, nil
		}
		var refused *Error
		if tries--; tries == 0 || ctx.Err() != nil || errors.As(err, &refused) && refused.Status < 500 {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pause):
		}
	}
}

// send sends a document once.
func (t *Transaction) send(ctx context.Context, text []byte) (*Answer, error) {
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
	resp, err := o.HTTPClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, readError(resp, b)
	}
	answer := &Answer{}
	return answer, json.Unmarshal(b, answer)
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

// readError reads what a server says that has done nothing.
func readError(resp *http.Response, b []byte) error {
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
