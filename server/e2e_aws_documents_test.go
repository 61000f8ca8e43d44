package server_test

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// documents sets, reads and removes every document of a bucket.
func (a *awsRun) documents() {
	a.corsDocument()
	a.taggingDocument()
	a.lifecycleDocument()
	a.encryptionDocument()
	a.websiteDocument()
	a.notificationDocument()
	a.loggingDocument()
	_, err := a.s3.GetBucketReplication(a.ctx, &s3.GetBucketReplicationInput{Bucket: a.bucket})
	a.want("ReplicationConfigurationNotFoundError", err)
	_, err = a.s3.PutBucketReplication(a.ctx, &s3.PutBucketReplicationInput{Bucket: a.bucket, ReplicationConfiguration: &types.ReplicationConfiguration{
		Role: aws.String("arn:aws:iam::1:role/r"), Rules: []types.ReplicationRule{{Status: "Enabled", Destination: &types.Destination{Bucket: aws.String("arn:aws:s3:::b")}}},
	}})
	a.want("NotImplemented", err)
	_, err = a.s3.PutBucketAccelerateConfiguration(a.ctx, &s3.PutBucketAccelerateConfigurationInput{Bucket: a.bucket, AccelerateConfiguration: &types.AccelerateConfiguration{Status: "Enabled"}})
	a.want("NotImplemented", err)
}

func (a *awsRun) corsDocument() {
	_, err := a.s3.GetBucketCors(a.ctx, &s3.GetBucketCorsInput{Bucket: a.bucket})
	a.want("NoSuchCORSConfiguration", err)
	rule := types.CORSRule{
		ID: aws.String("one"), AllowedOrigins: []string{"https://*.example.com", "http://a"}, AllowedMethods: []string{"GET", "PUT"},
		AllowedHeaders: []string{"x-amz-*"}, ExposeHeaders: []string{"ETag"}, MaxAgeSeconds: aws.Int32(300),
	}
	_, err = a.s3.PutBucketCors(a.ctx, &s3.PutBucketCorsInput{Bucket: a.bucket, CORSConfiguration: &types.CORSConfiguration{CORSRules: []types.CORSRule{rule}}})
	a.ok(err)
	out, err := a.s3.GetBucketCors(a.ctx, &s3.GetBucketCorsInput{Bucket: a.bucket})
	a.ok(err)
	got := out.CORSRules[0]
	a.same("rule", []any{len(out.CORSRules), *got.ID, got.AllowedOrigins, got.AllowedMethods, got.AllowedHeaders, got.ExposeHeaders, *got.MaxAgeSeconds},
		[]any{1, "one", rule.AllowedOrigins, rule.AllowedMethods, rule.AllowedHeaders, rule.ExposeHeaders, 300})
	for range 2 { // that there is none is a success
		_, err = a.s3.DeleteBucketCors(a.ctx, &s3.DeleteBucketCorsInput{Bucket: a.bucket})
		a.ok(err)
	}
	_, err = a.s3.GetBucketCors(a.ctx, &s3.GetBucketCorsInput{Bucket: a.bucket})
	a.want("NoSuchCORSConfiguration", err)
	_, err = a.s3.PutBucketCors(a.ctx, &s3.PutBucketCorsInput{Bucket: a.bucket, ExpectedBucketOwner: aws.String("999999999999"), CORSConfiguration: &types.CORSConfiguration{CORSRules: []types.CORSRule{rule}}})
	a.want("AccessDenied", err)
}

