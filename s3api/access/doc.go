// Package access decides who may do what, and turns the three ways of giving an
// access control list (canned name, grant headers, document) into the one that is
// stored. It knows accounts, groups, grants and the names of S3's actions; it knows
// no HTTP but the names of headers, no store and no clock: what it judges is handed
// to it, from one view.
//
// Policies are not read here. Whoever evaluates them hands in Opinions, and Decide
// puts them in their place: an explicit denial of any policy first, then the cluster's
// root, owners, policies that allow, and grants; what bounds a principal bounds all but
// what is granted to everybody, or by the bucket's policy to it by name.
//
// Invariants:
//   - What is not allowed is denied: an unknown action, a missing resource, an empty
//     owner and the zero Principal (anonymous) match nothing but a grant to all.
//   - Every action of the store stands in one table with the permission that grants it.
//   - An event.ACL made here names accounts by canonical id alone, holds at most
//     MaxGrants grants, and keeps them in the order they were given.
//
// Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html,
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-s3-evaluates-access-control.html
package access
