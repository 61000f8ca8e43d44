package lifecycle

import (
	"bytes"
	"time"

	"ironman/s3api/s3xml"
)

// Configuration is the rules of a bucket. Immutable.
type Configuration struct {
	Rules []Rule
	// Day is how long a day is to them, in ns; there are tests that cannot wait for one.
	Day int64
}

// Rule says what becomes of the objects that its filter chooses. What it does not say
// is zero.
type Rule struct {
	ID      string
	Enabled bool
	Filter  Filter

	// Days after its creation, or Date (ns of log time, a midnight; 0: none), on which
	// the current version goes.
	Days int
	Date int64
	// DeleteMarkers: a delete marker without versions behind it goes.
	DeleteMarkers bool

	// NoncurrentDays after it was superseded a version goes, unless it is among the
	// NewerNoncurrent newest of those that are not current.
	NoncurrentDays  int
	NewerNoncurrent int

	// AbortDays after it was begun an upload that is not complete goes.
	AbortDays int
}

// Filter chooses objects for which all of it is true. The zero value chooses all.
type Filter struct {
	Prefix string
	Tags   []Tag
	// The size must be above Above (-1: whatever it is) and below Below (0: likewise).
	Above, Below int64
}

// Tag is a tag that an object must have.
type Tag struct{ Key, Value string }

// Parse validates a document and gives what it means. Errors are for the client: an
// *s3xml.Error, or an *s3err.Error.
func Parse(doc *s3xml.LifecycleConfiguration) (*Configuration, error) {
	if err := checkRules(doc.Rules); err != nil {
		return nil, err
	}
	c := &Configuration{Rules: make([]Rule, len(doc.Rules)), Day: day}
	for i := range doc.Rules {
		d := &doc.Rules[i]
		if err := checkRule(d); err != nil {
			return nil, err
		}
		c.Rules[i] = ruleOf(d)
	}
	return c, nil
}

// Read gives what a stored document means, for who runs the rules; a day takes so long
// (0: a day).
func Read(text []byte, dayLasts time.Duration) (*Configuration, error) {
	var doc s3xml.StoredLifecycle
	if err := s3xml.Decode(bytes.NewReader(text), int64(len(text)), &doc); err != nil {
		return nil, err
	}
	c, err := Parse(&doc.LifecycleConfiguration)
	if err == nil && dayLasts > 0 {
		c.Day = int64(dayLasts)
	}
	return c, err
}

// ruleOf takes over a rule that is valid.
func ruleOf(d *s3xml.LifecycleRule) Rule {
	r := Rule{ID: d.ID, Enabled: d.Status == "Enabled", Filter: filterOf(d)}
	if e := d.Expiration; e != nil {
		r.Days = value(e.Days)
		if e.Date != nil {
			r.Date = int64(*e.Date) * second
		}
		r.DeleteMarkers = e.ExpiredObjectDeleteMarker != nil && *e.ExpiredObjectDeleteMarker
	}
	if e := d.NoncurrentExpiration; e != nil {
		r.NoncurrentDays, r.NewerNoncurrent = value(e.NoncurrentDays), value(e.NewerNoncurrentVersions)
	}
	if d.AbortIncomplete != nil {
		r.AbortDays = value(d.AbortIncomplete.DaysAfterInitiation)
	}
	return r
}

// filterOf reads any of the forms: base prefix, one predicate, several.
func filterOf(d *s3xml.LifecycleRule) Filter {
	f := Filter{Above: -1}
	if d.Prefix != nil {
		f.Prefix = *d.Prefix
	}
	if d.Filter == nil {
		return f
	}
	one := s3xml.LifecycleAnd{Prefix: d.Filter.Prefix, ObjectSizeGreaterThan: d.Filter.ObjectSizeGreaterThan, ObjectSizeLessThan: d.Filter.ObjectSizeLessThan}
	if d.Filter.Tag != nil {
		one.Tags = []s3xml.Tag{*d.Filter.Tag}
	}
	if d.Filter.And != nil {
		one = *d.Filter.And
	}
	if one.Prefix != nil {
		f.Prefix = *one.Prefix
	}
	for _, t := range one.Tags {
		f.Tags = append(f.Tags, Tag{t.Key, t.Value})
	}
	if one.ObjectSizeGreaterThan != nil {
		f.Above = *one.ObjectSizeGreaterThan
	}
	if one.ObjectSizeLessThan != nil {
		f.Below = *one.ObjectSizeLessThan
	}
	return f
}

func value(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}
