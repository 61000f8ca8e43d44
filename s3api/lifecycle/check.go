package lifecycle

import (
	"errors"

	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
)

// Limits of a configuration.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html
const (
	maxRules           = 1000
	maxIDBytes         = 255
	maxNewerNoncurrent = 100
	maxPrefixBytes     = 1024
	maxSize            = 1 << 50
	maxDays            = 36500 // a century: sums of times stay far from their end
)

func malformed(why string) error { return s3err.New("MalformedXML").Because(errors.New(why)) }

func invalidRequest(message string) error { return s3err.Newf("InvalidRequest", "%s", message) }

func invalidArgument(message string) error { return s3err.Newf("InvalidArgument", "%s", message) }

// checkRules judges the list by itself.
func checkRules(rules []s3xml.LifecycleRule) error {
	if len(rules) == 0 {
		return malformed("no rule")
	}
	if len(rules) > maxRules {
		return invalidRequest("The number of lifecycle rules must not exceed the allowed limit of 1000 rules")
	}
	ids, prefixes, filters := make(map[string]bool), false, false
	for i := range rules {
		r := &rules[i]
		if len(r.ID) > maxIDBytes {
			return invalidArgument("ID length should not exceed allowed limit of 255")
		}
		if r.ID != "" && ids[r.ID] {
			return invalidArgument("Rule ID must be unique. Found same ID for more than one rule")
		}
		ids[r.ID] = true
		prefixes, filters = prefixes || r.Prefix != nil, filters || r.Filter != nil
	}
	if prefixes && filters {
		return invalidRequest("Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter.")
	}
	return nil
}

// checkRule judges one rule.
func checkRule(r *s3xml.LifecycleRule) error {
	switch {
	case r.Status != "Enabled" && r.Status != "Disabled":
		return malformed("Status")
	case r.Prefix == nil && r.Filter == nil:
		return malformed("neither Filter nor Prefix")
	case r.Prefix != nil && len(*r.Prefix) > maxPrefixBytes:
		return invalidRequest("The maximum size of a prefix is 1024.")
	case len(r.Transitions)+len(r.NoncurrentTransitions) > 0:
		if err := checkTransitions(r.Transitions); err != nil {
			return err
		}
		return s3err.Newf("NotImplemented", "Transitions are not implemented: there is no other storage class that objects could be moved to.")
	case r.Expiration == nil && r.NoncurrentExpiration == nil && r.AbortIncomplete == nil:
		return invalidRequest("At least one action needs to be specified in a rule.")
	}
	if err := checkFilter(r.Filter); err != nil {
		return err
	}
	f := filterOf(r)
	if err := checkExpiration(r.Expiration, f); err != nil {
		return err
	}
	if err := checkNoncurrent(r.NoncurrentExpiration); err != nil {
		return err
	}
	if a := r.AbortIncomplete; a != nil {
		switch {
		case a.DaysAfterInitiation == nil:
			return malformed("DaysAfterInitiation")
		case *a.DaysAfterInitiation <= 0 || *a.DaysAfterInitiation > maxDays:
			return invalidArgument("'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer")
		case len(f.Tags) > 0:
			return invalidRequest("AbortIncompleteMultipartUpload cannot be specified with Tags.")
		case f.Above >= 0 || f.Below > 0:
			return invalidRequest("AbortIncompleteMultipartUpload cannot be specified with Object Size.")
		}
	}
	return nil
}

