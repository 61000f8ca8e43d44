package website

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"ironman/s3api/s3xml"
)

// Config is a website configuration.
type Config struct {
	// Index is what is looked for in a directory ("index.html"); never empty, unless all
	// is redirected.
	Index string
	// Error is the key of the error page; empty: there is none.
	Error string
	// All redirects every request; nil: it does not.
	All *Redirect
	// Rules are tried in order; the first that fits redirects.
	Rules []Rule
}

// Rule redirects the requests that fit.
type Rule struct {
	// Prefix is what the key must begin with.
	Prefix string
	// Status is the error that must have occurred; 0: the rule is for before anything is
	// looked for.
	Status   int
	Redirect Redirect
}

// Redirect says where to go. What it leaves empty stays as requested.
type Redirect struct {
	Protocol string // http or https
	Host     string
	// Key replaces the whole key, or Prefix that of the rule; nil: it stays.
	Key, Prefix *string
	Status      int // 301 and so on; never 0
}

// maxDocument bounds a stored configuration, in bytes.
const maxDocument = 128 << 10

// document is the XML of a configuration.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketWebsite.html
type document struct {
	XMLName       xml.Name      `xml:"WebsiteConfiguration"`
	ErrorDocument *errorElement `xml:"ErrorDocument"`
	IndexDocument *indexElement `xml:"IndexDocument"`
	All           *allElement   `xml:"RedirectAllRequestsTo"`
	Rules         *rulesElement `xml:"RoutingRules"`
}

type errorElement struct {
	Key string `xml:"Key" s3:"required"`
}

type indexElement struct {
	Suffix string `xml:"Suffix" s3:"required"`
}

type allElement struct {
	HostName string `xml:"HostName" s3:"required"`
	Protocol string `xml:"Protocol"`
}

type rulesElement struct {
	Rules []ruleElement `xml:"RoutingRule"`
}

type ruleElement struct {
	Condition *conditionElement `xml:"Condition"`
	Redirect  redirectElement   `xml:"Redirect" s3:"required"`
}

type conditionElement struct {
	Status string  `xml:"HttpErrorCodeReturnedEquals"`
	Prefix *string `xml:"KeyPrefixEquals"`
}

type redirectElement struct {
	HostName string  `xml:"HostName"`
	Status   string  `xml:"HttpRedirectCode"`
	Protocol string  `xml:"Protocol"`
	Prefix   *string `xml:"ReplaceKeyPrefixWith"`
	Key      *string `xml:"ReplaceKeyWith"`
}

// Parse reads the configuration that is stored with a bucket. One that cannot be
// followed to the letter is an error: a site that is misread could send its visitors
// anywhere.
func Parse(text []byte) (*Config, error) {
	var d document
	if err := s3xml.Decode(bytes.NewReader(text), maxDocument, &d); err != nil {
		return nil, fmt.Errorf("%w: %v", &Error{Element: "WebsiteConfiguration", Malformed: true}, err)
	}
	c := &Config{}
	if d.All != nil {
		c.All = &Redirect{Protocol: d.All.Protocol, Host: d.All.HostName, Status: http.StatusMovedPermanently}
		if d.IndexDocument != nil || d.ErrorDocument != nil || d.Rules != nil || !c.All.valid() || c.All.Host == "" {
			return nil, bad("RedirectAllRequestsTo")
		}
		return c, nil
	}
	if d.IndexDocument == nil || d.IndexDocument.Suffix == "" || strings.Contains(d.IndexDocument.Suffix, "/") {
		return nil, bad("IndexDocument")
	}
	c.Index = d.IndexDocument.Suffix
	if d.ErrorDocument != nil {
		if c.Error = d.ErrorDocument.Key; c.Error == "" {
			return nil, bad("ErrorDocument")
		}
	}
	if d.Rules == nil {
		return c, nil
	}
	for i := range d.Rules.Rules {
		rule, ok := d.Rules.Rules[i].rule()
		if !ok {
			return nil, bad("RoutingRule " + strconv.Itoa(i+1))
		}
		c.Rules = append(c.Rules, rule)
	}
	return c, nil
}

// Error says what of a configuration cannot be followed.
type Error struct {
	Element string
	// Malformed: it is no document of a website at all.
	Malformed bool
}

func (e *Error) Error() string { return "website: the configuration is not valid: " + e.Element }

func bad(element string) error { return &Error{Element: element} }

// rule reads one rule.
func (e *ruleElement) rule() (Rule, bool) {
	r := Rule{Redirect: Redirect{
		Protocol: e.Redirect.Protocol, Host: e.Redirect.HostName, Key: e.Redirect.Key, Prefix: e.Redirect.Prefix,
		Status: http.StatusMovedPermanently,
	}}
	if c := e.Condition; c != nil {
		var ok bool
		if r.Status, ok = status(c.Status, 0, 4, 5); !ok || c.Prefix == nil && c.Status == "" {
			return r, false
		}
		if c.Prefix != nil { // an empty one is that of all keys
			r.Prefix = *c.Prefix
		}
	}
	var ok bool
	if r.Redirect.Status, ok = status(e.Redirect.Status, r.Redirect.Status, 3, 3); !ok {
		return r, false
	}
	said := r.Redirect.Host != "" || r.Redirect.Protocol != "" || e.Redirect.Status != "" || r.Redirect.Key != nil || r.Redirect.Prefix != nil
	return r, said && r.Redirect.valid()
}

// status reads a status of the hundreds from least to most; def where none is said.
func status(text string, def, least, most int) (int, bool) {
	if text == "" {
		return def, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && len(text) == 3 && n/100 >= least && n/100 <= most && n != http.StatusNotModified
}

// valid reports whether a redirect can be followed.
func (r *Redirect) valid() bool {
	if r.Protocol != "" && r.Protocol != "http" && r.Protocol != "https" || r.Key != nil && r.Prefix != nil {
		return false
	}
	return !strings.ContainsFunc(r.Host, func(c rune) bool {
		return c != '-' && c != '.' && c != '_' && c != ':' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	})
}
