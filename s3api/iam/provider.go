package iam

import (
	"encoding/json"
	"net/url"
	"path"
	"slices"
	"strings"

	"ironman/fsm"
	"ironman/s3api/policy"
)

// Limits of a provider, as Amazon's.
const (
	maxClients     = 100
	maxClientID    = 255
	maxThumbprints = 5
	thumbprint     = 40 // characters of a SHA-1 sum
	maxProviderURL = 255
)

// believed is what an account believes of an OpenID Connect provider, as it is stored.
type believed struct {
	// Clients are for whom its tokens may be.
	Clients []string `json:"clients,omitempty"`
	// Thumbprints are of certificates that it may be known by.
	Thumbprints []string `json:"thumbprints,omitempty"`
	// Insecure: it is asked over plain HTTP.
	Insecure bool `json:"insecure,omitempty"`
}

func believedOf(x *fsm.Principal) (*believed, error) {
	b := &believed{}
	return b, json.Unmarshal(x.Trust, b)
}

// store makes b what is believed of x.
func (b *believed) store(x *fsm.Principal) error {
	var err error
	x.Trust, err = json.Marshal(b)
	return err
}

// url is where a provider is, which is also the issuer of its tokens.
func (b *believed) url(x *fsm.Principal) string {
	if b.Insecure {
		return "http://" + x.Name
	}
	return "https://" + x.Name
}

// providerURL takes a provider's URL apart: its name is all but the scheme, to the letter,
// for that is what tokens and trust policies say.
func (c *call) providerURL() (name string, insecure bool) {
	s := c.form.need("Url")
	u, err := url.Parse(s)
	insecure = err == nil && u.Scheme == "http"
	switch {
	case c.form.err != nil:
	case err != nil || u.Scheme != "https" && !insecure || u.Hostname() == "" || u.Host != strings.ToLower(u.Host) || u.User != nil || len(s) > maxProviderURL,
		strings.ContainsAny(s, "?#") || u.String() != s || u.Path != "" && strings.TrimSuffix(u.Path, "/") != strings.TrimSuffix(path.Clean(u.Path), "/"),
		!policy.ValidKey(s[len(u.Scheme)+len("://"):] + ":aud"):
		c.form.fail(invalidInput("The URL must be https://HOST or https://HOST/PATH in its simplest form, of at most %d characters, its host in lower case.", maxProviderURL))
	case insecure && !c.insecure():
		c.form.fail(invalidInput("The URL must begin with https://."))
	}
	_, name, _ = strings.Cut(s, "://")
	return name, insecure
}

// insecure reports whether whoever runs the store lets providers be asked over plain HTTP.
func (c *call) insecure() bool { return c.Providers != nil && c.Providers.Insecure() }

func invalidInput(format string, args ...any) *Error { return Refuse("InvalidInput", format, args...) }

// onNewProvider is a provider that is to be made.
func onNewProvider(c *call) (string, error) {
	name, _ := c.providerURL()
	return arn(c.account(), noun(provider), "/", name), c.form.err
}

// onProvider is a provider by its ARN.
func onProvider(c *call) (string, error) {
	s := c.form.need("OpenIDConnectProviderArn")
	name, ok := strings.CutPrefix(s, arn(c.account(), noun(provider), "/", ""))
	if c.form.err != nil || !ok || name == "" {
		return s, c.form.err
	}
	x, err := c.view.PrincipalByName(c.account(), provider, name)
	if err == nil && x != nil && x.Name == name {
		c.subject = x
	}
	return s, err
}

// theProvider is the call's subject, which must be there.
func (c *call) theProvider() (*fsm.Principal, *believed, error) {
	if c.subject == nil {
		return nil, nil, Refuse("NoSuchEntity", "OpenIDConnect Provider not found for arn %s", c.form.values.Get("OpenIDConnectProviderArn"))
	}
	c.was = c.subject.Portrait()
	b, err := believedOf(c.subject)
	return c.subject, b, err
}

func (c *call) checkClient(id string) {
	if id == "" || len(id) > maxClientID {
		c.form.fail(invalidInput("A client ID must have 1 to %d characters.", maxClientID))
	}
}

// thumbprints reads a list of them. They need not be sums of anything.
func (c *call) thumbprints() []string {
	list := c.form.list("ThumbprintList", "")
	if len(list) > maxThumbprints {
		c.form.fail(Refuse("LimitExceeded", "There may be at most %d thumbprints.", maxThumbprints))
	}
	for _, t := range list {
		if len(t) != thumbprint {
			c.form.fail(invalidInput("A thumbprint must have %d characters.", thumbprint))
		}
	}
	return list
}

