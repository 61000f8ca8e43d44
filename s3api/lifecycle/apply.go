package lifecycle

import (
	"slices"
	"strings"
)

const (
	second = int64(1e9)
	day    = 24 * 3600 * second
)

// Action is what is to be done with what was asked about.
type Action uint8

const (
	// Keep: nothing, yet.
	Keep Action = iota
	// Expire the current version: it is deleted or, in a bucket with versioning, a
	// delete marker is put before it.
	Expire
	// RemoveMarker: the delete marker goes, with which the key is gone.
	RemoveMarker
	// RemoveVersion: the version goes for good.
	RemoveVersion
	// Abort the upload.
	Abort
)

// Subject is a version of an object, a delete marker or an upload, as it was seen. All
// times are ns of log time.
type Subject struct {
	Key  string
	Size int64
	// Tag gives the value of a tag; nil: there are no tags. Only rules that want tags
	// ask for it.
	Tag func(key string) (string, bool)
	// Created is when it was made; of an upload, when it was begun.
	Created int64

	Upload       bool
	DeleteMarker bool
	Noncurrent   bool
	// Alone: of a delete marker, that there is no version behind it.
	Alone bool
	// Superseded is when it stopped being current, and Newer how many versions that
	// are not current are newer. Both only of what is not current.
	Superseded int64
	Newer      int
}

// Decide says what the rules do with s at a moment (ns of log time), and by which rule:
// the first whose time has come. nil: by none.
func (c *Configuration) Decide(s *Subject, now int64) (Action, *Rule) {
	for i := range c.Rules {
		r := &c.Rules[i]
		if a, due := r.due(s, c.Day); a != Keep && due <= now {
			return a, r
		}
	}
	return Keep, nil
}

// Aborts tells whether any rule is about uploads.
func (c *Configuration) Aborts() bool {
	return slices.ContainsFunc(c.Rules, func(r Rule) bool { return r.Enabled && r.AbortDays > 0 })
}

// Expiry says when the current version s will expire, and by which rule, for the header
// x-amz-expiration: the earliest of all rules. nil: never.
func (c *Configuration) Expiry(s *Subject) (due int64, by *Rule) { return c.earliest(s, Expire) }

// AbortDate says when the open upload s will be aborted, and by which rule, for the header
// x-amz-abort-date: the earliest of all rules. nil: never.
func (c *Configuration) AbortDate(s *Subject) (due int64, by *Rule) { return c.earliest(s, Abort) }

// earliest is the first moment at which a rule does something with s, and that rule.
func (c *Configuration) earliest(s *Subject, action Action) (due int64, by *Rule) {
	for i := range c.Rules {
		r := &c.Rules[i]
		if a, at := r.due(s, c.Day); a == action && (by == nil || at < due) {
			due, by = at, r
		}
	}
	return due, by
}

// due says what the rule will do with s, and from when on; Keep: nothing, ever.
func (r *Rule) due(s *Subject, day int64) (Action, int64) {
	if !r.Enabled || !strings.HasPrefix(s.Key, r.Filter.Prefix) {
		return Keep, 0
	}
	switch {
	case s.Upload:
		if r.AbortDays > 0 {
			return Abort, after(s.Created, r.AbortDays, day)
		}
	case s.Noncurrent:
		// A delete marker that is not current is a version as others are: without size
		// and tags.
		if r.NoncurrentDays > 0 && s.Newer >= r.NewerNoncurrent && r.Filter.chooses(s) {
			return RemoveVersion, after(s.Superseded, r.NoncurrentDays, day)
		}
	case s.DeleteMarker:
		return r.dueMarker(s, day)
	case !r.Filter.chooses(s):
	case r.Days > 0:
		return Expire, after(s.Created, r.Days, day)
	case r.Date > 0:
		return Expire, r.Date
	}
	return Keep, 0
}

// dueMarker: a delete marker that hides nothing goes by the rule that says so at once,
// by one of days or a date when it is as old as an object would have to be.
func (r *Rule) dueMarker(s *Subject, day int64) (Action, int64) {
	switch {
	case !s.Alone:
	case r.DeleteMarkers:
		return RemoveMarker, s.Created
	case !r.Filter.chooses(s):
	case r.Days > 0:
		return RemoveMarker, after(s.Created, r.Days, day)
	case r.Date > 0:
		return RemoveMarker, r.Date
	}
	return Keep, 0
}

// chooses judges size and tags; the prefix has been.
func (f *Filter) chooses(s *Subject) bool {
	if s.Size <= f.Above || f.Below > 0 && s.Size >= f.Below {
		return false
	}
	for _, t := range f.Tags {
		if s.Tag == nil {
			return false
		}
		if v, ok := s.Tag(t.Key); !ok || v != t.Value {
			return false
		}
	}
	return true
}

// after is the midnight that follows a number of days after a moment.
func after(moment int64, days int, day int64) int64 {
	at := moment + int64(days)*day
	if over := at % day; over != 0 {
		at += day - over
	}
	return at
}
