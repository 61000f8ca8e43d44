package policy

import (
	"maps"
	"slices"
	"strings"
)

// Keys are the condition keys that policies ask for, by conditions and by variables: each
// once, as it is written first, in alphabetical order.
func Keys(policies []Named) []string {
	written := make(map[string]string)
	for _, p := range policies {
		for _, key := range p.keys {
			if lower := strings.ToLower(key); written[lower] == "" {
				written[lower] = key
			}
		}
	}
	var out []string
	for _, lower := range slices.Sorted(maps.Keys(written)) {
		out = append(out, written[lower])
	}
	return out
}

// s3Keys are the condition keys of S3, in lower case; those with a slash at the end are
// followed by a tag's key. A policy of a bucket may name no others of S3's.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
var s3Keys = [...]string{
	"s3:accessgrantsinstancearn", "s3:accesspointnetworkorigin", "s3:accesspointtag/", "s3:authtype", "s3:buckettag/",
	"s3:dataaccesspointaccount", "s3:dataaccesspointarn", "s3:delimiter", "s3:existingobjecttag/", "s3:if-match", "s3:if-none-match",
	"s3:inventoryaccessibleoptionalfields", "s3:isaccesspoint", "s3:locationconstraint", "s3:max-keys", "s3:object-lock-legal-hold",
	"s3:object-lock-mode", "s3:object-lock-remaining-retention-days", "s3:object-lock-retain-until-date", "s3:objectcreationoperation",
	"s3:prefix", "s3:requestobjecttag/", "s3:requestobjecttagkeys", "s3:resourceaccount", "s3:signatureage", "s3:signatureversion",
	"s3:tlsversion", "s3:versionid", "s3:x-amz-acl", "s3:x-amz-content-sha256", "s3:x-amz-copy-source", "s3:x-amz-grant-full-control",
	"s3:x-amz-grant-read", "s3:x-amz-grant-read-acp", "s3:x-amz-grant-write", "s3:x-amz-grant-write-acp", "s3:x-amz-metadata-directive",
	"s3:x-amz-object-ownership", "s3:x-amz-server-side-encryption", "s3:x-amz-server-side-encryption-aws-kms-key-id",
	"s3:x-amz-server-side-encryption-customer-algorithm", "s3:x-amz-storage-class", "s3:x-amz-website-redirect-location",
}

// keyAllowed reports whether a condition of the kind may ask for a key. A bucket's may
// ask for those that hold in every service, and for S3's.
func (k Kind) keyAllowed(key string) bool {
	if !ValidKey(key) {
		return false
	}
	key = strings.ToLower(key)
	if k != Bucket || strings.HasPrefix(key, "aws:") {
		return true
	}
	for _, known := range s3Keys {
		rest, ok := strings.CutPrefix(key, known)
		if ok && (rest != "") == strings.HasSuffix(known, "/") {
			return true
		}
	}
	return false
}