// createOpenIDConnectProvider makes a provider whose tokens the account's roles may
// trust.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateOpenIDConnectProvider.html
func (c *call) createOpenIDConnectProvider() (any, error) {
	name, insecure := c.providerURL()
	b := &believed{Clients: c.form.list("ClientIDList", ""), Thumbprints: c.thumbprints(), Insecure: insecure}
	for _, id := range b.Clients {
		c.checkClient(id)
	}
	if len(b.Clients) > maxClients {
		c.form.fail(Refuse("LimitExceeded", "There may be at most %d client IDs.", maxClients))
	}
	x := &fsm.Principal{Kind: provider, Name: name, Path: "/", Tags: c.form.tags()}
	if c.form.err != nil {
		return nil, c.form.err
	}
	if err := b.store(x); err != nil {
		return nil, err
	}
	if err := c.create(x); err != nil {
		return nil, err
	}
	return struct {
		OpenIDConnectProviderArn string
		Tags                     []tagXML `xml:"Tags>member"`
	}{ARN(x), tagsXML(x.Tags)}, nil
}

// shownURL is a provider's URL as Amazon shows it, without https://. With a port it keeps
// that, or clients would take the host for the scheme.
func shownURL(s string) string {
	if short := strings.TrimPrefix(s, "https://"); !strings.Contains(short, ":") {
		return short
	}
	return s
}

// getOpenIDConnectProvider describes a provider.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetOpenIDConnectProvider.html
func (c *call) getOpenIDConnectProvider() (any, error) {
	x, b, err := c.theProvider()
	if err != nil {
		return nil, err
	}
	return struct {
		URL            string   `xml:"Url"`
		ClientIDList   []string `xml:"ClientIDList>member"`
		ThumbprintList []string `xml:"ThumbprintList>member"`
		CreateDate     date
		Tags           []tagXML `xml:"Tags>member"`
	}{shownURL(b.url(x)), b.Clients, b.Thumbprints, dateOf(x.Time), tagsXML(x.Tags)}, nil
}

// listOpenIDConnectProviders lists all of the account's.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListOpenIDConnectProviders.html
func (c *call) listOpenIDConnectProviders() (any, error) {
	list, _, err := c.view.Principals(provider, fsm.VaultQuery{Account: c.account(), Max: maxList})
	type entry struct{ Arn string }
	var out []entry
	for _, x := range list {
		out = append(out, entry{ARN(x)})
	}
	return struct {
		OpenIDConnectProviderList []entry `xml:"OpenIDConnectProviderList>member"`
	}{out}, err
}

// deleteOpenIDConnectProvider removes a provider. One of the account's that is not there is
// not missed; roles that trust it stay, and trust nobody by it.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteOpenIDConnectProvider.html
func (c *call) deleteOpenIDConnectProvider() (any, error) {
	if c.subject == nil && strings.HasPrefix(c.form.values.Get("OpenIDConnectProviderArn"), arn(c.account(), noun(provider), "/", "")) {
		return nil, nil
	}
	if _, _, err := c.theProvider(); err != nil {
		return nil, err
	}
	return c.removeSubject()
}

// addClientID lets tokens be for one more.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_AddClientIDToOpenIDConnectProvider.html
func (c *call) addClientID() (any, error) {
	return c.changeProvider(func(b *believed) {
		id := c.form.need("ClientID")
		if c.checkClient(id); !slices.Contains(b.Clients, id) {
			b.Clients = append(b.Clients, id)
		}
		if len(b.Clients) > maxClients {
			c.form.fail(Refuse("LimitExceeded", "There may be at most %d client IDs.", maxClients))
		}
	})
}

// removeClientID lets tokens be for one less. One that is not there is not missed.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_RemoveClientIDFromOpenIDConnectProvider.html
func (c *call) removeClientID() (any, error) {
	return c.changeProvider(func(b *believed) {
		id := c.form.need("ClientID")
		b.Clients = slices.DeleteFunc(b.Clients, func(s string) bool { return s == id })
	})
}

// updateThumbprints replaces the whole list.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateOpenIDConnectProviderThumbprint.html
func (c *call) updateThumbprints() (any, error) {
	return c.changeProvider(func(b *believed) { b.Thumbprints = c.thumbprints() })
}

// changeProvider changes what is believed of the call's subject.
func (c *call) changeProvider(change func(*believed)) (any, error) {
	x, b, err := c.theProvider()
	if err != nil {
		return nil, err
	}
	change(b)
	if err := b.store(x); err != nil {
		return nil, err
	}
	return nil, c.change(x)
}

// The tags of a provider.
func (c *call) tagProvider() (any, error) {
	if _, _, err := c.theProvider(); err != nil {
		return nil, err
	}
	return c.tag(provider)
}

func (c *call) untagProvider() (any, error) {
	if _, _, err := c.theProvider(); err != nil {
		return nil, err
	}
	return c.untag(provider)
}

func (c *call) listProviderTags() (any, error) {
	x, _, err := c.theProvider()
	return tagsResult{Tags: tagsXML(x.GetTags())}, err
}
