package sig

import (
	"net/http"
	"time"
)

// MaxSkew is how far the time of a request may be from the server's, either way.
const MaxSkew = 15 * time.Minute

const (
	isoTime = "20060102T150405Z" // ISO 8601 basic: x-amz-date
	isoDate = "20060102"         // the date of a credential scope
)

// parseISO reads 20130524T000000Z and nothing else. (time.Parse would also take
// fractions of a second, and is slow.)
func parseISO(s string) (time.Time, bool) {
	if len(s) != len(isoTime) || s[8] != 'T' || s[15] != 'Z' {
		return time.Time{}, false
	}
	var f [6]int
	at := 0
	for i, width := range [...]int{4, 2, 2, 2, 2, 2} {
		if i == 3 {
			at++ // T
		}
		for range width {
			c := s[at]
			if c < '0' || c > '9' {
				return time.Time{}, false
			}
			f[i] = f[i]*10 + int(c-'0')
			at++
		}
	}
	t := time.Date(f[0], time.Month(f[1]), f[2], f[3], f[4], f[5], 0, time.UTC)
	// Date carries over what is too much: then the month or the day is another.
	ok := t.Month() == time.Month(f[1]) && t.Day() == f[2] && f[3] < 24 && f[4] < 60 && f[5] < 60
	return t, ok
}

// parseDate reads any form of date that S3 takes in a Date or x-amz-date header:
// ISO 8601 basic, the three forms of RFC 9110, and RFC 1123 with a numeric zone.
// A date before 1970 is no date.
func parseDate(s string) (time.Time, bool) {
	t, ok := parseISO(s)
	if !ok {
		for _, layout := range [...]string{
			http.TimeFormat, "Mon, 2 Jan 2006 15:04:05 -0700", "Mon, 2 Jan 2006 15:04:05 GMT",
			"Mon, 2 Jan 2006 15:04:05 UTC", "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC,
		} {
			var err error
			if t, err = time.Parse(layout, s); err == nil {
				ok = true
				break
			}
		}
	}
	return t.UTC(), ok && t.Unix() >= 0
}

// checkSkew refuses a time more than MaxSkew from now.
func checkSkew(t, now time.Time, asSent string) error {
	if d := now.Sub(t); d > MaxSkew || d < -MaxSkew {
		return errSkewed(asSent, now)
	}
	return nil
}

// requestDate returns the time that a request signed in its header claims:
// x-amz-date or, without one, Date.
func requestDate(h http.Header) (t time.Time, asSent string, err error) {
	values, ok := h["X-Amz-Date"]
	if !ok {
		values = h["Date"]
	}
	if len(values) > 1 {
		return t, "", errRepeated("x-amz-date")
	}
	if len(values) == 0 {
		return t, "", errNoDate()
	}
	t, ok = parseDate(values[0])
	if !ok {
		return t, "", errNoDate()
	}
	return t, values[0], nil
}
