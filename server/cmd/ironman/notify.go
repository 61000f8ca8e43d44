package main

import (
	"fmt"
	"os"
	"strings"

	"ironman/s3api/s3xml"
	"ironman/s3api/sig"
	"ironman/server"
)

// tokenVariable begins the names of the environment variables that hold webhooks' tokens.
const tokenVariable = "IRONMAN_NOTIFY_TOKEN_"

// webhooks reads --notify flags: NAME=URL.
func webhooks(flags []string) (map[string]server.Webhook, error) {
	out := make(map[string]server.Webhook, len(flags))
	for _, f := range flags {
		name, url, ok := strings.Cut(f, "=")
		if _, valid := s3xml.WebhookName("arn:ironman:sqs::" + name + ":webhook"); !ok || !valid {
			return nil, fmt.Errorf("--notify: %q is not NAME=URL, where a name has up to 64 letters, digits, - and _", name)
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("--notify: %q is given twice", name)
		}
		out[name] = server.Webhook{URL: url, Token: sig.NewSecret(os.Getenv(tokenVariable + name))}
	}
	return out, nil
}
