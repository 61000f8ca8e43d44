package s3api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"ironman/fsm"
	"ironman/s3api/access"
	"ironman/s3api/s3err"
)

// A read may ask for the past: by a header, or by a name of the bucket that has a moment
// in it. What is read is then what was there; whether it may be read is decided as it is
// now, at the same snapshot.
//
// Time is told in whole seconds, as Last-Modified is: the state of a second is the one
// behind its last event.
const (
	asOfHeader = "X-Ironman-As-Of"
	asOfName   = "x-ironman-as-of"
	// momentMark stands between a bucket's name and the moment. No bucket's own name has it.
	momentMark = "--at-"
	// momentTime is how a bucket's name has a time: names are in lower case.
	momentTime = "20060102t150405z"
)

// settled is how long after a second no event can get a time in it any more, if none of a
// later one has come that would tell: clocks differ, and a proposal waits for the others
// behind its stamp.
const settled = 30 * time.Second

// moment is as of when a request reads.
type moment struct {
	argument, text string // what told it, and how
	inHeader       bool
	timed          bool
	seq            uint64 // of the last event that counts; or
	second         int64  // the last second that does
}

// past is what a request reads, where that is not the present.
type past struct {
	view   *fsm.View
	next   uint64      // the number of events that count
	bucket *fsm.Bucket // as it was; as it is, if there was none
	rules  bucketRules // as they were; none of them decides
	unmade bool        // there was no such bucket yet
}

// cutMoment reads the name of a bucket as of a moment, such as b--at-20260102t030405z or
// b--at-s4711. Any other name is that of a bucket, and of the present.
func cutMoment(name string) (bucket string, at *moment, err error) {
	bucket, text, ok := strings.Cut(name, momentMark)
	if !ok {
		return name, nil, nil
	}
	at = &moment{argument: "BucketName", text: name}
	if digits, ok := strings.CutPrefix(text, "s"); ok {
		at.seq, err = strconv.ParseUint(digits, 10, 64)
	} else {
		var t time.Time
		t, err = time.Parse(momentTime, text)
		at.timed, at.second = true, t.Unix()
	}
	if err != nil || bucket == "" || at.timed && len(text) != len(momentTime) { // time.Parse takes fractions
		return name, nil, s3err.Newf("InvalidBucketName", "The name of a bucket as of a moment ends in %s20260102t030405z or %ss4711.", momentMark, momentMark).
			With("BucketName", name)
	}
	return bucket, at, nil
}

// headerMoment reads the header.
func headerMoment(values []string) (*moment, error) {
	at, err := parseMoment(asOfName, strings.Join(values, ","))
	if err != nil {
		return nil, err
	}
	at.inHeader = true
	return at, nil
}

// BehindMoment gives the sequence below which events count at a moment: that of the last
// event that does, or a time in whole seconds by RFC 3339. What is wrong with the moment is
// told of the argument that named it; whether it is kept is another question.
func BehindMoment(argument, text string, v *fsm.View, now time.Time) (uint64, error) {
	at, err := parseMoment(argument, text)
	if err != nil {
		return 0, err
	}
	return at.behind(v, now)
}

// parseMoment reads a sequence or a time.
func parseMoment(argument, text string) (*moment, error) {
	at := &moment{argument: argument, text: text}
	n, err := strconv.ParseUint(at.text, 10, 64)
	if err == nil {
		at.seq = n
		return at, nil
	}
	t, err := time.Parse(time.RFC3339, at.text)
	if err != nil || t.Nanosecond() != 0 {
		return nil, at.refuse("It must be a number, the x-ironman-sequence of an earlier answer, or a time in whole seconds like 2026-01-02T03:04:05Z.")
	}
	at.timed, at.second = true, t.Unix()
	return at, nil
}

func (m *moment) refuse(format string, args ...any) error {
	return s3err.InvalidArgument(m.argument, m.text, fmt.Sprintf(format, args...))
}

// showsPast tells whether an operation can be asked as of a moment: it only reads, and
// history keeps what it reads. Of uploads, of the feed and
// of the list of buckets there is the present.
func (op *operation) showsPast() bool {
	return op.reads() && (op.needs == needBucket || op.needs == needObject) && !slices.Contains([]string{"uploads", "uploadId", "feed", "feedCursor"}, op.query)
}

func (op *operation) reads() bool { return op.method == http.MethodGet || op.method == http.MethodHead }

