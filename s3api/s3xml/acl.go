package s3xml

import "encoding/xml"

// The values of Grantee.Type.
const (
	CanonicalUser         = "CanonicalUser"
	AmazonCustomerByEmail = "AmazonCustomerByEmail"
	Group                 = "Group"
)

// AccessControlPolicy is the body of PutBucketAcl and PutObjectAcl, and the answer
// of their Get. Who the grantees are is for package access to say.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_AccessControlPolicy.html
type AccessControlPolicy struct {
	XMLName           xml.Name          `xml:"AccessControlPolicy"`
	Owner             *Owner            `xml:"Owner"`
	AccessControlList AccessControlList `xml:"AccessControlList" s3:"required"`
}

// AccessControlList holds grants.
type AccessControlList struct {
	Grants []Grant `xml:"Grant"`
}

// Grant gives a grantee a permission.
type Grant struct {
	Grantee    Grantee `xml:"Grantee" s3:"required"`
	Permission string  `xml:"Permission" s3:"required"`
}

// Grantee is an account, by id or e-mail address, or a group.
type Grantee struct {
	Type         string `xml:"http://www.w3.org/2001/XMLSchema-instance type,attr" s3:"required"`
	ID           string `xml:"ID,omitempty"`
	DisplayName  string `xml:"DisplayName,omitempty"`
	EmailAddress string `xml:"EmailAddress,omitempty"`
	URI          string `xml:"URI,omitempty"`
}

// AppendXML appends the root element.
func (p *AccessControlPolicy) AppendXML(dst []byte) []byte {
	dst = p.Owner.append(openRoot(dst, "AccessControlPolicy"), "Owner")
	dst = open(dst, "AccessControlList")
	for i := range p.AccessControlList.Grants {
		dst = p.AccessControlList.Grants[i].append(dst)
	}
	return shut(shut(dst, "AccessControlList"), "AccessControlPolicy")
}

func (g *Grant) append(dst []byte) []byte {
	dst = append(open(dst, "Grant"), `<Grantee xmlns:xsi="`+xsiNamespace+`" xsi:type="`...)
	dst = append(AppendText(dst, g.Grantee.Type), `">`...)
	dst = appendSome(dst, "ID", g.Grantee.ID)
	dst = appendSome(dst, "DisplayName", g.Grantee.DisplayName)
	dst = appendSome(dst, "EmailAddress", g.Grantee.EmailAddress)
	dst = shut(appendSome(dst, "URI", g.Grantee.URI), "Grantee")
	return shut(appendString(dst, "Permission", g.Permission), "Grant")
}
