package s3xml

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// documents are those that a bucket keeps. Each is written as it is read.
func documents() []Response {
	return []Response{new(CORSConfiguration), new(Tagging), new(LifecycleConfiguration), new(StoredLifecycle), new(ServerSideEncryptionConfiguration),
		new(OwnershipControls), new(PublicAccessBlock), new(RequestPaymentConfiguration), new(WebsiteConfiguration), new(NotificationConfiguration), new(BucketLoggingStatus)}
}

func corsOf(inside string) string {
	return "<CORSConfiguration><CORSRule>" + inside + "</CORSRule></CORSConfiguration>"
}

func encryptionOf(inside string) string {
	return "<ServerSideEncryptionConfiguration><Rule>" + inside + "</Rule></ServerSideEncryptionConfiguration>"
}

func byDefault(inside string) string {
	return encryptionOf("<ApplyServerSideEncryptionByDefault>" + inside + "</ApplyServerSideEncryptionByDefault>")
}

func website(inside string) string {
	return "<WebsiteConfiguration>" + inside + "</WebsiteConfiguration>"
}

func routing(inside string) string {
	return website("<IndexDocument><Suffix>i</Suffix></IndexDocument><RoutingRules><RoutingRule>" + inside + "</RoutingRule></RoutingRules>")
}

func notify(queues ...string) string {
	return "<NotificationConfiguration><QueueConfiguration>" + strings.Join(queues, "</QueueConfiguration><QueueConfiguration>") + "</QueueConfiguration></NotificationConfiguration>"
}

const hook = "<Queue>arn:ironman:sqs::hook:webhook</Queue>"

// created tells a queue of new objects whose keys have a prefix and a suffix.
func created(event, prefix, suffix string) string {
	return hook + "<Event>s3:ObjectCreated:" + event + "</Event><Filter><S3Key><FilterRule><Name>prefix</Name><Value>" + prefix +
		"</Value></FilterRule><FilterRule><Name>Suffix</Name><Value>" + suffix + "</Value></FilterRule></S3Key></Filter>"
}

func logging(inside string) string {
	return "<BucketLoggingStatus><LoggingEnabled><TargetBucket>b</TargetBucket><TargetPrefix/>" + inside + "</LoggingEnabled></BucketLoggingStatus>"
}

