package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"ironman/s3api/s3xml"
	"ironman/s3api/sig"
	"ironman/server"
)

// tokenVariable begins the names of the environment variables that hold webhooks' tokens.
const tokenVariable = "IRONMAN_NOTIFY_TOKEN_"

var accountNumber = regexp.MustCompile(`^[0-9]{12}$`)

// webhooks reads --notify flags, NAME=URL, and those of --notify-accounts,
// NAME=ACCOUNT,...
func webhooks(flags, accounts []string) (map[string]server.Webhook, error) {
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
	for _, f := range accounts {
		name, list, _ := strings.Cut(f, "=")
		hook, ok := out[name]
		if !ok {
			return nil, fmt.Errorf("--notify-accounts: there is no webhook %q", name)
		}
		for account := range strings.SplitSeq(list, ",") {
			if !accountNumber.MatchString(account) {
				return nil, fmt.Errorf("--notify-accounts: %q is not the number of an account, which has 12 digits", account)
			}
			hook.Accounts = append(hook.Accounts, account)
		}
		out[name] = hook
	}
	return out, nil
}
