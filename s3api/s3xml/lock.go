package s3xml

import "encoding/xml"

// ObjectLockConfiguration is the body of PutObjectLockConfiguration and the answer of
// its Get.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectLockConfiguration.html
type ObjectLockConfiguration struct {
	XMLName xml.Name `xml:"ObjectLockConfiguration"`
	Enabled string   `xml:"ObjectLockEnabled,omitempty"`
	Rule    *struct {
		Default DefaultRetention `xml:"DefaultRetention" s3:"required"`
	} `xml:"Rule"`
}

// DefaultRetention is that of objects put without one of their own. Exactly one of
// Days and Years is there.
type DefaultRetention struct {
	Mode  string `xml:"Mode" s3:"required"`
	Days  *int64 `xml:"Days"`
	Years *int64 `xml:"Years"`
}

// Validate checks the enumerations; periods are for the operation to judge.
func (c *ObjectLockConfiguration) Validate() error {
	if c.Enabled != "Enabled" {
		return malformed("ObjectLockEnabled")
	}
	if c.Rule == nil {
		return nil
	}
	d := &c.Rule.Default
	if !isRetentionMode(d.Mode) {
		return malformed("Mode")
	}
	if (d.Days == nil) == (d.Years == nil) {
		return malformed("DefaultRetention")
	}
	return nil
}

func isRetentionMode(m string) bool { return m == "GOVERNANCE" || m == "COMPLIANCE" }

// AppendXML appends the root element.
func (c *ObjectLockConfiguration) AppendXML(dst []byte) []byte {
	dst = appendSome(openRoot(dst, "ObjectLockConfiguration"), "ObjectLockEnabled", c.Enabled)
	if c.Rule != nil {
		d := &c.Rule.Default
		dst = appendString(open(open(dst, "Rule"), "DefaultRetention"), "Mode", d.Mode)
		if d.Days != nil {
			dst = appendInt(dst, "Days", *d.Days)
		}
		if d.Years != nil {
			dst = appendInt(dst, "Years", *d.Years)
		}
		dst = shut(shut(dst, "DefaultRetention"), "Rule")
	}
	return shut(dst, "ObjectLockConfiguration")
}

// SetDefault sets the rule.
func (c *ObjectLockConfiguration) SetDefault(d DefaultRetention) {
	c.Rule = &struct {
		Default DefaultRetention `xml:"DefaultRetention" s3:"required"`
	}{d}
}

// Retention is the body of PutObjectRetention and the answer of GetObjectRetention.
// Neither mode nor date: the retention is taken away.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectRetention.html
type Retention struct {
	XMLName xml.Name `xml:"Retention"`
	Mode    string   `xml:"Mode,omitempty"`
	Until   *Time    `xml:"RetainUntilDate"`
}

// Validate checks the mode, and that both elements are there or neither.
func (r *Retention) Validate() error {
	if r.Mode == "" && r.Until == nil {
		return nil
	}
	if !isRetentionMode(r.Mode) {
		return malformed("Mode")
	}
	if r.Until == nil {
		return malformed("RetainUntilDate")
	}
	return nil
}

// AppendXML appends the root element.
func (r *Retention) AppendXML(dst []byte) []byte {
	dst = appendSome(openRoot(dst, "Retention"), "Mode", r.Mode)
	if r.Until != nil {
		dst = appendTime(dst, "RetainUntilDate", *r.Until)
	}
	return shut(dst, "Retention")
}

// LegalHold is the body of PutObjectLegalHold and the answer of GetObjectLegalHold.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectLegalHold.html
type LegalHold struct {
	XMLName xml.Name `xml:"LegalHold"`
	Status  string   `xml:"Status" s3:"required"`
}

// Validate checks the enumeration.
func (l *LegalHold) Validate() error {
	if l.Status != "ON" && l.Status != "OFF" {
		return malformed("Status")
	}
	return nil
}

// AppendXML appends the root element.
func (l *LegalHold) AppendXML(dst []byte) []byte {
	return shut(appendString(openRoot(dst, "LegalHold"), "Status", l.Status), "LegalHold")
}