func TestDocuments(t *testing.T) {
	get, any := "<AllowedMethod>GET</AllowedMethod>", "<AllowedOrigin>*</AllowedOrigin>"
	grant := `<TargetGrants><Grant><Grantee` + xsi + ` xsi:type="Group"><URI>u</URI></Grantee><Permission>%s</Permission></Grant></TargetGrants>`
	for _, tc := range []struct {
		doc  string
		into Response
		want string // code; empty: accepted
	}{
		{corsOf(get + any), new(CORSConfiguration), ""},
		{corsOf(get + "<AllowedOrigin>http://*.example.com:8080</AllowedOrigin><AllowedHeader>*</AllowedHeader><MaxAgeSeconds>0</MaxAgeSeconds><ID>x</ID>"), new(CORSConfiguration), ""},
		{"<CORSConfiguration/>", new(CORSConfiguration), "MalformedXML"},
		{corsOf(get), new(CORSConfiguration), "MalformedXML"},
		{corsOf(any), new(CORSConfiguration), "MalformedXML"},
		{corsOf(get + "<AllowedOrigin/>"), new(CORSConfiguration), "MalformedXML"},
		{corsOf(any + "<AllowedMethod>get</AllowedMethod>"), new(CORSConfiguration), "InvalidRequest"},
		{corsOf(any + "<AllowedMethod>OPTIONS</AllowedMethod>"), new(CORSConfiguration), "InvalidRequest"},
		{corsOf(get + "<AllowedOrigin>a b</AllowedOrigin>"), new(CORSConfiguration), "InvalidRequest"},
		{corsOf(get + any + "<AllowedHeader>x-*-*</AllowedHeader>"), new(CORSConfiguration), "InvalidRequest"},
		{corsOf(get + any + "<AllowedHeader>a:b</AllowedHeader>"), new(CORSConfiguration), "InvalidRequest"},
		{corsOf(get + any + "<ExposeHeader>x-*</ExposeHeader>"), new(CORSConfiguration), "InvalidRequest"},
		{corsOf(get + any + "<ExposeHeader/>"), new(CORSConfiguration), "InvalidRequest"},
		{corsOf(get + any + "<MaxAgeSeconds>-1</MaxAgeSeconds>"), new(CORSConfiguration), "MalformedXML"},
		{corsOf(get + any + "<MaxAgeSeconds>99999999999999999999</MaxAgeSeconds>"), new(CORSConfiguration), "MalformedXML"},
		{corsOf(get + any + "<ID>" + strings.Repeat("i", 256) + "</ID>"), new(CORSConfiguration), "InvalidArgument"},
		{corsOf("<ID>a</ID>" + get + any + "</CORSRule><CORSRule><ID>a</ID>" + get + any), new(CORSConfiguration), "InvalidRequest"},
		{"<CORSConfiguration>" + strings.Repeat("<CORSRule>"+get+any+"</CORSRule>", 100) + "</CORSConfiguration>", new(CORSConfiguration), ""},
		{"<CORSConfiguration>" + strings.Repeat("<CORSRule>"+get+any+"</CORSRule>", 101) + "</CORSConfiguration>", new(CORSConfiguration), "InvalidRequest"},

		{byDefault("<SSEAlgorithm>AES256</SSEAlgorithm>"), new(ServerSideEncryptionConfiguration), ""},
		{byDefault("<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID>"), new(ServerSideEncryptionConfiguration), ""},
		{byDefault("<SSEAlgorithm>AES256</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID>"), new(ServerSideEncryptionConfiguration), "InvalidArgument"},
		{byDefault("<SSEAlgorithm>aws:kms:dsse</SSEAlgorithm>"), new(ServerSideEncryptionConfiguration), "NotImplemented"},
		{byDefault("<SSEAlgorithm>DES</SSEAlgorithm>"), new(ServerSideEncryptionConfiguration), "MalformedXML"},
		{byDefault(""), new(ServerSideEncryptionConfiguration), "MalformedXML"},
		{encryptionOf(""), new(ServerSideEncryptionConfiguration), "MalformedXML"},
		{encryptionOf("<BucketKeyEnabled>true</BucketKeyEnabled>"), new(ServerSideEncryptionConfiguration), ""},
		{encryptionOf("<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>"), new(ServerSideEncryptionConfiguration), ""},
		{encryptionOf("<BlockedEncryptionTypes><EncryptionType>SSE-S3</EncryptionType></BlockedEncryptionTypes>"), new(ServerSideEncryptionConfiguration), "MalformedXML"},
		{encryptionOf("<BlockedEncryptionTypes><EncryptionType>NONE</EncryptionType><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>"), new(ServerSideEncryptionConfiguration), "MalformedXML"},
		{encryptionOf("<ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>"), new(ServerSideEncryptionConfiguration), ""},

		{"<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>", new(OwnershipControls), ""},
		{"<OwnershipControls><Rule><ObjectOwnership>Nobody</ObjectOwnership></Rule></OwnershipControls>", new(OwnershipControls), "MalformedXML"},
		{"<OwnershipControls/>", new(OwnershipControls), "MalformedXML"},
		{"<OwnershipControls>" + strings.Repeat("<Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule>", 2) + "</OwnershipControls>", new(OwnershipControls), "MalformedXML"},
		{"<PublicAccessBlockConfiguration/>", new(PublicAccessBlock), ""},
		{"<PublicAccessBlockConfiguration><BlockPublicAcls>TRUE</BlockPublicAcls></PublicAccessBlockConfiguration>", new(PublicAccessBlock), ""},
		{"<PublicAccessBlockConfiguration><BlockPublicAcls>yes</BlockPublicAcls></PublicAccessBlockConfiguration>", new(PublicAccessBlock), "MalformedXML"},
		{"<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>", new(RequestPaymentConfiguration), ""},
		{"<RequestPaymentConfiguration/>", new(RequestPaymentConfiguration), "MalformedXML"},

		{website("<IndexDocument><Suffix>index.html</Suffix></IndexDocument>"), new(WebsiteConfiguration), ""},
		{website("<RedirectAllRequestsTo><HostName>h</HostName><Protocol>https</Protocol></RedirectAllRequestsTo>"), new(WebsiteConfiguration), ""},
		{website(""), new(WebsiteConfiguration), "InvalidArgument"},
		{website("<IndexDocument><Suffix>a/b</Suffix></IndexDocument>"), new(WebsiteConfiguration), "InvalidArgument"},
		{website("<IndexDocument><Suffix>i</Suffix></IndexDocument><ErrorDocument><Key/></ErrorDocument>"), new(WebsiteConfiguration), "InvalidArgument"},
		{website("<IndexDocument><Suffix>i</Suffix></IndexDocument><RedirectAllRequestsTo><HostName>h</HostName></RedirectAllRequestsTo>"), new(WebsiteConfiguration), "InvalidArgument"},
		{website("<IndexDocument><Suffix>i</Suffix></IndexDocument><RoutingRules/>"), new(WebsiteConfiguration), "MalformedXML"},
		{routing("<Redirect><HostName>h</HostName></Redirect>"), new(WebsiteConfiguration), ""},
		{routing("<Condition><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition><Redirect><ReplaceKeyWith/></Redirect>"), new(WebsiteConfiguration), ""},
		{routing("<Redirect/>"), new(WebsiteConfiguration), "MalformedXML"},
		{routing("<Condition/><Redirect><HostName>h</HostName></Redirect>"), new(WebsiteConfiguration), "InvalidRequest"},
		{routing("<Condition><HttpErrorCodeReturnedEquals>200</HttpErrorCodeReturnedEquals></Condition><Redirect><HostName>h</HostName></Redirect>"), new(WebsiteConfiguration), "InvalidRequest"},
		{routing("<Redirect><HttpRedirectCode>300</HttpRedirectCode></Redirect>"), new(WebsiteConfiguration), "InvalidRequest"},
		{routing("<Redirect><ReplaceKeyWith>a</ReplaceKeyWith><ReplaceKeyPrefixWith>b</ReplaceKeyPrefixWith></Redirect>"), new(WebsiteConfiguration), "InvalidRequest"},
		{routing("<Redirect><HostName>a/b</HostName></Redirect>"), new(WebsiteConfiguration), "InvalidRequest"},
		{routing("<Redirect><Protocol>ftp</Protocol></Redirect>"), new(WebsiteConfiguration), "InvalidRequest"},

		{"<NotificationConfiguration/>", new(NotificationConfiguration), ""},
		{notify(created("*", "a", "")), new(NotificationConfiguration), ""},
		{notify(hook), new(NotificationConfiguration), "MalformedXML"},
		{notify("<Event>s3:ObjectCreated:*</Event>"), new(NotificationConfiguration), "MalformedXML"},
		{notify(hook + "<Event>s3:Everything</Event>"), new(NotificationConfiguration), "InvalidArgument"},
		{notify("<Queue>nonsense</Queue><Event>s3:ObjectCreated:*</Event>"), new(NotificationConfiguration), "InvalidArgument"},
		{notify("<Queue>arn:ironman:sns::hook:webhook</Queue><Event>s3:ObjectCreated:*</Event>"), new(NotificationConfiguration), "InvalidArgument"},
		{notify("<Topic>arn:ironman:sns::hook:webhook</Topic><Event>s3:ObjectCreated:*</Event>"), new(NotificationConfiguration), "MalformedXML"},
		{notify("<Queue>arn:ironman:sqs::../x:webhook</Queue><Event>s3:ObjectCreated:*</Event>"), new(NotificationConfiguration), "InvalidArgument"},
		{notify("<Id>a</Id>"+created("Put", "a", ""), "<Id>a</Id>"+created("Put", "b", "")), new(NotificationConfiguration), "InvalidArgument"},
		{notify(created("Put", "a", ""), created("Put", "b", "")), new(NotificationConfiguration), ""},
		{notify(created("Put", "a", ""), created("Copy", "a", "")), new(NotificationConfiguration), ""},
		{notify(created("Put", "a", ""), created("*", "ab", "")), new(NotificationConfiguration), "InvalidArgument"},
		{notify(created("Put", "a", "jpg"), created("Put", "ab", "png")), new(NotificationConfiguration), ""},
		{notify(created("Put", "a", "jpg"), created("Put", "ab", "g")), new(NotificationConfiguration), "InvalidArgument"},
		{notify(hook+"<Event>s3:ObjectRemoved:*</Event>", hook+"<Event>s3:ObjectRemoved:Delete</Event>"), new(NotificationConfiguration), "InvalidArgument"},
		{notify(strings.Replace(created("Put", "a", "b"), "Suffix", "PREFIX", 1)), new(NotificationConfiguration), "InvalidArgument"},
		{notify(strings.Replace(created("Put", "a", "b"), "Suffix", "middle", 1)), new(NotificationConfiguration), "InvalidArgument"},
		{notify(created("Put", strings.Repeat("a", 1025), "")), new(NotificationConfiguration), "InvalidArgument"},
		{"<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>", new(NotificationConfiguration), "NotImplemented"},

		{"<BucketLoggingStatus/>", new(BucketLoggingStatus), ""},
		{logging(""), new(BucketLoggingStatus), ""},
		{logging(fmt.Sprintf(grant, "READ")), new(BucketLoggingStatus), ""},
		{logging(fmt.Sprintf(grant, "READ_ACP")), new(BucketLoggingStatus), "MalformedXML"},
		{logging("<TargetObjectKeyFormat><SimplePrefix/></TargetObjectKeyFormat>"), new(BucketLoggingStatus), ""},
		{logging("<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>EventTime</PartitionDateSource></PartitionedPrefix></TargetObjectKeyFormat>"), new(BucketLoggingStatus), ""},
		{logging("<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>kaboom</PartitionDateSource></PartitionedPrefix></TargetObjectKeyFormat>"), new(BucketLoggingStatus), "MalformedXML"},
		{logging("<TargetObjectKeyFormat/>"), new(BucketLoggingStatus), "MalformedXML"},
		{"<BucketLoggingStatus><LoggingEnabled><TargetPrefix/></LoggingEnabled></BucketLoggingStatus>", new(BucketLoggingStatus), "MalformedXML"},
	} {
		err := Decode(strings.NewReader(tc.doc), MaxBody, tc.into)
		var e *Error
		if code := ""; errors.As(err, &e) {
			if code = e.Code; code != tc.want {
				t.Errorf("%.300s: %v, want %q", tc.doc, err, tc.want)
			}
		} else if err != nil || tc.want != "" {
			t.Errorf("%.300s: %v, want %q", tc.doc, err, tc.want)
		}
		if err == nil {
			roundTrip(t, tc.doc, tc.into)
		}
	}
}

