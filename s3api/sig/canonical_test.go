package sig

import "testing"

// The forms of date that clients send, and those that are none.
func TestDates(t *testing.T) {
	for s, ok := range map[string]bool{
		"20130524T000000Z":                true,
		"Fri, 24 May 2013 00:00:00 GMT":   true,
		"Fri, 24 May 2013 00:00:00 +0000": true,
		"Fri, 24 May 2013 02:00:00 +0200": true,
		"Friday, 24-May-13 00:00:00 GMT":  true,
		"Fri May 24 00:00:00 2013":        true,
		"Tue, 24 May 2013 00:00:00 UTC":   true,
		"":                                false,
		"Bad Date":                        false,
		"2013-05-24T00:00:00Z":            false,
		"Tue, 07 Jul 1950 21:53:04 GMT":   false,
		"20130524T000000Z ":               false,
		"20130532T000000Z":                false, "20131324T000000Z": false, "20130230T000000Z": false, "20130524T240000Z": false,
		"20130524T006000Z": false, "20130524T000060Z": false, "20130524 000000Z": false, "2013052aT000000Z": false,
		"99999999T999999Z":                  false,
		"Fri, 24 May 2013 00:00:00 GMT\x07": false,
	} {
		d, got := parseDate(s)
		if got != ok || ok && !d.Equal(exampleTime) {
			t.Errorf("%q: %v %v", s, d, got)
		}
	}
}

func TestCanonicalPath(t *testing.T) {
	c := randomCredential()
	sign := newRequest(t, "GET", "http://s3.example.com/b/a%2Fb/%C3%A9%20+~", "")
	if err := SignV4(sign, c, "us-east-1", emptySHA256, exampleTime); err != nil {
		t.Fatal(err)
	}
	head := "Host: s3.example.com\r\n"
	for name, values := range sign.Header {
		head += name + ": " + values[0] + "\r\n"
	}
	for target, ok := range map[string]bool{
		"/b/a%2Fb/%C3%A9%20+~":                    true,
		"/b/a/b/%C3%A9%20+~":                      true, // %2F is a slash of the key
		"/b/a%2fb/%c3%a9%20%2B%7E":                true, // escapes are decoded once
		"http://s3.example.com/b/a/b/%C3%A9%20+~": true, // absolute form
		"/b/a%252Fb/%C3%A9%20+~":                  false,
		"/b/a//b/%C3%A9%20+~":                     false,
		"/b/./a/b/%C3%A9%20+~":                    false,
		"/x/../b/a/b/%C3%A9%20+~":                 false,
		"/b/a/b/%C3%A9+%2B~":                      false, // + is no space in a path
		"/b/a/b/%C3%A9%20+~/":                     false,
		"/b/a/b/%C3%A9%20+~?":                     true,
		"/b/a/b/%C3%A9%20+~?x":                    false,
	} {
		err := verify(verifierOf(c, exampleTime), received(t, "GET "+target+" HTTP/1.1\r\n"+head+"\r\n"))
		if ok != (err == nil) {
			t.Errorf("%s: %v", target, err)
		}
		if !ok {
			wantCode(t, err, CodeSignatureDoesNotMatch)
		}
	}
}

func TestCanonicalQuery(t *testing.T) {
	for raw, want := range map[string]string{
		"":                     "",
		"acl":                  "acl=",
		"acl=":                 "acl=",
		"b=2&a=1":              "a=1&b=2",
		"a=2&a=1":              "a=1&a=2",
		"a-b=1&a=2":            "a=2&a-b=1",
		"a=b+c":                "a=b%20c",
		"a=b%2Bc":              "a=b%2Bc",
		"a=%7e%7E*":            "a=~~%2A",
		"a=b=c":                "a=b%3Dc",
		"&&a=1&":               "a=1",
		"%C3%A9=%c3%a9":        "%C3%A9=%C3%A9",
		"=x":                   "=x",
		"prefix=a/b&delimiter": "delimiter=&prefix=a%2Fb",
	} {
		q, err := parseQuery(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(q.appendCanonical(nil, "")); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

func TestCanonicalHeaderValues(t *testing.T) {
	r := received(t, "GET / HTTP/1.1\r\nHost: h\r\nX-Amz-A:   a  b \t c  \r\nX-Amz-B: 1\r\nX-Amz-B: 2 3\r\nX-Amz-C:\r\nX-Amz-D: one\r\n two\r\n\r\n")
	m := &message{r: r}
	for name, want := range map[string]string{
		"x-amz-a": "a b c", "x-amz-b": "1,2 3", "x-amz-c": "", "x-amz-d": "one two", "x-amz-none": "", "host": "h", "content-length": "0",
	} {
		if got := string(m.appendHeader(nil, name)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