func (a *awsRun) taggingDocument() {
	_, err := a.s3.GetBucketTagging(a.ctx, &s3.GetBucketTaggingInput{Bucket: a.bucket})
	a.want("NoSuchTagSet", err)
	_, err = a.s3.PutBucketTagging(a.ctx, &s3.PutBucketTaggingInput{Bucket: a.bucket, Tagging: &types.Tagging{TagSet: []types.Tag{{Key: aws.String("Hello"), Value: aws.String("Wörld")}}}})
	a.ok(err)
	out, err := a.s3.GetBucketTagging(a.ctx, &s3.GetBucketTaggingInput{Bucket: a.bucket})
	a.ok(err)
	a.same("tags", *out.TagSet[0].Key+*out.TagSet[0].Value, "HelloWörld")
	_, err = a.s3.DeleteBucketTagging(a.ctx, &s3.DeleteBucketTaggingInput{Bucket: a.bucket})
	a.ok(err)
	_, err = a.s3.GetBucketTagging(a.ctx, &s3.GetBucketTaggingInput{Bucket: a.bucket})
	a.want("NoSuchTagSet", err)
	name := aws.String("born-tagged")
	_, err = a.s3.CreateBucket(a.ctx, &s3.CreateBucketInput{Bucket: name, CreateBucketConfiguration: &types.CreateBucketConfiguration{Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}}})
	a.ok(err)
	out, err = a.s3.GetBucketTagging(a.ctx, &s3.GetBucketTaggingInput{Bucket: name})
	a.ok(err)
	a.same("tags of a new bucket", *out.TagSet[0].Key+*out.TagSet[0].Value, "ab")
	_, err = a.s3.DeleteBucket(a.ctx, &s3.DeleteBucketInput{Bucket: name})
	a.ok(err)
}

func (a *awsRun) lifecycleDocument() {
	get := &s3.GetBucketLifecycleConfigurationInput{Bucket: a.bucket}
	_, err := a.s3.GetBucketLifecycleConfiguration(a.ctx, get)
	a.want("NoSuchLifecycleConfiguration", err)
	at := time.Date(2040, 1, 2, 0, 0, 0, 0, time.UTC)
	rules := []types.LifecycleRule{
		{ID: aws.String("days"), Status: "Enabled", Filter: &types.LifecycleRuleFilter{Prefix: aws.String("logs/")}, Expiration: &types.LifecycleExpiration{Days: aws.Int32(30)}},
		{Status: "Disabled", Filter: &types.LifecycleRuleFilter{And: &types.LifecycleRuleAndOperator{Prefix: aws.String("p"), ObjectSizeGreaterThan: aws.Int64(5),
			ObjectSizeLessThan: aws.Int64(500), Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}}, Expiration: &types.LifecycleExpiration{Date: &at}},
		{Status: "Enabled", Filter: &types.LifecycleRuleFilter{}, NoncurrentVersionExpiration: &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(3), NewerNoncurrentVersions: aws.Int32(2)},
			AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(7)}, Expiration: &types.LifecycleExpiration{ExpiredObjectDeleteMarker: aws.Bool(true)}},
	}
	put := &s3.PutBucketLifecycleConfigurationInput{Bucket: a.bucket, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: rules}}
	done, err := a.s3.PutBucketLifecycleConfiguration(a.ctx, put)
	a.ok(err)
	a.same("default minimum", done.TransitionDefaultMinimumObjectSize, "all_storage_classes_128K")
	put.TransitionDefaultMinimumObjectSize = "varies_by_storage_class"
	_, err = a.s3.PutBucketLifecycleConfiguration(a.ctx, put)
	a.ok(err)
	out, err := a.s3.GetBucketLifecycleConfiguration(a.ctx, get)
	a.ok(err)
	a.same("minimum", out.TransitionDefaultMinimumObjectSize, "varies_by_storage_class")
	got := out.Rules
	a.same("number of rules", len(got), 3)
	a.same("first", []any{*got[0].ID, *got[0].Filter.Prefix, *got[0].Expiration.Days}, []any{"days", "logs/", 30})
	and := got[1].Filter.And
	a.same("second", []any{*and.Prefix, *and.ObjectSizeGreaterThan, *and.ObjectSizeLessThan, *and.Tags[0].Key, *and.Tags[0].Value, got[1].Expiration.Date.Equal(at), got[1].Status},
		[]any{"p", 5, 500, "k", "v", true, "Disabled"})
	a.same("third", []any{*got[2].NoncurrentVersionExpiration.NoncurrentDays, *got[2].NoncurrentVersionExpiration.NewerNoncurrentVersions,
		*got[2].AbortIncompleteMultipartUpload.DaysAfterInitiation, *got[2].Expiration.ExpiredObjectDeleteMarker}, []any{3, 2, 7, true})
	if aws.ToString(got[1].ID) == "" || *got[1].ID == *got[2].ID {
		a.Errorf("ids that were made: %v %v", got[1].ID, got[2].ID)
	}
	put.LifecycleConfiguration.Rules = []types.LifecycleRule{{Status: "Enabled", Filter: &types.LifecycleRuleFilter{}, Transitions: []types.Transition{{Days: aws.Int32(1), StorageClass: "GLACIER"}}}}
	_, err = a.s3.PutBucketLifecycleConfiguration(a.ctx, put)
	a.want("NotImplemented", err)
	_, err = a.s3.DeleteBucketLifecycle(a.ctx, &s3.DeleteBucketLifecycleInput{Bucket: a.bucket})
	a.ok(err)
	_, err = a.s3.GetBucketLifecycleConfiguration(a.ctx, get)
	a.want("NoSuchLifecycleConfiguration", err)
}

