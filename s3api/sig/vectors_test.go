package sig

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The examples of "Examples: Signature Calculations in AWS Signature Version 4" and
// "Authenticating Requests: Using Query Parameters" of the S3 API Reference.
func TestAmazonV4Examples(t *testing.T) {
	const scope = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"
	const empty = "x-amz-content-sha256: " + emptySHA256 + "\r\nx-amz-date: 20130524T000000Z\r\n"
	auth := func(signed, signature string) string {
		return "Authorization: AWS4-HMAC-SHA256 Credential=" + scope + ",SignedHeaders=" + signed + ",Signature=" + signature + "\r\n"
	}
	const host = " HTTP/1.1\r\nHost: examplebucket.s3.amazonaws.com\r\n"
	for _, c := range []struct{ name, wire, body string }{
		{"GET object", "GET /test.txt" + host + "Range: bytes=0-9\r\n" + empty +
			auth("host;range;x-amz-content-sha256;x-amz-date", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41") + "\r\n", ""},
		{"PUT object", "PUT /test%24file.text" + host + "Date: Fri, 24 May 2013 00:00:00 GMT\r\nContent-Length: 21\r\n" +
			"x-amz-date: 20130524T000000Z\r\nx-amz-storage-class: REDUCED_REDUNDANCY\r\n" +
			"x-amz-content-sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072\r\n" +
			auth("date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd") +
			"\r\nWelcome to Amazon S3.", "Welcome to Amazon S3."},
		{"PUT object, $ as it is", "PUT /test$file.text" + host + "Date: Fri, 24 May 2013 00:00:00 GMT\r\nContent-Length: 21\r\n" +
			"x-amz-date: 20130524T000000Z\r\nx-amz-storage-class: REDUCED_REDUNDANCY\r\n" +
			"x-amz-content-sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072\r\n" +
			auth("date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd") +
			"\r\nWelcome to Amazon S3.", "Welcome to Amazon S3."},
		{"GET lifecycle", "GET /?lifecycle" + host + empty +
			auth("host;x-amz-content-sha256;x-amz-date", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543") + "\r\n", ""},
		{"list", "GET /?max-keys=2&prefix=J" + host + empty +
			auth("host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7") + "\r\n", ""},
		{"presigned", "GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
			"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host" +
			"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404" + host + "\r\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, body, _, err := readAll(verifierOf(exampleCredential(), exampleTime), received(t, c.wire))
			if err != nil || string(body) != c.body || id.AccessKey != exampleKey {
				t.Fatalf("%+v %q %v", id, body, err)
			}
		})
	}
}

const chunkedHead = "PUT /examplebucket/chunkObject.txt HTTP/1.1\r\nHost: s3.amazonaws.com\r\nx-amz-date: 20130524T000000Z\r\n" +
	"x-amz-storage-class: REDUCED_REDUNDANCY\r\nContent-Encoding: aws-chunked\r\nx-amz-decoded-content-length: 66560\r\n"

// "Transferring Payload in Multiple Chunks", the example.
func TestAmazonChunkedExample(t *testing.T) {
	wire := chunkedHead + "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\r\nContent-Length: 66824\r\n" +
		"Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request," +
		"SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class," +
		"Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9\r\n\r\n" +
		"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + strings.Repeat("a", 65536) + "\r\n" +
		"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + strings.Repeat("a", 1024) + "\r\n" +
		"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
	id, body, _, err := readAll(verifierOf(exampleCredential(), exampleTime), received(t, wire))
	if err != nil || !bytes.Equal(body, bytes.Repeat([]byte("a"), 66560)) || id.DecodedLength != 66560 {
		t.Fatalf("%+v %d %v", id, len(body), err)
	}
}

// "Including Trailing Headers", the example. Amazon ends the line of the trailer with
// \n\r\n in its text, the SDKs with \r\n.
func TestAmazonTrailerExample(t *testing.T) {
	for _, end := range []string{"\r\n", "\n\r\n"} {
		body := "10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n" + strings.Repeat("a", 65536) + "\r\n" +
			"400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n" + strings.Repeat("a", 1024) + "\r\n" +
			"0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n" +
			"x-amz-checksum-crc32c:sOO8/Q==" + end +
			"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
		wire := chunkedHead + "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER\r\nx-amz-trailer: x-amz-checksum-crc32c\r\n" +
			"Transfer-Encoding: chunked\r\n" +
			"Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request," +
			"SignedHeaders=content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer," +
			"Signature=106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e\r\n\r\n" + chunkedTransfer(body)
		_, got, trailer, err := readAll(verifierOf(exampleCredential(), exampleTime), received(t, wire))
		if err != nil || len(got) != 66560 || trailer.Get("x-amz-checksum-crc32c") != "sOO8/Q==" {
			t.Fatalf("%d %v %v", len(got), trailer, err)
		}
	}
}

// The examples of "Signing and Authenticating REST Requests".
func TestAmazonV2Examples(t *testing.T) {
	at := func(s string) time.Time {
		d, err := time.Parse(time.RFC1123Z, s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	const host = " HTTP/1.1\r\nHost: johnsmith.s3.amazonaws.com\r\n"
	for _, c := range []struct{ name, date, head, signature string }{
		{"object GET", "Tue, 27 Mar 2007 19:36:42 +0000", "GET /photos/puppy.jpg" + host, "bWq2s1WEIj+Ydj0vQ697zp+IXMU="},
		{"object PUT", "Tue, 27 Mar 2007 21:15:45 +0000", "PUT /photos/puppy.jpg" + host +
			"Content-Type: image/jpeg\r\nContent-Length: 94328\r\n", "MyyxeRY7whkBe+bq8fHCL/2kKUg="},
		{"list", "Tue, 27 Mar 2007 19:42:41 +0000", "GET /?prefix=photos&max-keys=50&marker=puppy" + host, "htDYFYduRNen8P9ZfE/s9SuKy0U="},
		{"fetch", "Tue, 27 Mar 2007 19:44:46 +0000", "GET /?acl" + host, "c2WLPFtWHVgbEmeEG93a4cG37dM="},
		{"delete", "Tue, 27 Mar 2007 21:20:26 +0000", "DELETE /johnsmith/photos/puppy.jpg HTTP/1.1\r\nHost: s3.amazonaws.com\r\n", "lx3byBScXR6KzyMaifNkardMwNk="},
		{"upload", "Tue, 27 Mar 2007 21:06:08 +0000", "PUT /db-backup.dat.gz HTTP/1.1\r\nHost: static.johnsmith.net:8080\r\n" +
			"x-amz-acl: public-read\r\ncontent-type: application/x-download\r\nContent-MD5: 4gJE4saaMU4BqNR0kLY+lw==\r\n" +
			"X-Amz-Meta-ReviewedBy: joe@johnsmith.net\r\nX-Amz-Meta-ReviewedBy: jane@johnsmith.net\r\n" +
			"X-Amz-Meta-FileChecksum: 0x02661779\r\nX-Amz-Meta-ChecksumAlgorithm: crc32\r\n" +
			"Content-Disposition: attachment; filename=database.dat\r\nContent-Encoding: gzip\r\nContent-Length: 5913339\r\n", "ilyl83RwaSoYIEdixDQcA4OnAnc="},
		{"list all my buckets", "Wed, 28 Mar 2007 01:29:59 +0000", "GET / HTTP/1.1\r\nHost: s3.amazonaws.com\r\n", "qGdzdERIC03wnaRNKh6OqZehG9s="},
		{"unicode keys", "Wed, 28 Mar 2007 01:49:49 +0000", "GET /dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re HTTP/1.1\r\nHost: s3.amazonaws.com\r\n", "DNEZGsoieTZ92F3bUfSPQcbGmlM="},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := verifierOf(exampleCredential(), at(c.date))
			v.VirtualHost = func(host string) (string, bool) {
				switch host {
				case "johnsmith.s3.amazonaws.com":
					return "johnsmith", true
				case "static.johnsmith.net:8080":
					return "static.johnsmith.net", true
				}
				return "", false
			}
			r := received(t, c.head+"Date: "+c.date+"\r\nAuthorization: AWS AKIAIOSFODNN7EXAMPLE:"+c.signature+"\r\n\r\n")
			id, err := v.Verify(context.Background(), r)
			if err != nil || id.Form != FormV2Header {
				t.Fatalf("%+v %v", id, err)
			}
			r.Header.Del("Authorization")
			bucket, _ := v.VirtualHost(r.Host)
			if err := SignV2(r, exampleCredential(), bucket, exampleTime); err != nil {
				t.Fatal(err)
			}
			if got := r.Header.Get("Authorization"); got != "AWS AKIAIOSFODNN7EXAMPLE:"+c.signature {
				t.Fatalf("SignV2: %s", got)
			}
		})
	}
}

func TestAmazonV2QueryExample(t *testing.T) {
	const wire = "GET /photos/puppy.jpg?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620 HTTP/1.1\r\n" +
		"Host: johnsmith.s3.amazonaws.com\r\nDate: Mon, 26 Mar 2007 19:37:58 +0000\r\n\r\n"
	until := time.Unix(1175139620, 0)
	id, err := verifierOf(exampleCredential(), until).Verify(context.Background(), received(t, wire))
	if err != nil || id.Form != FormV2Query || !id.Expires.Equal(until) {
		t.Fatalf("%+v %v", id, err)
	}
	_, err = verifierOf(exampleCredential(), until.Add(time.Second)).Verify(context.Background(), received(t, wire))
	if e := wantCode(t, err, CodeAccessDenied); e.Message != "Request has expired" {
		t.Fatal(e)
	}
}

// Our own signer makes Amazon's presigned URL.
func TestPresignV4MakesAmazonsExample(t *testing.T) {
	r := newRequest(t, http.MethodGet, "https://examplebucket.s3.amazonaws.com/test.txt", "")
	if err := PresignV4(r, exampleCredential(), "us-east-1", 24*time.Hour, exampleTime); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(r.URL.RawQuery, "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404") {
		t.Fatal(r.URL.RawQuery)
	}
}

// Our own encoder makes Amazon's chunks.
func TestSignV4StreamMakesAmazonsChunks(t *testing.T) {
	for _, c := range []struct {
		kind    PayloadKind
		trailer string
		want    []string
	}{
		{PayloadStreamSigned, "", []string{
			"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
			"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
			"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"}},
		{PayloadStreamSignedTrailer, "x-amz-checksum-crc32c", []string{
			"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
			"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
			"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
			"d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"}},
	} {
		seed := &chunkSeed{
			key:  deriveKey(NewSecret(exampleSecret), "20130524", "us-east-1", "s3"),
			time: "20130524T000000Z", scope: "20130524/us-east-1/s3/aws4_request",
			signature: "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
		}
		if c.trailer != "" {
			seed.signature = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
		}
		chain := newChain(seed)
		for i, n := range []int{65536, 1024, 0} {
			chain.data.Write(bytes.Repeat([]byte("a"), n))
			if got := chain.next(); string(got[:]) != c.want[i] {
				t.Fatalf("chunk %d: %s", i, got)
			}
		}
		if c.trailer != "" {
			chain.data.Write([]byte("x-amz-checksum-crc32c:sOO8/Q==\n"))
			if got := chain.trailer(); string(got[:]) != c.want[3] {
				t.Fatalf("trailer: %s", got)
			}
		}
	}
}
