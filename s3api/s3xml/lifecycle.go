package s3xml

import (
	"encoding/xml"
	"strings"
	"time"
)

// LifecycleConfiguration is the body of PutBucketLifecycleConfiguration and the answer
// of GetBucketLifecycleConfiguration. What its rules mean, and which are valid, is for
// package lifecycle to say.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html
type LifecycleConfiguration struct {
	XMLName xml.Name        `xml:"LifecycleConfiguration"`
	Rules   []LifecycleRule `xml:"Rule" s3:"required"`
}

// LifecycleRule is one rule. It has a filter or, in the older form, a prefix.
type LifecycleRule struct {
	ID     string           `xml:"ID"`
	Prefix *string          `xml:"Prefix"`
	Filter *LifecycleFilter `xml:"Filter"`
	Status string           `xml:"Status" s3:"required"`

	Transitions           []LifecycleTransition           `xml:"Transition"`
	Expiration            *LifecycleExpiration            `xml:"Expiration"`
	NoncurrentTransitions []LifecycleTransition           `xml:"NoncurrentVersionTransition"`
	NoncurrentExpiration  *NoncurrentVersionExpiration    `xml:"NoncurrentVersionExpiration"`
	AbortIncomplete       *AbortIncompleteMultipartUpload `xml:"AbortIncompleteMultipartUpload"`
}

// LifecycleFilter chooses objects by one thing, or by all those in And.
type LifecycleFilter struct {
	Prefix                *string       `xml:"Prefix"`
	Tag                   *Tag          `xml:"Tag"`
	ObjectSizeGreaterThan *int64        `xml:"ObjectSizeGreaterThan"`
	ObjectSizeLessThan    *int64        `xml:"ObjectSizeLessThan"`
	And                   *LifecycleAnd `xml:"And"`
}

// LifecycleAnd chooses the objects for which all of it is true.
type LifecycleAnd struct {
	Prefix                *string `xml:"Prefix"`
	Tags                  []Tag   `xml:"Tag"`
	ObjectSizeGreaterThan *int64  `xml:"ObjectSizeGreaterThan"`
	ObjectSizeLessThan    *int64  `xml:"ObjectSizeLessThan"`
}

// LifecycleExpiration says when the current version goes.
type LifecycleExpiration struct {
	Days                      *int           `xml:"Days"`
	Date                      *LifecycleDate `xml:"Date"`
	ExpiredObjectDeleteMarker *bool          `xml:"ExpiredObjectDeleteMarker"`
}

// NoncurrentVersionExpiration says when versions go that are not current.
type NoncurrentVersionExpiration struct {
	NoncurrentDays          *int `xml:"NoncurrentDays"`
	NewerNoncurrentVersions *int `xml:"NewerNoncurrentVersions"`
}

// AbortIncompleteMultipartUpload says when an upload is given up.
type AbortIncompleteMultipartUpload struct {
	DaysAfterInitiation *int `xml:"DaysAfterInitiation"`
}

// LifecycleTransition moves objects to another storage class.
type LifecycleTransition struct {
	Days                    *int           `xml:"Days"`
	Date                    *LifecycleDate `xml:"Date"`
	NoncurrentDays          *int           `xml:"NoncurrentDays"`
	NewerNoncurrentVersions *int           `xml:"NewerNoncurrentVersions"`
	StorageClass            string         `xml:"StorageClass"`
}

// LifecycleDate is seconds since the Unix epoch.
type LifecycleDate int64

// UnmarshalText reads ISO 8601; a bare date is its midnight, UTC.
func (d *LifecycleDate) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		at, err = time.Parse(time.DateOnly, s)
	}
	if err == nil && at.Nanosecond() != 0 {
		at = at.Add(time.Second) // so that what is not midnight is not taken for it
	}
	*d = LifecycleDate(at.Unix())
	return err
}

// MarshalText writes ISO 8601, UTC.
func (d LifecycleDate) MarshalText() ([]byte, error) {
	return time.Unix(int64(d), 0).UTC().AppendFormat(nil, timeLayout), nil
}

// AppendXML appends the root element.
func (c *LifecycleConfiguration) AppendXML(dst []byte) []byte {
	dst = openRoot(dst, "LifecycleConfiguration")
	for i := range c.Rules {
		dst = c.Rules[i].append(dst)
	}
	return shut(dst, "LifecycleConfiguration")
}

