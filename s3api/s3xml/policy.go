package s3xml

// PolicyStatus is the answer of GetBucketPolicyStatus.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicyStatus.html
type PolicyStatus struct {
	IsPublic bool
}

// AppendXML appends the root element.
func (s *PolicyStatus) AppendXML(dst []byte) []byte {
	return shut(appendBool(openRoot(dst, "PolicyStatus"), "IsPublic", s.IsPublic), "PolicyStatus")
}