// takeMoment settles as of when the request reads, and refuses what cannot be asked so:
// an answer of the present would be a wrong one.
func (r *Request) takeMoment() error {
	values, ok := r.HTTP.Header[asOfHeader]
	for name, v := range r.Query {
		if strings.EqualFold(name, asOfName) { // as a tool that signs URLs may have put it
			return s3err.InvalidArgument(asOfName, strings.Join(v, ","), "As of when is read is told by a header, or by the name of the bucket.")
		}
	}
	if ok && r.asOf != nil {
		return s3err.InvalidArgument(asOfName, strings.Join(values, ","), "The name of the bucket says already as of when it is read.")
	}
	if ok {
		var err error
		if r.asOf, err = headerMoment(values); err != nil {
			return err
		}
	}
	switch at := r.asOf; {
	case at == nil || r.op.showsPast():
		return nil
	case at.inHeader:
		return noMoment(values, r.op.name)
	case r.op.needs == needNobody: // what pages of other origins may do is a matter of now
		r.asOf = nil
		return nil
	case r.op.reads():
		return at.refuse("%s shows the present only: name the bucket itself.", r.op.name)
	}
	// Not 403: that sends people to look for a right that they lack.
	r.errorHeader = http.Header{"Allow": {"GET, HEAD"}}
	e := s3err.MethodNotAllowed(r.HTTP.Method, "BUCKET")
	e.Message = "A bucket as of a moment can only be read. Name the bucket itself to change it."
	return e
}

// noMoment refuses the header where it would do nothing.
func noMoment(values []string, operation string) error {
	return s3err.InvalidArgument(asOfName, strings.Join(values, ","),
		fmt.Sprintf("The header %s cannot be used with %s: only reads of buckets and objects can be as of a moment.", asOfName, operation))
}

// openPast finds the state that the request reads. Without a moment it does nothing.
func (r *Request) openPast() error {
	at := r.asOf
	if at == nil {
		return nil
	}
	if id := r.identity; at.inHeader && id.AccessKey != "" && !slices.Contains(id.SignedHeaders, asOfName) {
		// Who has signed a URL for others has given them what it names, and not the past.
		return s3err.Newf("AccessDenied", "There were headers present in the request which were not signed").With("HeadersNotSigned", asOfName)
	}
	// The bucket of then is the one that has the name now, and kept by its retention.
	b, err := r.view.BucketByName(r.Bucket)
	if err != nil {
		return err
	}
	next, err := at.next(r.view, b.GetBucket(), r.server.Now())
	if err != nil {
		return err
	}
	v, err := r.view.AtIn(b.GetBucket(), next)
	if err != nil {
		return err
	}
	r.past = &past{view: v, next: next}
	return nil
}

// tooOld says that a moment is not kept any more. How long a bucket keeps its past is
// a matter of those who may read it.
type tooOld struct{ error }

func (e tooOld) Unwrap() error { return e.error }

// admitLate decides on a request that is refused anyway, because of late.
func (s *Server) admitLate(r *Request, late error) error {
	err := s.admit(r)
	var old tooOld
	if err == nil || errors.As(late, &old) && (s3err.Is(err, "NoSuchKey") || s3err.Is(err, "NoSuchVersion")) {
		return late // what is missing now may have been there
	}
	return err
}

// next is the sequence below which events count.
func (m *moment) next(v *fsm.View, bucket uint64, now time.Time) (uint64, error) {
	next, err := m.behind(v, now)
	if err != nil {
		return 0, err
	}
	oldest, err := v.OldestOf(bucket)
	if err != nil {
		return 0, err
	}
	oldest = max(oldest, 1) // behind the first event
	if next >= oldest {
		return next, nil
	}
	second, err := v.SecondOf(oldest - 1)
	if err != nil {
		return 0, err
	}
	return 0, tooOld{m.refuse("The state at that moment is not kept any more. The oldest that can be read is that of sequence %d, at %s.",
		oldest-1, time.Unix(second, 0).UTC().Format(time.RFC3339))}
}

// behind is next, whether or not that is kept.
func (m *moment) behind(v *fsm.View, now time.Time) (uint64, error) {
	next := m.seq + 1
	switch a := v.Applied(); {
	case !m.timed && m.seq >= a.Next:
		return 0, m.refuse("The event with this sequence has not happened yet in this cluster.")
	case m.timed && m.second >= a.Time/int64(time.Second) && m.second >= now.Add(-settled).Unix():
		return 0, m.refuse("This second may not be over yet: it is %v after it, or once something of a later one has happened.", settled)
	case m.timed:
		var err error
		if next, err = v.SeqAt(m.second + 1); err != nil {
			return 0, err
		}
	}
	return next, nil
}

