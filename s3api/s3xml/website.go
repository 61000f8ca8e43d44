package s3xml

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
)

// Limits of a website configuration.
const (
	// MaxWebsiteBody bounds the body of PutBucketWebsite.
	MaxWebsiteBody  = 128 << 10
	maxRoutingRules = 50
	maxWebsiteKey   = 1024
)

// WebsiteConfiguration is the body of PutBucketWebsite and the answer of
// GetBucketWebsite.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketWebsite.html
type WebsiteConfiguration struct {
	XMLName               xml.Name               `xml:"WebsiteConfiguration"`
	IndexDocument         *IndexDocument         `xml:"IndexDocument"`
	ErrorDocument         *ErrorDocument         `xml:"ErrorDocument"`
	RedirectAllRequestsTo *RedirectAllRequestsTo `xml:"RedirectAllRequestsTo"`
	RoutingRules          *RoutingRules          `xml:"RoutingRules"`
}

// IndexDocument is what stands for a directory.
type IndexDocument struct {
	Suffix string `xml:"Suffix" s3:"required"`
}

// ErrorDocument is what is shown for an error of class 4XX.
type ErrorDocument struct {
	Key string `xml:"Key" s3:"required"`
}

// RedirectAllRequestsTo sends everybody to another host.
type RedirectAllRequestsTo struct {
	HostName string `xml:"HostName" s3:"required"`
	Protocol string `xml:"Protocol"`
}

// RoutingRules are tried in order.
type RoutingRules struct {
	Rules []RoutingRule `xml:"RoutingRule" s3:"required"`
}

// RoutingRule redirects requests; without a condition all of them.
type RoutingRule struct {
	Condition *RoutingCondition `xml:"Condition"`
	Redirect  Redirect          `xml:"Redirect" s3:"required"`
}

// RoutingCondition chooses requests by key, or by the error they would end in.
type RoutingCondition struct {
	HTTPErrorCodeReturnedEquals string  `xml:"HttpErrorCodeReturnedEquals"`
	KeyPrefixEquals             *string `xml:"KeyPrefixEquals"`
}

// Redirect says where to.
type Redirect struct {
	HostName             string  `xml:"HostName"`
	HTTPRedirectCode     string  `xml:"HttpRedirectCode"`
	Protocol             string  `xml:"Protocol"`
	ReplaceKeyPrefixWith *string `xml:"ReplaceKeyPrefixWith"`
	ReplaceKeyWith       *string `xml:"ReplaceKeyWith"`
}

// Validate checks what the schema bounds, and what excludes another.
func (c *WebsiteConfiguration) Validate() error {
	if to := c.RedirectAllRequestsTo; to != nil {
		if c.IndexDocument != nil || c.ErrorDocument != nil || c.RoutingRules != nil {
			return invalidArgument("RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.")
		}
		if !validHost(to.HostName) {
			return malformed("HostName")
		}
		return validProtocol(to.Protocol)
	}
	if c.IndexDocument == nil {
		return invalidArgument("A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty")
	}
	if s := c.IndexDocument.Suffix; s == "" || strings.Contains(s, "/") || len(s) > maxWebsiteKey {
		return invalidArgument("The IndexDocument Suffix is not well formed")
	}
	if c.ErrorDocument != nil && (c.ErrorDocument.Key == "" || len(c.ErrorDocument.Key) > maxWebsiteKey) {
		return invalidArgument("The ErrorDocument Key is not well formed")
	}
	if c.RoutingRules == nil {
		return nil
	}
	if n := len(c.RoutingRules.Rules); n > maxRoutingRules {
		return invalidRequest(fmt.Sprintf("%d routing rules provided, the number of routing rules in a website configuration is limited to %d.", n, maxRoutingRules))
	}
	for i := range c.RoutingRules.Rules {
		if err := c.RoutingRules.Rules[i].validate(); err != nil {
			return err
		}
	}
	return nil
}

