package accesslog

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// Source is a bucket whose requests are logged, and the configuration by which they are.
// It is comparable: what is equal goes to the same place.
type Source struct {
	Bucket uint64 // its id
	Name   string
	Owner  string // canonical id
	// Config is the text of the bucket's logging document.
	Config string
}

// Entry is what one line says. The zero value of a text means that there is none.
type Entry struct {
	BucketOwner, Bucket string
	Time                time.Time // when the request came
	RemoteIP            string
	Requester           string // a canonical id, or the ARN of a user or session
	RequestID           string
	Operation           string
	Key                 string
	// Method, Target and Protocol are the request line. No method: the entry tells of a
	// part of what a request did, and says nothing that only a request has.
	Method, Target, Protocol string
	Status                   int // 0: there was no answer
	ErrorCode                string
	BytesSent                int64
	ObjectSize               int64 // below 0: there is no object
	// TotalTime is from the request's first byte to the answer's last one, TurnAround from
	// the request's last byte to the answer's first one. Below 0: it is not known.
	TotalTime, TurnAround                              time.Duration
	Referer, UserAgent                                 string
	VersionID                                          string // that the request names
	HostID                                             string
	SignatureVersion, CipherSuite, AuthType, Host, TLS string
	// ACLRequired: a grant of an access control list is what allowed it.
	ACLRequired bool
}

// Part is an entry for a part of what the request did: a key that it deleted, the object
// that it copied from.
func (e *Entry) Part(operation, key, version string, status int, code string, size int64) *Entry {
	p := *e
	p.Operation, p.Key, p.VersionID, p.Status, p.ErrorCode, p.ObjectSize = operation, key, version, status, code, size
	p.Method, p.Target, p.Protocol, p.Referer, p.UserAgent = "", "", "", "", ""
	p.BytesSent, p.TotalTime, p.TurnAround, p.ACLRequired = 0, -1, -1, false
	return &p
}

// Append appends the line, with its end.
func (e *Entry) Append(dst []byte) []byte {
	dst = appendField(dst, e.BucketOwner)
	dst = appendField(dst, e.Bucket)
	dst = e.Time.UTC().AppendFormat(dst, "[02/Jan/2006:15:04:05 +0000] ")
	dst = appendField(dst, e.RemoteIP)
	dst = appendField(dst, e.Requester)
	dst = appendField(dst, e.RequestID)
	dst = appendField(dst, e.Operation)
	dst = appendKey(dst, e.Key)
	dst = e.appendRequestLine(dst)
	dst = appendNumber(dst, int64(e.Status), e.Status > 0)
	dst = appendField(dst, e.ErrorCode)
	dst = appendNumber(dst, e.BytesSent, e.BytesSent > 0)
	dst = appendNumber(dst, e.ObjectSize, e.ObjectSize >= 0)
	dst = appendNumber(dst, e.TotalTime.Milliseconds(), e.TotalTime >= 0)
	dst = appendNumber(dst, e.TurnAround.Milliseconds(), e.TurnAround >= 0)
	dst = e.appendQuoted(dst, redact(e.Referer))
	dst = e.appendQuoted(dst, e.UserAgent)
	dst = appendKey(dst, e.VersionID)
	for _, f := range [...]string{e.HostID, e.SignatureVersion, e.CipherSuite, e.AuthType, e.Host, e.TLS} {
		dst = appendField(dst, f)
	}
	dst = append(dst, "- "...) // there are no access points
	if e.ACLRequired {
		return append(dst, "Yes\n"...)
	}
	return append(dst, "-\n"...)
}

func (e *Entry) appendRequestLine(dst []byte) []byte {
	if e.Method == "" {
		return append(dst, "- "...)
	}
	dst = append(dst, '"')
	dst = appendText(dst, e.Method, false)
	dst = append(dst, ' ')
	dst = appendText(dst, redact(e.Target), false)
	dst = append(dst, ' ')
	dst = appendText(dst, e.Protocol, false)
	return append(dst, `" `...)
}

// appendQuoted appends a header of the request.
func (e *Entry) appendQuoted(dst []byte, s string) []byte {
	switch {
	case e.Method == "":
		return append(dst, "- "...)
	case s == "":
		return append(dst, `"-" `...)
	}
	return append(appendText(append(dst, '"'), s, true), `" `...)
}

func appendField(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "- "...)
	}
	return append(appendText(dst, s, false), ' ')
}

func appendNumber(dst []byte, n int64, known bool) []byte {
	if !known {
		return append(dst, "- "...)
	}
	return append(strconv.AppendInt(dst, n, 10), ' ')
}

// appendKey appends a key, or a version's id, percent-encoded; slashes stand for
// themselves.
func appendKey(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "- "...)
	}
	plain := 0 // what stands for itself begins there
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-' && len(s) > 1, c == '.', c == '_', c == '~', c == '/':
		default:
			dst = appendEscape(append(dst, s[plain:i]...), c)
			plain = i + 1
		}
	}
	return append(append(dst, s[plain:]...), ' ')
}

// appendText appends what a client sent. What could end a field or a quotation, or mean
// more to who reads the line, is percent-encoded: quotes, backslashes, control characters,
// and what is no UTF-8.
func appendText(dst []byte, s string, spaces bool) []byte {
	plain := 0
	for i := 0; i < len(s); {
		n, stands := 1, false
		if c := s[i]; c < utf8.RuneSelf {
			stands = c > ' ' && c != '"' && c != '\\' && c != 0x7f || c == ' ' && spaces
		} else {
			var r rune
			r, n = utf8.DecodeRuneInString(s[i:])
			stands = (r != utf8.RuneError || n > 1) && r >= 0xa0 && r != 0x2028 && r != 0x2029
		}
		if !stands {
			dst = append(dst, s[plain:i]...)
			for _, c := range []byte(s[i : i+n]) {
				dst = appendEscape(dst, c)
			}
			plain = i + n
		}
		i += n
	}
	return append(dst, s[plain:]...)
}

func appendEscape(dst []byte, c byte) []byte {
	const digits = "0123456789ABCDEF"
	return append(dst, '%', digits[c>>4], digits[c&15])
}
