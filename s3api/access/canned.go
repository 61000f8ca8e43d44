package access

import (
	"ironman/s3api/s3err"
	"ironman/wal/event"
)

// Target is what an access control list is of.
type Target uint8

// Buckets and objects know different canned lists.
const (
	Bucket Target = iota
	Object
)

// Subject is what an access control list is made for.
type Subject struct {
	Target Target
	// Owner is the canonical id of the resource's owner.
	Owner string
	// BucketOwner is the canonical id of the owner of the object's bucket.
	BucketOwner string
}

// Canned gives the list that a value of x-amz-acl stands for. An unknown name is
// InvalidArgument.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#canned-acl
func Canned(name string, s Subject) (*event.ACL, error) {
	acl := &event.ACL{Owner: s.Owner, Grants: []*event.Grant{
		{Grantee: s.Owner, Permission: event.Permission_PERMISSION_FULL_CONTROL},
	}}
	toGroup := func(g event.Group, p event.Permission) {
		acl.Grants = append(acl.Grants, &event.Grant{Group: g, Permission: p})
	}
	toBucketOwner := func(p event.Permission) {
		if s.Target == Object && s.BucketOwner != s.Owner {
			acl.Grants = append(acl.Grants, &event.Grant{Grantee: s.BucketOwner, Permission: p})
		}
	}
	switch name {
	case "private":
	case "aws-exec-read": // reading is for Amazon's own machine images: nobody here
	case "public-read":
		toGroup(event.Group_GROUP_ALL_USERS, read)
	case "public-read-write":
		toGroup(event.Group_GROUP_ALL_USERS, read)
		toGroup(event.Group_GROUP_ALL_USERS, write)
	case "authenticated-read":
		toGroup(event.Group_GROUP_AUTHENTICATED_USERS, read)
	case "bucket-owner-read": // of a bucket: ignored, as Amazon does
		toBucketOwner(read)
	case "bucket-owner-full-control":
		toBucketOwner(event.Permission_PERMISSION_FULL_CONTROL)
	case "log-delivery-write":
		if s.Target != Bucket {
			return nil, s3err.InvalidArgument("x-amz-acl", name, "log-delivery-write is for buckets.")
		}
		toGroup(event.Group_GROUP_LOG_DELIVERY, write)
		toGroup(event.Group_GROUP_LOG_DELIVERY, readACP)
	default:
		return nil, s3err.InvalidArgument("x-amz-acl", name, "The canned ACL is not valid.")
	}
	return acl, nil
}
