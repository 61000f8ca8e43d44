package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"ironman/s3api/s3err"
	"ironman/wal"
	"ironman/wal/event"
)

// TestQuotaRefused: whoever sets a quota is told why it was not.
func TestQuotaRefused(t *testing.T) {
	n := &Node{opts: Options{Logger: slog.New(slog.DiscardHandler)}}
	of := QuotaOf{Bucket: "gone", Account: "123456789012"}
	for _, c := range []struct {
		err    error
		status int
		says   string
	}{
		{quotaRefused(of, event.Refusal_REFUSAL_NO_SUCH_BUCKET), 404, `no bucket "gone"`},
		{quotaRefused(of, event.Refusal_REFUSAL_NOT_FOUND), 404, `no account "123456789012"`},
		{quotaRefused(of, event.Refusal_REFUSAL_FEATURE_LEVEL), 400, "older release"},
		{quotaRefused(of, event.Refusal_REFUSAL_INVALID), 400, "INVALID"},
		{s3err.New("ServiceUnavailable").Because(fmt.Errorf("%w: none", wal.ErrNoLeader)), 503, "no leader"},
		{fmt.Errorf("%w: it went away", wal.ErrUnknown), 503, "not known yet"},
		{errors.New("a secret of the disk"), 500, "internal error"},
	} {
		w := httptest.NewRecorder()
		n.answerAdmin(w, nil, c.err)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%v: %d %s", c.err, w.Code, w.Body)
		}
	}
	if err := quotaRefused(of, event.Refusal_REFUSAL_NONE); err != nil {
		t.Error(err)
	}
}