// findBucket finds what the request's bucket was.
func (p *past) findBucket(r *Request) (err error) {
	if p.bucket, err = p.view.Bucket(r.bucket.Bucket); err != nil {
		return err
	}
	if p.bucket == nil {
		p.bucket, p.unmade = r.bucket, true
		return nil
	}
	p.rules, err = r.readRules(p.view, p.bucket)
	return err
}

// tellMoment puts on the answer which event it shows the state of.
func (r *Request) tellMoment(p *past) {
	r.responseHeader.Set(asOfHeader, strconv.FormatUint(p.view.Next()-1, 10))
}

// admitPast decides on a request that reads the past. What its moment is only those are told
// who may read.
func (s *Server) admitPast(r *Request) error {
	err := s.admit(r)
	// Who is told that something is missing may list the bucket.
	told := err == nil || s3err.Is(err, "NoSuchKey") || s3err.Is(err, "NoSuchVersion")
	if told {
		r.tellMoment(r.past)
	}
	if r.asOf.inHeader { // a cache must not give it to who asks for the present
		r.responseHeader.Add("Vary", asOfHeader)
	}
	if r.past.unmade && told {
		r.errorHeader = nil
		return s3err.Newf("NoSuchBucket", "The bucket did not exist at that moment.").With("BucketName", r.Bucket)
	}
	return err
}

// judgePast decides on a question about a version that was there. What has its key today
// takes today's rights. Another version of the key is asked for as by its id, which takes
// the right to versions, too; a list or tags that it still has count as they are now. One
// that is gone is its owner's alone but for policies, and as nobody can say which tags it
// would have today, those must allow it with all that it had from then on, and without.
func (s *Server) judgePast(r *Request, q question) (access.Decision, error) {
	then := q.object
	now, err := r.view.Version(q.bucket.Bucket, q.key, then.Version)
	if err != nil {
		return access.Decision{}, err
	}
	ways := []*fsm.Object{now}
	if now == nil {
		tags, err := r.past.view.TagsSince(q.bucket.Bucket, q.key, then.Version)
		if err != nil {
			return access.Decision{}, err
		}
		ways = []*fsm.Object{{Owner: then.Owner}, {Owner: then.Owner, Tags: then.Tags}}
		for _, t := range tags {
			ways = append(ways, &fsm.Object{Owner: then.Owner, Tags: t})
		}
	}
	questions := []question{q}
	current, err := r.view.Object(q.bucket.Bucket, q.key)
	if err != nil {
		return access.Decision{}, err
	}
	if !current.GetVersion().Same(then.Version) && q.version == "" {
		byID := q
		byID.action, byID.version = versionAction(q.action), versionName(then)
		questions = append(questions, byID)
	}
	var d access.Decision
	for _, q := range questions {
		for _, o := range ways {
			q.object = o
			if d, err = s.judgeNow(r, q); err != nil || !d.Allowed {
				return d, err
			}
		}
	}
	return d, nil
}

// versionName is how a request names a version.
func versionName(o *fsm.Object) string {
	if o.NullVersion {
		return "null"
	}
	return o.Version.ID()
}

// judgePastList decides on a list of what was there: it shows versions that are not
// current any more.
func (s *Server) judgePastList(r *Request, q question) (access.Decision, error) {
	d, err := s.judgeNow(r, q)
	if err != nil || !d.Allowed {
		return d, err
	}
	q.action = "s3:ListBucketVersions"
	return s.judgeNow(r, q)
}

// shownView is the state that the request reads. Who may is seen at r.view.
func (r *Request) shownView() *fsm.View {
	if r.past != nil {
		return r.past.view
	}
	return r.view
}

// shownBucket is the request's bucket as it is read.
func (r *Request) shownBucket() *fsm.Bucket {
	if r.past != nil {
		return r.past.bucket
	}
	return r.bucket
}

// shownRules are the rules of the request's bucket as they are shown, not as they decide.
func (r *Request) shownRules() (bucketRules, error) {
	if r.past != nil {
		return r.past.rules, nil
	}
	return r.rules(r.bucket)
}

// shownName is the bucket's name as it was asked for.
func (r *Request) shownName() string {
	if r.asOf != nil && !r.asOf.inHeader {
		return r.asOf.text
	}
	return r.Bucket
}
