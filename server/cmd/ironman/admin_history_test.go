package main

import (
	"slices"
	"strings"
	"testing"
)

// TestHistoryCommands: what is asked of the node, and what is printed of its answer.
func TestHistoryCommands(t *testing.T) {
	const (
		set    = "POST /-/history/set?"
		answer = `{"bucket":"b","bucket_id":7,"retention_seconds":604800,"retention":"7d","strict":true,"oldest_sequence":41,"oldest_time":"2026-01-02T03:04:05Z","rows":5}`
	)
	for _, c := range []struct {
		args, asked string
		fails       string // why nothing is asked for
	}{
		{"set 7d", set + "retention=7d&strict=false", ""},
		{"set b 7d --strict", set + "bucket=b&retention=7d&strict=true", ""},
		{"set b 0", set + "bucket=b&retention=0&strict=false", ""},
		{"set #7 1d12h", set + "bucket=%237&retention=1d12h&strict=false", ""},
		{"set b default", set + "bucket=b&retention=default&strict=false", ""},
		{"set", "", "arg"},
		{"set b 7d more", "", "arg"},
		{"set b", "", "such as 7d"},
		{"set b -- -7d", "", "such as 7d"},
	} {
		asked, printed, err := admin(t, map[string]string{c.asked: answer}, append([]string{"history"}, strings.Fields(c.args)...)...)
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) || len(asked) > 0 {
				t.Errorf("%s: asked %q, %v", c.args, asked, err)
			}
			continue
		}
		if err != nil || !slices.Equal(asked, []string{c.asked}) || !slices.Equal(strings.Fields(printed)[9:], []string{"b", "7d", "yes", "41", "2026-01-02T03:04:05Z", "5"}) {
			t.Errorf("%s: asked %q, %v:\n%s", c.args, asked, err, printed)
		}
	}
	const cluster = `"cluster":{"retention_seconds":86400,"retention":"1d","oldest_sequence":3,"oldest_time":"2026-01-02T03:04:05Z"}`
	pages := map[string]string{
		"GET /-/history?above=0": `{` + cluster + `,"buckets":[` + answer + `],"more":true}`,
		"GET /-/history?above=7": `{` + cluster + `,"buckets":[{"bucket":"gone","bucket_id":9,"deleted":true,"inherits":true,"retention":"1d","oldest_time":"2026-01-02T03:04:05Z"}]}`,
	}
	asked, printed, err := admin(t, pages, "history")
	if err != nil || len(asked) != 2 {
		t.Fatal(asked, err)
	}
	var lines []string
	for line := range strings.Lines(printed) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	if want := []string{
		"BUCKET RETENTION STRICT OLDEST SEQUENCE OLDEST TIME ROWS NOTE",
		"(default) 1d no 3 2026-01-02T03:04:05Z being counted",
		"b 7d yes 41 2026-01-02T03:04:05Z 5",
		"gone (#9) 1d no 0 2026-01-02T03:04:05Z being counted deleted the default again",
	}; !slices.Equal(lines, want) {
		t.Errorf("%q", lines)
	}
	if asked, printed, err := admin(t, pages, "--json", "history"); err != nil || len(asked) != 2 || strings.Count(printed, `"bucket_id"`) != 2 {
		t.Errorf("%q, %v:\n%s", asked, err, printed)
	}
}
