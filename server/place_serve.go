package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"ironman/erasure"
	"ironman/s3api/s3err"
)

// serveLostBlobs answers GET /-/blobs/lost?after=ID&limit=N.
func (n *Node) serveLostBlobs(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), accountLimit)
	defer cancel()
	q := r.URL.Query()
	limit := uint64(LostBlobsMax)
	var err error
	if q.Has("limit") {
		if limit, err = numberIn(q, "limit"); err != nil {
			n.adminError(w, err)
			return
		}
	}
	page, err := n.LostBlobs(ctx, q.Get("after"), int(min(limit, LostBlobsMax+1)))
	if err != nil {
		n.placeError(w, err)
		return
	}
	writeJSON(w, page)
}

// placeIdle is how long a body may stand still: what has come of it holds buffers.
const placeIdle = time.Minute

// placeDrained is how much is read of a body that is not needed, so that who sends it
// comes to read the answer.
const placeDrained = 8 << 20

// servePlaceBlob answers PUT /-/blobs/ID with the blob's bytes, whose number must be told.
func (n *Node) servePlaceBlob(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength < 0 {
		http.Error(w, "the number of bytes is needed (Content-Length)", http.StatusLengthRequired)
		return
	}
	body := &timelyBody{r.Body, http.NewResponseController(w), placeIdle}
	placed, err := n.PlaceBlob(r.Context(), r.PathValue("id"), body, r.ContentLength)
	_, _ = io.CopyN(io.Discard, body, placeDrained) // whatever comes of it
	if err != nil {
		n.placeError(w, err)
		return
	}
	writeJSON(w, struct {
		Result Placed `json:"result"`
	}{placed})
}

// timelyBody is a request's body that may not stand still.
type timelyBody struct {
	io.Reader
	limits *http.ResponseController
	idle   time.Duration
}

func (b *timelyBody) Read(p []byte) (int, error) {
	if err := b.limits.SetReadDeadline(time.Now().Add(b.idle)); err != nil {
		return 0, err
	}
	n, err := b.Reader.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	return n, errors.Join(errBody, err)
}

// errBody says that a body could not be read to its end.
var errBody = errors.New("the body did not come whole")

// placeError answers for what failed. All of 503 may be tried again.
func (n *Node) placeError(w http.ResponseWriter, err error) {
	status, text := 0, err.Error()
	switch {
	case errors.Is(err, errBody), errors.Is(err, erasure.ErrBody):
		status = http.StatusBadRequest
	case s3err.Is(err, "InsufficientStorage"):
		status, text = http.StatusInsufficientStorage, "a disk or the node's directory has less free space than its reserve"
	case s3err.Is(err, "ServiceUnavailable"), errors.Is(err, erasure.ErrStalled):
		status, text = http.StatusServiceUnavailable, "too few disks can be written to, or no majority of the nodes answers: try again"
	case errors.Is(err, errPlaceAgain):
		status = http.StatusServiceUnavailable
	default:
		n.adminError(w, err)
		return
	}
	n.opts.Logger.Warn("a blob was not placed", "err", err, "cause", errors.Unwrap(err))
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(1))
	}
	http.Error(w, text, status)
}
