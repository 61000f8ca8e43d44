package website

import (
	"net/http"
	"net/url"
	"strings"
)

// Request is what a visitor asks for.
type Request struct {
	Protocol string // http or https
	Host     string // as the visitor wrote it
	Key      string // the path without its first slash
	Query    string // raw
}

// State is what the bucket says of a key to everybody.
type State struct {
	// Status is 200, or that of the error: 403, 404.
	Status int
	// Code is that error's S3 code.
	Code string
	// Redirect is the object's x-amz-website-redirect-location; empty: it has none.
	Redirect string
}

// Look tells of a key. An error ends the decision.
type Look func(key string) (State, error)

// Answer is what the visitor gets: one of Location, Key and neither.
type Answer struct {
	// Status is 200, 3xx with Location, or that of the error that occurred.
	Status int
	// Location is where to go.
	Location string
	// Key is the object to send: what was asked for, or the site's error page.
	Key string
	// Failed is the key that could not be had, Code why, where Status is an error.
	Failed, Code string
	// PageCode is why the site's own error page could not be had; empty: there is none,
	// or it is to be sent.
	PageCode string
}

// Decide says what a site answers.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteHosting.html
func Decide(c *Config, r *Request, look Look) (*Answer, error) {
	if c.All != nil {
		return c.All.answer(r, ""), nil
	}
	if a := c.redirect(r, 0); a != nil {
		return a, nil
	}
	key := r.Key
	if key == "" || strings.HasSuffix(key, "/") {
		key += c.Index
	}
	found, err := look(key)
	if err != nil {
		return nil, err
	}
	switch {
	case found.Status == http.StatusOK && found.Redirect != "":
		return &Answer{Status: http.StatusMovedPermanently, Location: found.Redirect}, nil
	case found.Status == http.StatusOK:
		return &Answer{Status: http.StatusOK, Key: key}, nil
	}
	if key == r.Key { // perhaps it is a directory
		index, err := look(key + "/" + c.Index)
		if err != nil {
			return nil, err
		}
		if index.Status == http.StatusOK {
			return &Answer{Status: http.StatusFound, Location: location("", "", key+"/", r.Query)}, nil
		}
	}
	if a := c.redirect(r, found.Status); a != nil {
		return a, nil
	}
	return c.failed(&Answer{Status: found.Status, Failed: key, Code: found.Code}, look)
}

// failed finds the site's own error page, which is for 4xx.
func (c *Config) failed(a *Answer, look Look) (*Answer, error) {
	if c.Error == "" || a.Status/100 != 4 {
		return a, nil
	}
	page, err := look(c.Error)
	if err != nil {
		return nil, err
	}
	if page.Status != http.StatusOK {
		a.PageCode = page.Code
		return a, nil
	}
	a.Key = c.Error
	return a, nil
}

// redirect finds the rule for a request to which an error occurred; 0: nothing has yet.
func (c *Config) redirect(r *Request, status int) *Answer {
	for i := range c.Rules {
		rule := &c.Rules[i]
		if rule.Status == status && strings.HasPrefix(r.Key, rule.Prefix) {
			return rule.Redirect.answer(r, rule.Prefix)
		}
	}
	return nil
}

// answer redirects a request whose key begins with prefix.
func (d *Redirect) answer(r *Request, prefix string) *Answer {
	protocol, host, key := d.Protocol, d.Host, r.Key
	if protocol == "" {
		protocol = r.Protocol
	}
	if host == "" {
		host = r.Host
	}
	switch {
	case d.Key != nil:
		key = *d.Key
	case d.Prefix != nil:
		key = *d.Prefix + strings.TrimPrefix(key, prefix)
	}
	return &Answer{Status: d.Status, Location: location(protocol, host, key, r.Query)}
}

// location is an address, or a path where there is no host. Other than in a URL of a
// browser a path that begins with two slashes must not become a host.
func location(protocol, host, key, query string) string {
	path := (&url.URL{Path: "/" + key}).EscapedPath()
	if host == "" && strings.HasPrefix(path, "//") {
		path = "/%2F" + path[2:]
	}
	if query != "" {
		path += "?" + query
	}
	if host == "" {
		return path
	}
	return protocol + "://" + host + path
}
