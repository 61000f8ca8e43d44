package s3xml

import (
	"math"
	"strings"
	"time"
)

// EncodingURL is the only value of EncodingType.
const EncodingURL = "url"

const timeLayout = "2006-01-02T15:04:05.000Z"

// Time is nanoseconds since the Unix epoch. Amazon's clock has whole seconds in
// every header, so its fraction is written as .000 here too: both then agree.
type Time int64

func (t Time) append(dst []byte) []byte {
	seconds := int64(t) / int64(time.Second)
	if int64(t)%int64(time.Second) < 0 {
		seconds--
	}
	return time.Unix(seconds, 0).UTC().AppendFormat(dst, timeLayout)
}

// MarshalText writes t in ISO 8601, UTC.
func (t Time) MarshalText() ([]byte, error) { return t.append(nil), nil }

// UnmarshalText reads ISO 8601 with or without a fraction.
func (t *Time) UnmarshalText(text []byte) error {
	at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(string(text)))
	*t = Time(Nanoseconds(at))
	return err
}

// LastTime is the last whole second that nanoseconds since the Unix epoch can tell, in
// April 2262.
const LastTime = math.MaxInt64 / second * second

const second = int64(time.Second)

// Nanoseconds are those since the Unix epoch, at most LastTime: a time beyond it must
// not become one before it.
func Nanoseconds(at time.Time) int64 {
	switch s := at.Unix(); {
	case s >= LastTime/second:
		return LastTime
	case s <= -LastTime/second:
		return -LastTime
	}
	return at.UnixNano()
}

// HTTPTime is seconds since the Unix epoch, in a request that spells a time as
// HTTP headers do. ISO 8601 is read as well.
type HTTPTime int64

// UnmarshalText reads RFC 9110's IMF-fixdate or ISO 8601.
func (t *HTTPTime) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	at, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", s)
	if err != nil {
		at, err = time.Parse(time.RFC3339Nano, s)
	}
	*t = HTTPTime(at.Unix())
	return err
}

// MarshalText writes t as an HTTP header would.
func (t HTTPTime) MarshalText() ([]byte, error) {
	return time.Unix(int64(t), 0).UTC().AppendFormat(nil, "Mon, 02 Jan 2006 15:04:05 GMT"), nil
}

// ETag is an entity tag without its quotes. It is written with them, and read
// with or without.
type ETag string

// MarshalText puts e in quotes.
func (e ETag) MarshalText() ([]byte, error) { return []byte(`"` + string(e) + `"`), nil }

// UnmarshalText takes one pair of quotes off.
func (e *ETag) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	*e = ETag(s)
	return nil
}

// Owner is an account, or (as Initiator) a principal.
type Owner struct {
	ID          string `xml:"ID"`
	DisplayName string `xml:"DisplayName,omitempty"`
}

func (o *Owner) append(dst []byte, name string) []byte {
	if o == nil {
		return dst
	}
	dst = appendString(open(dst, name), "ID", o.ID)
	return shut(appendSome(dst, "DisplayName", o.DisplayName), name)
}

// Checksums are base64 as in the headers x-amz-checksum-*; empty ones are absent.
// The store computes CRC32, CRC32C, CRC64NVME, SHA1 and SHA256; the others are
// known by name, so that a request which repeats them is not malformed.
type Checksums struct {
	ChecksumCRC32     string `xml:",omitempty"`
	ChecksumCRC32C    string `xml:",omitempty"`
	ChecksumCRC64NVME string `xml:",omitempty"`
	ChecksumMD5       string `xml:",omitempty"`
	ChecksumSHA1      string `xml:",omitempty"`
	ChecksumSHA256    string `xml:",omitempty"`
	ChecksumSHA512    string `xml:",omitempty"`
	ChecksumXXHASH128 string `xml:",omitempty"`
	ChecksumXXHASH3   string `xml:",omitempty"`
	ChecksumXXHASH64  string `xml:",omitempty"`
}

func (c *Checksums) append(dst []byte) []byte {
	dst = appendSome(dst, "ChecksumCRC32", c.ChecksumCRC32)
	dst = appendSome(dst, "ChecksumCRC32C", c.ChecksumCRC32C)
	dst = appendSome(dst, "ChecksumCRC64NVME", c.ChecksumCRC64NVME)
	dst = appendSome(dst, "ChecksumMD5", c.ChecksumMD5)
	dst = appendSome(dst, "ChecksumSHA1", c.ChecksumSHA1)
	dst = appendSome(dst, "ChecksumSHA256", c.ChecksumSHA256)
	dst = appendSome(dst, "ChecksumSHA512", c.ChecksumSHA512)
	dst = appendSome(dst, "ChecksumXXHASH128", c.ChecksumXXHASH128)
	dst = appendSome(dst, "ChecksumXXHASH3", c.ChecksumXXHASH3)
	return appendSome(dst, "ChecksumXXHASH64", c.ChecksumXXHASH64)
}