// StoredLifecycle is a lifecycle configuration as the store keeps it: with what clients
// send and get in a header.
type StoredLifecycle struct {
	XMLName xml.Name `xml:"LifecycleConfiguration"`
	LifecycleConfiguration
	// MinimumSize is x-amz-transition-default-minimum-object-size.
	MinimumSize string `xml:"TransitionDefaultMinimumObjectSize"`
}

// AppendXML appends the root element.
func (c *StoredLifecycle) AppendXML(dst []byte) []byte {
	dst = openRoot(dst, "LifecycleConfiguration")
	for i := range c.Rules {
		dst = c.Rules[i].append(dst)
	}
	dst = appendString(dst, "TransitionDefaultMinimumObjectSize", c.MinimumSize)
	return shut(dst, "LifecycleConfiguration")
}

func (r *LifecycleRule) append(dst []byte) []byte {
	dst = appendSome(open(dst, "Rule"), "ID", r.ID)
	dst = appendPresent(dst, "Prefix", r.Prefix)
	if r.Filter != nil {
		dst = r.Filter.append(dst)
	}
	dst = appendString(dst, "Status", r.Status)
	for i := range r.Transitions {
		dst = r.Transitions[i].append(dst, "Transition")
	}
	if e := r.Expiration; e != nil {
		dst = appendSomeInt(open(dst, "Expiration"), "Days", e.Days)
		dst = appendSomeDate(dst, "Date", e.Date)
		if e.ExpiredObjectDeleteMarker != nil {
			dst = appendBool(dst, "ExpiredObjectDeleteMarker", *e.ExpiredObjectDeleteMarker)
		}
		dst = shut(dst, "Expiration")
	}
	for i := range r.NoncurrentTransitions {
		dst = r.NoncurrentTransitions[i].append(dst, "NoncurrentVersionTransition")
	}
	if e := r.NoncurrentExpiration; e != nil {
		dst = appendSomeInt(open(dst, "NoncurrentVersionExpiration"), "NoncurrentDays", e.NoncurrentDays)
		dst = shut(appendSomeInt(dst, "NewerNoncurrentVersions", e.NewerNoncurrentVersions), "NoncurrentVersionExpiration")
	}
	if a := r.AbortIncomplete; a != nil {
		dst = open(dst, "AbortIncompleteMultipartUpload")
		dst = shut(appendSomeInt(dst, "DaysAfterInitiation", a.DaysAfterInitiation), "AbortIncompleteMultipartUpload")
	}
	return shut(dst, "Rule")
}

func (f *LifecycleFilter) append(dst []byte) []byte {
	dst = appendPresent(open(dst, "Filter"), "Prefix", f.Prefix)
	if f.Tag != nil {
		dst = f.Tag.append(dst)
	}
	dst = appendSomeInt(dst, "ObjectSizeGreaterThan", f.ObjectSizeGreaterThan)
	dst = appendSomeInt(dst, "ObjectSizeLessThan", f.ObjectSizeLessThan)
	if a := f.And; a != nil {
		dst = appendPresent(open(dst, "And"), "Prefix", a.Prefix)
		for i := range a.Tags {
			dst = a.Tags[i].append(dst)
		}
		dst = appendSomeInt(dst, "ObjectSizeGreaterThan", a.ObjectSizeGreaterThan)
		dst = shut(appendSomeInt(dst, "ObjectSizeLessThan", a.ObjectSizeLessThan), "And")
	}
	return shut(dst, "Filter")
}

func (t *LifecycleTransition) append(dst []byte, name string) []byte {
	dst = appendSomeInt(open(dst, name), "Days", t.Days)
	dst = appendSomeDate(dst, "Date", t.Date)
	dst = appendSomeInt(dst, "NoncurrentDays", t.NoncurrentDays)
	dst = appendSomeInt(dst, "NewerNoncurrentVersions", t.NewerNoncurrentVersions)
	return shut(appendSome(dst, "StorageClass", t.StorageClass), name)
}

func (t *Tag) append(dst []byte) []byte {
	return shut(appendString(appendString(open(dst, "Tag"), "Key", t.Key), "Value", t.Value), "Tag")
}

func appendSomeDate(dst []byte, name string, d *LifecycleDate) []byte {
	if d == nil {
		return dst
	}
	return appendTime(dst, name, Time(int64(*d)*int64(time.Second)))
}