func (r *RoutingRule) validate() error {
	if c := r.Condition; c != nil {
		if c.HTTPErrorCodeReturnedEquals == "" && c.KeyPrefixEquals == nil {
			return invalidRequest("Condition cannot be empty. To redirect all requests without a condition, the condition element shouldn't be present.")
		}
		if v := c.HTTPErrorCodeReturnedEquals; v != "" && !codeBetween(v, 400, 599) {
			return invalidRequest("The provided HTTP error code (" + quotable(v) + ") is not valid. Valid codes are 4XX or 5XX.")
		}
		if c.KeyPrefixEquals != nil && len(*c.KeyPrefixEquals) > maxWebsiteKey {
			return invalidRequest("The condition's key prefix is too long.")
		}
	}
	to := &r.Redirect
	switch {
	case to.HostName == "" && to.HTTPRedirectCode == "" && to.Protocol == "" && to.ReplaceKeyPrefixWith == nil && to.ReplaceKeyWith == nil:
		return malformed("empty Redirect")
	case to.ReplaceKeyPrefixWith != nil && to.ReplaceKeyWith != nil:
		return invalidRequest("You can only define ReplaceKeyPrefix or ReplaceKey but not both.")
	case to.HTTPRedirectCode != "" && !codeBetween(to.HTTPRedirectCode, 301, 399):
		return invalidRequest("The provided HTTP redirect code (" + quotable(to.HTTPRedirectCode) + ") is not valid. Valid codes are 3XX except 300.")
	case to.HostName != "" && !validHost(to.HostName):
		return invalidRequest("The redirect's host name is not valid.")
	case !validKeyPart(to.ReplaceKeyPrefixWith) || !validKeyPart(to.ReplaceKeyWith):
		return invalidRequest("What the redirect replaces keys with is not valid.")
	}
	return validProtocol(to.Protocol)
}

func validProtocol(p string) error {
	if p == "" || p == "http" || p == "https" {
		return nil
	}
	return invalidRequest("Invalid protocol, protocol can be http or https. If not defined the protocol will be selected automatically.")
}

// validHost refuses what could break out of the header Location.
func validHost(h string) bool {
	return h != "" && len(h) <= 255 && !strings.ContainsFunc(h, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '/' || c == '@' || c == '\\' })
}

func validKeyPart(s *string) bool {
	return s == nil || len(*s) <= maxWebsiteKey && !strings.ContainsAny(*s, "\r\n\x00")
}

func codeBetween(text string, least, most int) bool {
	n, err := strconv.Atoi(text)
	return err == nil && len(text) == 3 && n >= least && n <= most
}

// AppendXML appends the root element.
func (c *WebsiteConfiguration) AppendXML(dst []byte) []byte {
	dst = openRoot(dst, "WebsiteConfiguration")
	if to := c.RedirectAllRequestsTo; to != nil {
		dst = appendString(open(dst, "RedirectAllRequestsTo"), "HostName", to.HostName)
		dst = shut(appendSome(dst, "Protocol", to.Protocol), "RedirectAllRequestsTo")
	}
	if d := c.IndexDocument; d != nil {
		dst = shut(appendString(open(dst, "IndexDocument"), "Suffix", d.Suffix), "IndexDocument")
	}
	if d := c.ErrorDocument; d != nil {
		dst = shut(appendString(open(dst, "ErrorDocument"), "Key", d.Key), "ErrorDocument")
	}
	if c.RoutingRules != nil {
		dst = open(dst, "RoutingRules")
		for i := range c.RoutingRules.Rules {
			dst = c.RoutingRules.Rules[i].append(dst)
		}
		dst = shut(dst, "RoutingRules")
	}
	return shut(dst, "WebsiteConfiguration")
}

func (r *RoutingRule) append(dst []byte) []byte {
	dst = open(dst, "RoutingRule")
	if c := r.Condition; c != nil {
		dst = appendPresent(open(dst, "Condition"), "KeyPrefixEquals", c.KeyPrefixEquals)
		dst = shut(appendSome(dst, "HttpErrorCodeReturnedEquals", c.HTTPErrorCodeReturnedEquals), "Condition")
	}
	dst = appendSome(open(dst, "Redirect"), "Protocol", r.Redirect.Protocol)
	dst = appendSome(dst, "HostName", r.Redirect.HostName)
	dst = appendPresent(dst, "ReplaceKeyPrefixWith", r.Redirect.ReplaceKeyPrefixWith)
	dst = appendPresent(dst, "ReplaceKeyWith", r.Redirect.ReplaceKeyWith)
	dst = appendSome(dst, "HttpRedirectCode", r.Redirect.HTTPRedirectCode)
	return shut(shut(dst, "Redirect"), "RoutingRule")
}
