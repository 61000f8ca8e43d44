package iam

import (
	"encoding/xml"
	"net/url"
	"strconv"
	"strings"
	"time"

	"ironman/fsm"
	"ironman/s3api/sig"
	"ironman/wal/event"
)

// answer is the envelope of every success: the result under the action's name.
type answer struct {
	name, service, requestID string
	result                   any // nil: there is none
}

// MarshalXML writes <NameResponse><NameResult>...</NameResult><ResponseMetadata>.
func (a answer) MarshalXML(e *xml.Encoder, _ xml.StartElement) error {
	start := xml.StartElement{Name: xml.Name{Local: a.name + "Response"}, Attr: []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: namespace(a.service)}}}
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	if a.result != nil {
		if err := e.EncodeElement(a.result, xml.StartElement{Name: xml.Name{Local: a.name + "Result"}}); err != nil {
			return err
		}
	}
	meta := struct {
		RequestID string `xml:"RequestId"`
	}{a.requestID}
	if err := e.EncodeElement(meta, xml.StartElement{Name: xml.Name{Local: "ResponseMetadata"}}); err != nil {
		return err
	}
	return e.EncodeToken(start.End())
}

// shown is a secret in the one answer that shows it.
type shown struct{ sig.Secret }

// MarshalXML writes the secret itself.
func (s shown) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	return e.EncodeElement(string(s.Reveal()), start)
}

// date is a time as the Query APIs write it.
type date string

func dateOf(ns int64) date { return date(time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05Z")) }

// escaped is a policy's text as the answers hold it: percent-encoded.
func escaped(text []byte) string {
	return strings.ReplaceAll(url.QueryEscape(string(text)), "+", "%20")
}

// page is the end of a list.
type page struct {
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

// tagXML is a tag.
type tagXML struct{ Key, Value string }

func tagsXML(t *event.Tags) []tagXML {
	var out []tagXML
	for _, x := range t.GetTags() {
		out = append(out, tagXML{x.Key, x.Value})
	}
	return out
}

// boundaryXML is what bounds a principal.
type boundaryXML struct {
	PermissionsBoundaryType string
	PermissionsBoundaryArn  string
}

type userXML struct {
	Path                string
	UserName            string `xml:",omitempty"`
	UserID              string `xml:"UserId"`
	Arn                 string
	CreateDate          date
	PermissionsBoundary *boundaryXML
	Tags                []tagXML `xml:"Tags>member,omitempty"`
}

type groupXML struct {
	Path       string
	GroupName  string
	GroupID    string `xml:"GroupId"`
	Arn        string
	CreateDate date
}

type roleXML struct {
	Path                     string
	RoleName                 string
	RoleID                   string `xml:"RoleId"`
	Arn                      string
	CreateDate               date
	AssumeRolePolicyDocument string
	Description              string `xml:",omitempty"`
	MaxSessionDuration       uint32
	PermissionsBoundary      *boundaryXML
	Tags                     []tagXML `xml:"Tags>member,omitempty"`
}

type policyXML struct {
	PolicyName                    string
	PolicyID                      string `xml:"PolicyId"`
	Arn                           string
	Path                          string
	DefaultVersionID              string `xml:"DefaultVersionId"`
	AttachmentCount               uint64
	PermissionsBoundaryUsageCount uint64
	IsAttachable                  bool
	Description                   string `xml:",omitempty"`
	CreateDate                    date
	UpdateDate                    date
	Tags                          []tagXML `xml:"Tags>member,omitempty"`
}

type versionXML struct {
	Document         string `xml:",omitempty"`
	VersionID        string `xml:"VersionId"`
	IsDefaultVersion bool
	CreateDate       date
}

type attachedXML struct{ PolicyName, PolicyArn string }

func versionID(n uint32) string { return "v" + strconv.FormatUint(uint64(n), 10) }

func (c *call) boundaryXML(x *fsm.Principal) (*boundaryXML, error) {
	if x.Boundary == "" {
		return nil, nil
	}
	arn, err := c.policyARN(x.Boundary)
	return &boundaryXML{"Policy", arn}, err
}

// userXML describes a user; whole with what lists leave out.
func (c *call) userXML(x *fsm.Principal, whole bool) (*userXML, error) {
	out := &userXML{Path: x.Path, UserName: x.Name, UserID: x.Principal, Arn: ARN(x), CreateDate: dateOf(x.Time)}
	if !whole {
		return out, nil
	}
	var err error
	out.Tags = tagsXML(x.Tags)
	out.PermissionsBoundary, err = c.boundaryXML(x)
	return out, err
}

func (c *call) groupXML(x *fsm.Principal) *groupXML {
	return &groupXML{Path: x.Path, GroupName: x.Name, GroupID: x.Principal, Arn: ARN(x), CreateDate: dateOf(x.Time)}
}

func (c *call) roleXML(x *fsm.Principal, whole bool) (*roleXML, error) {
	out := &roleXML{
		Path: x.Path, RoleName: x.Name, RoleID: x.Principal, Arn: ARN(x), CreateDate: dateOf(x.Time),
		AssumeRolePolicyDocument: escaped(x.Trust), Description: x.Description, MaxSessionDuration: x.MaxSession,
	}
	if !whole {
		return out, nil
	}
	var err error
	out.Tags = tagsXML(x.Tags)
	out.PermissionsBoundary, err = c.boundaryXML(x)
	return out, err
}

func policyOf(x *fsm.Policy) *policyXML {
	return &policyXML{
		PolicyName: x.Name, PolicyID: x.Policy, Arn: managedARN(x), Path: x.Path, DefaultVersionID: versionID(x.DefaultVersion),
		AttachmentCount: x.Attachments, PermissionsBoundaryUsageCount: x.Bounds, IsAttachable: true,
		Description: x.Description, CreateDate: dateOf(x.Time), UpdateDate: dateOf(x.Updated), Tags: tagsXML(x.Tags),
	}
}
