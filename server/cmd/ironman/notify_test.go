package main

import (
	"slices"
	"testing"
)

func TestWebhooks(t *testing.T) {
	hooks, err := webhooks([]string{"a=https://a.example/x", "b=https://b.example/"}, []string{"a=000000000001,000000000002", "a=000000000003"})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"000000000001", "000000000002", "000000000003"}; !slices.Equal(hooks["a"].Accounts, want) || hooks["b"].Accounts != nil {
		t.Errorf("%v", hooks)
	}
	for _, wrong := range []string{"c=000000000001", "a=", "a", "a=root", "a=000000000001,", "=000000000001"} {
		if _, err := webhooks([]string{"a=https://a.example/x"}, []string{wrong}); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}