// checkFilter: one predicate, or And with at least two.
func checkFilter(f *s3xml.LifecycleFilter) error {
	if f == nil {
		return nil
	}
	own := count(f.Prefix != nil, f.Tag != nil, f.ObjectSizeGreaterThan != nil, f.ObjectSizeLessThan != nil)
	all := s3xml.LifecycleAnd{Prefix: f.Prefix, ObjectSizeGreaterThan: f.ObjectSizeGreaterThan, ObjectSizeLessThan: f.ObjectSizeLessThan}
	if f.Tag != nil {
		all.Tags = []s3xml.Tag{*f.Tag}
	}
	if f.And == nil && own > 1 || f.And != nil && own > 0 {
		return malformed("several predicates outside of And")
	}
	if f.And != nil {
		all = *f.And
		if count(all.Prefix != nil, all.ObjectSizeGreaterThan != nil, all.ObjectSizeLessThan != nil)+len(all.Tags) < 2 {
			return malformed("And with fewer than two predicates")
		}
	}
	if all.Prefix != nil && len(*all.Prefix) > maxPrefixBytes {
		return invalidRequest("The maximum size of a prefix is 1024.")
	}
	keys := make(map[string]bool)
	for _, t := range all.Tags {
		switch {
		case t.Key == "" || len([]rune(t.Key)) > 128:
			return s3err.Newf("InvalidTag", "The TagKey you have provided is invalid")
		case len([]rune(t.Value)) > 256:
			return s3err.Newf("InvalidTag", "The TagValue you have provided is invalid")
		case keys[t.Key]:
			return invalidRequest("Duplicate Tag Keys are not allowed.")
		}
		keys[t.Key] = true
	}
	return checkSizes(all.ObjectSizeGreaterThan, all.ObjectSizeLessThan)
}

func checkSizes(above, below *int64) error {
	switch {
	case above != nil && (*above < 0 || *above > maxSize):
		return invalidRequest("'ObjectSizeGreaterThan' must be between 0 and 1 PB")
	case below != nil && (*below < 1 || *below > maxSize):
		return invalidRequest("'ObjectSizeLessThan' must be between 1 byte and 1 PB")
	case above != nil && below != nil && *below <= *above+1:
		return invalidRequest("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'")
	}
	return nil
}

// checkTransitions: what is refused for what it asks must be well formed all the same.
func checkTransitions(list []s3xml.LifecycleTransition) error {
	for _, t := range list {
		switch {
		case (t.Days != nil) == (t.Date != nil):
			return malformed("Transition needs one of Days and Date")
		case t.Days != nil && (*t.Days < 0 || *t.Days > maxDays):
			return invalidArgument("'Days' for Transition action must be a nonnegative integer")
		case t.Date != nil && int64(*t.Date)*second%day != 0:
			return invalidArgument("'Date' must be at midnight GMT")
		}
	}
	return nil
}

func checkExpiration(e *s3xml.LifecycleExpiration, f Filter) error {
	switch {
	case e == nil:
		return nil
	case count(e.Days != nil, e.Date != nil, e.ExpiredObjectDeleteMarker != nil) != 1:
		return malformed("Expiration needs one of Days, Date and ExpiredObjectDeleteMarker")
	case e.Days != nil && (*e.Days <= 0 || *e.Days > maxDays):
		return invalidArgument("'Days' for Expiration action must be a positive integer")
	case e.Date != nil && int64(*e.Date)*second%day != 0:
		return invalidArgument("'Date' must be at midnight GMT")
	case e.Date != nil && (*e.Date <= 0 || int64(*e.Date) > maxDays*2*day/second):
		return invalidArgument("'Date' for Expiration action is out of range")
	case e.ExpiredObjectDeleteMarker != nil && len(f.Tags) > 0:
		return invalidRequest("ExpiredObjectDeleteMarker cannot be specified with Tags.")
	case e.ExpiredObjectDeleteMarker != nil && (f.Above >= 0 || f.Below > 0):
		return invalidRequest("ExpiredObjectDeleteMarker cannot be specified with Object Size.")
	}
	return nil
}

func checkNoncurrent(e *s3xml.NoncurrentVersionExpiration) error {
	switch {
	case e == nil:
		return nil
	case e.NoncurrentDays == nil:
		return malformed("NoncurrentDays")
	case *e.NoncurrentDays <= 0 || *e.NoncurrentDays > maxDays:
		return invalidArgument("'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer")
	case e.NewerNoncurrentVersions != nil && (*e.NewerNoncurrentVersions <= 0 || *e.NewerNoncurrentVersions > maxNewerNoncurrent):
		return invalidArgument("'NewerNoncurrentVersions' for NoncurrentVersionExpiration action must be a positive integer of at most 100")
	}
	return nil
}

func count(conditions ...bool) int {
	n := 0
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n
}