func (a *awsRun) encryptionDocument() {
	get := &s3.GetBucketEncryptionInput{Bucket: a.bucket}
	_, err := a.s3.GetBucketEncryption(a.ctx, get)
	a.want("ServerSideEncryptionConfigurationNotFoundError", err)
	_, err = a.s3.PutBucketEncryption(a.ctx, &s3.PutBucketEncryptionInput{Bucket: a.bucket, ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{
		Rules: []types.ServerSideEncryptionRule{{BucketKeyEnabled: aws.Bool(true), ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: "aws:kms", KMSMasterKeyID: aws.String("my-key")}}},
	}})
	a.ok(err)
	out, err := a.s3.GetBucketEncryption(a.ctx, get)
	a.ok(err)
	rule := out.ServerSideEncryptionConfiguration.Rules[0]
	a.same("rule", []any{rule.ApplyServerSideEncryptionByDefault.SSEAlgorithm, *rule.ApplyServerSideEncryptionByDefault.KMSMasterKeyID, *rule.BucketKeyEnabled}, []any{"aws:kms", "my-key", true})
	_, err = a.s3.DeleteBucketEncryption(a.ctx, &s3.DeleteBucketEncryptionInput{Bucket: a.bucket})
	a.ok(err)
	_, err = a.s3.GetBucketEncryption(a.ctx, get)
	a.want("ServerSideEncryptionConfigurationNotFoundError", err)
}

func (a *awsRun) websiteDocument() {
	get := &s3.GetBucketWebsiteInput{Bucket: a.bucket}
	_, err := a.s3.GetBucketWebsite(a.ctx, get)
	a.want("NoSuchWebsiteConfiguration", err)
	_, err = a.s3.PutBucketWebsite(a.ctx, &s3.PutBucketWebsiteInput{Bucket: a.bucket, WebsiteConfiguration: &types.WebsiteConfiguration{
		IndexDocument: &types.IndexDocument{Suffix: aws.String("index.html")}, ErrorDocument: &types.ErrorDocument{Key: aws.String("error.html")},
		RoutingRules: []types.RoutingRule{{Condition: &types.Condition{KeyPrefixEquals: aws.String("docs/")}, Redirect: &types.Redirect{ReplaceKeyPrefixWith: aws.String("")}}},
	}})
	a.ok(err)
	out, err := a.s3.GetBucketWebsite(a.ctx, get)
	a.ok(err)
	a.same("website", []any{*out.IndexDocument.Suffix, *out.ErrorDocument.Key, *out.RoutingRules[0].Condition.KeyPrefixEquals, *out.RoutingRules[0].Redirect.ReplaceKeyPrefixWith},
		[]any{"index.html", "error.html", "docs/", ""})
	_, err = a.s3.DeleteBucketWebsite(a.ctx, &s3.DeleteBucketWebsiteInput{Bucket: a.bucket})
	a.ok(err)
	_, err = a.s3.GetBucketWebsite(a.ctx, get)
	a.want("NoSuchWebsiteConfiguration", err)
}

