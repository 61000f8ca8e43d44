package policy

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// naive matches a pattern of * and ? as its definition says, however long that takes.
func naive(pattern, s []rune) bool {
	switch {
	case len(pattern) == 0:
		return len(s) == 0
	case pattern[0] == '*':
		return naive(pattern[1:], s) || len(s) > 0 && naive(pattern, s[1:])
	case len(s) == 0:
		return false
	}
	return (pattern[0] == '?' || pattern[0] == s[0]) && naive(pattern[1:], s[1:])
}

func mustCompile(t testing.TB, text string, s syntax) pattern {
	t.Helper()
	p, err := compile(text, s)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return p
}

func TestMatchAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringOfN(rapid.RuneFrom([]rune("ab*?é/")), 0, 10, -1).Draw(t, "pattern")
		s := rapid.StringOfN(rapid.RuneFrom([]rune("abé/*?")), 0, 12, -1).Draw(t, "text")
		p, err := compile(pattern, syntax{wildcards: true})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := p.match(s), naive([]rune(pattern), []rune(s)); got != want {
			t.Fatalf("%q on %q: %v", pattern, s, got)
		}
	})
}

func FuzzMatch(f *testing.F) {
	for _, s := range [][2]string{{"a*b?c", "axxbyc"}, {"**?", ""}, {"*a*a*a*b", "aaaaaaaaaa"}, {"\xff*", "\xff"}, {"arn:*", "arn:"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		p, err := compile(pattern, syntax{wildcards: true})
		if err != nil {
			t.Fatal(err)
		}
		got := p.match(s)
		if utf8.ValidString(pattern) && utf8.ValidString(s) && len(pattern) < 12 && len(s) < 24 && got != naive([]rune(pattern), []rune(s)) {
			t.Errorf("%q on %q: %v", pattern, s, got)
		}
	})
}

// What makes a matcher that tries again slow must not make this one slow.
func TestMatchIsFast(t *testing.T) {
	start := time.Now()
	text := strings.Repeat("a", 100_000)
	for _, pattern := range []string{
		strings.Repeat("a*", 1000) + "b", strings.Repeat("*a", 1000) + "*b", strings.Repeat("?*", 1000) + "b", strings.Repeat("*", 5000) + "b",
	} {
		if mustCompile(t, pattern, syntax{wildcards: true}).match(text) {
			t.Errorf("%.10q... matches", pattern)
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestVariables(t *testing.T) {
	c := new(Context)
	c.Set("aws:username", "a*b?")
	c.Set("aws:many", "1", "2")
	c.Set("aws:PrincipalTag/Team", "red")
	for _, tc := range []struct {
		pattern, text string
		want          bool
	}{
		{"home/${aws:username}/*", "home/a*b?/x", true},
		{"home/${aws:username}/*", "home/aXb?/x", false}, // a value is no pattern
		{"home/${AWS:UserName}/*", "home/a*b?/x", true},
		{"${aws:absent}", "", false},
		{"${aws:absent}*", "anything", false},
		{"${aws:absent, 'all'}/*", "all/x", true},
		{"${aws:absent,'*'}/*", "all/x", false},
		{"${aws:username, 'all'}", "a*b?", true},
		{"${aws:many}", "1", false}, // which?
		{"${aws:many, '1'}", "1", false},
		{"${aws:principaltag/team}", "red", true},
		{"a${*}b", "a*b", true}, {"a${*}b", "axb", false},
		{"a${?}b", "a?b", true}, {"a${?}b", "axb", false},
		{"a${$}{x}", "a${x}", true},
		{"a$b", "a$b", true}, {"a{b}", "a{b}", true},
	} {
		p, ok := mustCompile(t, tc.pattern, syntax{wildcards: true, variables: true}).bind(c)
		if got := ok && p.match(tc.text); got != tc.want {
			t.Errorf("%q on %q: %v", tc.pattern, tc.text, got)
		}
	}
	for _, text := range []string{"${", "${}", "${a", "${a}", "${aws:x", "${aws:x,}", "${aws:x,'y}", "${aws:x,'y'", "${aws:x, y}", "${:x}", "${aws:}", "${a b:c}"} {
		if _, err := compile(text, syntax{variables: true}); err == nil {
			t.Errorf("%q is taken", text)
		}
		if !mustCompile(t, text, syntax{}).match(text) { // of version 2008
			t.Errorf("%q is not literal without variables", text)
		}
	}
}

func TestARN(t *testing.T) {
	for _, tc := range []struct {
		pattern, text string
		want          bool
	}{
		{"arn:aws:s3:::tenant1/*", "arn:aws:s3:::tenant1/x", true},
		{"arn:aws:s3:::tenant1/*", "arn:aws:s3:::tenant10/x", false}, // S-D6
		{"arn:aws:s3:::tenant1*", "arn:aws:s3:::tenant10/x", true},
		{"arn:aws:s3:::tenant?", "arn:aws:s3:::tenant1", true},
		{"arn:aws:s3:::tenant?", "arn:aws:s3:::tenant10", false},
		{"arn:aws:s3:::b/*", "arn:aws:s3:::b/x:y:z", true},
		{"arn:aws:s3:::B/*", "arn:aws:s3:::b/x", false},
		{"arn:aws:s3:::b", "arn:aws:s3:::b/", false},
		{"arn:aws:*:::b", "arn:aws:s3:::b", true},
		{"arn:aws:*:b", "arn:aws:s3:::b", false}, // no wildcard reaches over a colon
		{"arn:aws:iam::1:user/*", "arn:aws:iam::1:user/a/b", true},
		{"arn:aws:iam::?:user/b", "arn:aws:iam::12:user/b", false},
		{"arn:aws:s3", "arn:aws:s3:::b", true}, // completed
		{"*", "arn:aws:s3:::b", true},
		{"*", "no arn", false},
		{"arn:aws:s3:::b", "arn:aws:s3::b", false},
	} {
		a, err := compileARN(tc.pattern, syntax{wildcards: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := a.match(nil, tc.text); got != tc.want {
			t.Errorf("%q on %q: %v", tc.pattern, tc.text, got)
		}
	}
	// A value with a colon stays in its segment.
	c := new(Context)
	c.Set("aws:userid", "x:y")
	a, err := compileARN("arn:aws:s3:::${aws:userid}/${aws:z,':'}*", syntax{wildcards: true, variables: true})
	if err != nil || !a.match(c, "arn:aws:s3:::x:y/:a") {
		t.Errorf("%v %v", a, err)
	}
}
