package accesslog

import (
	"net/url"
	"strings"
)

// redacted stands in place of what no log may hold.
const redacted = "REDACTED"

// redact takes the secrets out of a request's target, or of the address of a page that
// led to it: a presigned address is a credential for as long as it is good. Everything
// else stays as it was sent.
func redact(target string) string {
	path, query, ok := strings.Cut(target, "?")
	if !ok || query == "" {
		return target
	}
	var out strings.Builder
	out.WriteString(path)
	for separator := "?"; separator != ""; {
		// Some separate by semicolons: what a server would not take may still be a secret.
		end := strings.IndexAny(query, "&;")
		parameter, next, rest := query, "", ""
		if end >= 0 {
			parameter, next, rest = query[:end], query[end:end+1], query[end+1:]
		}
		name, _, valued := strings.Cut(parameter, "=")
		if valued && secret(name) {
			parameter = name + "=" + redacted
		}
		out.WriteString(separator + parameter)
		separator, query = next, rest
	}
	return out.String()
}

// secret tells the parameters of a presigned query whose values are secrets, however they
// are spelled.
func secret(name string) bool {
	if plain, err := url.QueryUnescape(name); err == nil {
		name = plain
	}
	switch strings.ToLower(name) {
	case "signature", "x-amz-signature", "x-amz-security-token", // of version 2 and 4
		"x-amz-server-side-encryption-customer-key", "x-amz-copy-source-server-side-encryption-customer-key":
		return true
	}
	return false
}
