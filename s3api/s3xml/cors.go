package s3xml

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// Limits of a CORS configuration.
const (
	// MaxCORSBody bounds the body of PutBucketCors.
	MaxCORSBody  = 64 << 10
	maxCORSRules = 100
	maxRuleID    = 255
)

// CORSConfiguration is the body of PutBucketCors and the answer of GetBucketCors.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketCors.html
type CORSConfiguration struct {
	XMLName xml.Name   `xml:"CORSConfiguration"`
	Rules   []CORSRule `xml:"CORSRule" s3:"required"`
}

// CORSRule says which pages of other origins may do what.
type CORSRule struct {
	ID             string   `xml:"ID"`
	AllowedOrigins []string `xml:"AllowedOrigin" s3:"required"`
	AllowedMethods []string `xml:"AllowedMethod" s3:"required"`
	AllowedHeaders []string `xml:"AllowedHeader"`
	MaxAgeSeconds  *int     `xml:"MaxAgeSeconds"`
	ExposeHeaders  []string `xml:"ExposeHeader"`
}

// Validate checks the rules. What passes can be put into headers as it is.
func (c *CORSConfiguration) Validate() error {
	if len(c.Rules) > maxCORSRules {
		return invalidRequest("The number of CORS rules should not exceed allowed limit of 100 rules.")
	}
	ids := make(map[string]bool)
	for i := range c.Rules {
		r := &c.Rules[i]
		if len(r.ID) > maxRuleID {
			return invalidArgument("ID length should not exceed allowed limit of 255")
		}
		if r.ID != "" && ids[r.ID] {
			return invalidRequest("Rule ID must be unique. Found same ID for more than one rule")
		}
		ids[r.ID] = true
		if err := r.validate(); err != nil {
			return err
		}
	}
	return nil
}

func (r *CORSRule) validate() error {
	for _, m := range r.AllowedMethods {
		if !CORSMethod(m) {
			return invalidRequest("Found unsupported HTTP method in CORS config. Unsupported method is " + quotable(m))
		}
	}
	for _, o := range r.AllowedOrigins {
		switch {
		case o == "":
			return malformed("empty AllowedOrigin")
		case strings.Count(o, "*") > 1:
			return invalidRequest(fmt.Sprintf("AllowedOrigin %q can not have more than one wildcard.", o))
		case strings.ContainsFunc(o, func(c rune) bool { return c <= ' ' || c >= 0x7f }):
			return invalidRequest(fmt.Sprintf("AllowedOrigin %q is not valid.", o))
		}
	}
	for _, h := range r.AllowedHeaders {
		if strings.Count(h, "*") > 1 {
			return invalidRequest(fmt.Sprintf("AllowedHeader %q can not have more than one wildcard.", h))
		}
		if h == "" || !HeaderToken(h) {
			return invalidRequest(fmt.Sprintf("AllowedHeader %q is not valid.", h))
		}
	}
	for _, h := range r.ExposeHeaders {
		if strings.Contains(h, "*") {
			return invalidRequest(fmt.Sprintf("ExposeHeader %q contains wildcard. We currently do not support wildcard for ExposeHeader.", h))
		}
		if h == "" || !HeaderToken(h) {
			return invalidRequest(fmt.Sprintf("ExposeHeader %q is not valid.", h))
		}
	}
	if r.MaxAgeSeconds != nil && *r.MaxAgeSeconds < 0 {
		return malformed("negative MaxAgeSeconds")
	}
	return nil
}

// CORSMethod tells the methods that a rule can allow.
func CORSMethod(m string) bool {
	switch m {
	case "GET", "PUT", "POST", "DELETE", "HEAD":
		return true
	}
	return false
}

// HeaderToken tells what may be a header's name (RFC 9110, section 5.6.2).
func HeaderToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return true
}

// AppendXML appends the root element.
func (c *CORSConfiguration) AppendXML(dst []byte) []byte {
	dst = openRoot(dst, "CORSConfiguration")
	for i := range c.Rules {
		r := &c.Rules[i]
		dst = appendSome(open(dst, "CORSRule"), "ID", r.ID)
		dst = appendStrings(dst, "AllowedOrigin", r.AllowedOrigins)
		dst = appendStrings(dst, "AllowedMethod", r.AllowedMethods)
		dst = appendStrings(dst, "AllowedHeader", r.AllowedHeaders)
		dst = appendSomeInt(dst, "MaxAgeSeconds", r.MaxAgeSeconds)
		dst = shut(appendStrings(dst, "ExposeHeader", r.ExposeHeaders), "CORSRule")
	}
	return shut(dst, "CORSConfiguration")
}