// roundTrip: what is written is read as the same, and written so again.
func roundTrip(t *testing.T, doc string, v Response) {
	t.Helper()
	written := string(Encode(v))
	again := reflect.New(reflect.TypeOf(v).Elem()).Interface().(Response)
	if err := Decode(strings.NewReader(written), MaxBody, again); err != nil {
		t.Fatalf("%.300s is written as %s: %v", doc, written, err)
	}
	if rewritten := string(Encode(again)); rewritten != written {
		t.Fatalf("%.300s is written as %s and then as %s", doc, written, rewritten)
	}
}

// FuzzDocuments: whatever is accepted can be kept in its written form.
func FuzzDocuments(f *testing.F) {
	f.Add(corsOf("<AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin>"))
	f.Add(byDefault("<SSEAlgorithm>AES256</SSEAlgorithm>"))
	f.Add(website("<IndexDocument><Suffix>index.html</Suffix></IndexDocument>"))
	f.Add(routing("<Redirect><HostName>h</HostName></Redirect>"))
	f.Add(notify(created("*", "a", "b")))
	f.Add(logging("<TargetObjectKeyFormat><SimplePrefix/></TargetObjectKeyFormat>"))
	f.Add("<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>")
	f.Add("<LifecycleConfiguration><Rule><Filter><And><Prefix>a</Prefix><ObjectSizeLessThan>5</ObjectSizeLessThan></And></Filter><Status>Enabled</Status><Expiration><Date>2030-01-01</Date></Expiration></Rule></LifecycleConfiguration>")
	f.Add("<LifecycleConfiguration><Rule><Status/></Rule><TransitionDefaultMinimumObjectSize>x</TransitionDefaultMinimumObjectSize></LifecycleConfiguration>")
	f.Fuzz(func(t *testing.T, doc string) {
		for _, v := range documents() {
			if Decode(strings.NewReader(doc), MaxBody, v) == nil {
				roundTrip(t, doc, v)
			}
		}
	})
}
