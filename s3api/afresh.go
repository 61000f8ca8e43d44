package s3api

import (
	"context"
	"slices"

	"ironman/s3api/s3err"
	"ironman/wal/event"
)

// maxAfresh is how often a request that lost a race is done again.
const maxAfresh = 3

// afresh does a request again whose event apply refused because what its view had shown
// was not so any more. It is the proposer who tries again: a client cannot tell the race
// from an error of its own. Each time the view is a new one, what the request is about is
// found and decided on anew, and the event has an id of its own. What the view itself
// shows is refused is an answer.
func (s *Server) afresh(ctx context.Context, r *Request, once func(context.Context, *Request) (*Response, error), races ...event.Refusal) (*Response, error) {
	for tries := 0; ; tries++ {
		resp, err := once(ctx, r)
		if err == nil || tries == maxAfresh || !slices.Contains(races, s3err.RefusalOf(err)) {
			return resp, err
		}
		if err := s.lookAgain(ctx, r); err != nil {
			return nil, err
		}
	}
}

// changeVersion does what changes the version that was admitted. Where that was replaced
// meanwhile the change is of the one that is current now; a version that was named is gone.
func (s *Server) changeVersion(ctx context.Context, r *Request, once func(context.Context, *Request) (*Response, error)) (*Response, error) {
	return s.afresh(ctx, r, once, event.Refusal_REFUSAL_NO_SUCH_VERSION, event.Refusal_REFUSAL_CONFLICT)
}

// lookAgain forgets what a request had found, and admits it at a new view.
func (s *Server) lookAgain(ctx context.Context, r *Request) error {
	r.closeView()
	r.eventID = newRequestID()
	r.authority, r.authorityRead, r.rulesOf = nil, false, nil
	r.bucket, r.object, r.source, r.reason, r.charged, r.errorHeader = nil, nil, nil, nil, false, nil
	if err := r.openView(ctx); err != nil {
		return err
	}
	return s.admit(r)
}