func (a *awsRun) notificationDocument() {
	get := &s3.GetBucketNotificationConfigurationInput{Bucket: a.bucket}
	out, err := a.s3.GetBucketNotificationConfiguration(a.ctx, get)
	a.ok(err)
	a.same("nobody", len(out.QueueConfigurations), 0)
	put := &s3.PutBucketNotificationConfigurationInput{Bucket: a.bucket, NotificationConfiguration: &types.NotificationConfiguration{QueueConfigurations: []types.QueueConfiguration{{
		QueueArn: aws.String("arn:ironman:sqs::hook:webhook"), Events: []types.Event{"s3:ObjectCreated:*"},
		Filter: &types.NotificationConfigurationFilter{Key: &types.S3KeyFilter{FilterRules: []types.FilterRule{{Name: "prefix", Value: aws.String("a/")}}}},
	}}}}
	_, err = a.s3.PutBucketNotificationConfiguration(a.ctx, put)
	a.ok(err)
	out, err = a.s3.GetBucketNotificationConfiguration(a.ctx, get)
	a.ok(err)
	q := out.QueueConfigurations[0]
	a.same("queue", []any{*q.QueueArn, q.Events, q.Filter.Key.FilterRules[0].Name, *q.Filter.Key.FilterRules[0].Value, aws.ToString(q.Id) != ""},
		[]any{"arn:ironman:sqs::hook:webhook", "[s3:ObjectCreated:*]", "Prefix", "a/", true})
	put.NotificationConfiguration.QueueConfigurations[0].QueueArn = aws.String("arn:aws:sqs:us-east-1:1:q")
	_, err = a.s3.PutBucketNotificationConfiguration(a.ctx, put)
	a.want("InvalidArgument", err)
	put.NotificationConfiguration = &types.NotificationConfiguration{}
	_, err = a.s3.PutBucketNotificationConfiguration(a.ctx, put)
	a.ok(err)
	out, err = a.s3.GetBucketNotificationConfiguration(a.ctx, get)
	a.ok(err)
	a.same("nobody again", len(out.QueueConfigurations), 0)
}

func (a *awsRun) loggingDocument() {
	get := &s3.GetBucketLoggingInput{Bucket: a.bucket}
	root, alice := a.canonicalID(a.s3), a.canonicalID(a.other)
	put := func(target string, grants ...types.TargetGrant) error {
		_, err := a.s3.PutBucketLogging(a.ctx, &s3.PutBucketLoggingInput{Bucket: a.bucket, BucketLoggingStatus: &types.BucketLoggingStatus{
			LoggingEnabled: &types.LoggingEnabled{TargetBucket: &target, TargetPrefix: aws.String("log/"), TargetGrants: grants},
		}})
		return err
	}
	_, err := a.other.CreateBucket(a.ctx, &s3.CreateBucketInput{Bucket: aws.String("logs-of-alice")})
	a.ok(err)
	a.want("InvalidTargetBucketForLogging", put("no-such-bucket"))
	a.want("InvalidTargetBucketForLogging", put("logs-of-alice"))
	a.want("InvalidTargetBucketForLogging", put(*a.bucket)) // which lets no logs in
	acl := func(canned types.BucketCannedACL) {
		_, err := a.s3.PutBucketAcl(a.ctx, &s3.PutBucketAclInput{Bucket: a.bucket, ACL: canned})
		a.ok(err)
	}
	acl("log-delivery-write")
	defer acl(types.BucketCannedACLPrivate)
	a.ok(put(*a.bucket, types.TargetGrant{Permission: "READ", Grantee: &types.Grantee{Type: "AmazonCustomerByEmail", EmailAddress: aws.String("alice@example.com")}}))
	out, err := a.s3.GetBucketLogging(a.ctx, get)
	a.ok(err)
	a.same("logging", []any{*out.LoggingEnabled.TargetBucket, *out.LoggingEnabled.TargetPrefix, *out.LoggingEnabled.TargetGrants[0].Grantee.ID}, []any{*a.bucket, "log/", alice})
	a.want("UnresolvableGrantByEmailAddress", put(*a.bucket, types.TargetGrant{Permission: "READ", Grantee: &types.Grantee{Type: "AmazonCustomerByEmail", EmailAddress: aws.String("nobody@example.com")}}))
	a.want("MalformedXML", put(*a.bucket, types.TargetGrant{Permission: "READ_ACP", Grantee: &types.Grantee{Type: "CanonicalUser", ID: &root}}))
	_, err = a.s3.PutBucketLogging(a.ctx, &s3.PutBucketLoggingInput{Bucket: a.bucket, BucketLoggingStatus: &types.BucketLoggingStatus{}})
	a.ok(err)
	out, err = a.s3.GetBucketLogging(a.ctx, get)
	a.ok(err)
	a.same("no logging", out.LoggingEnabled == nil, true)
}
