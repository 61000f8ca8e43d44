package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ironman/server"
)

// shownAccount is a new account as the node shows it, once.
type shownAccount struct {
	server.AccountState
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
}

// String keeps the secret out of logs.
func (a shownAccount) String() string { return a.Account + "/" + a.AccessKey }

// GoString keeps the secret out of logs.
func (a shownAccount) GoString() string { return a.String() }

func (f *adminFlags) accountCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "account",
		Short: "Make, list and delete accounts",
		Long: `Make, list and delete accounts. An account owns buckets and is apart from all others.
Its users, groups, roles and policies are made with its root key over the IAM API, for
example by "aws iam --endpoint-url ...".`,
	}
	c.AddCommand(f.createAccountCommand(), &cobra.Command{
		Use:   "list",
		Short: "List all accounts",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var list []server.AccountState
			if err := f.get("/-/accounts", nil, &list); err != nil {
				return err
			}
			return f.printAccounts(c.OutOrStdout(), list)
		},
	}, &cobra.Command{
		Use:   "delete ACCOUNT",
		Short: "Delete an account that has no buckets, users, groups, roles and policies",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var none struct{}
			if err := f.ask(http.MethodPost, "/-/accounts/delete", url.Values{"account": {args[0]}}, &none, time.Minute); err != nil {
				return err
			}
			if f.json {
				return printJSON(c.OutOrStdout(), none)
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "Account %s is deleted.\n", args[0])
			return err
		},
	}, &cobra.Command{
		Use:   "new-key ACCOUNT",
		Short: "Make another root key for an account whose key was lost",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return f.showAccount(c.OutOrStdout(), "/-/accounts/key", url.Values{"account": {args[0]}})
		},
	})
	return c
}

func (f *adminFlags) createAccountCommand() *cobra.Command {
	email := ""
	c := &cobra.Command{
		Use:   "create NAME",
		Short: "Make an account and print its root key, this once",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return f.showAccount(c.OutOrStdout(), "/-/accounts/create", url.Values{"name": {args[0]}, "email": {email}})
		},
	}
	c.Flags().StringVar(&email, "email", "", "address by which access control lists may name the account")
	return c
}

// showAccount asks for a new key and prints it.
func (f *adminFlags) showAccount(out io.Writer, path string, q url.Values) error {
	var a shownAccount
	if err := f.ask(http.MethodPost, path, q, &a, time.Minute); err != nil {
		return err
	}
	if f.json {
		return printJSON(out, a)
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "account\t%s\n", a.Account)
	if a.CanonicalID != "" {
		fmt.Fprintf(w, "canonical id\t%s\n", a.CanonicalID)
	}
	fmt.Fprintf(w, "access key\t%s\nsecret key\t%s\n", a.AccessKey, a.SecretKey)
	fmt.Fprintln(w, "\nThe secret key is not shown again.")
	return w.Flush()
}

func (f *adminFlags) printAccounts(out io.Writer, list []server.AccountState) error {
	if f.json {
		return printJSON(out, list)
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ACCOUNT\tNAME\tE-MAIL\tUSERS\tGROUPS\tROLES\tPOLICIES\tPROVIDERS\tCANONICAL ID")
	for _, a := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\n", a.Account, a.Name, a.Email, a.Users, a.Groups, a.Roles, a.Policies, a.Providers, a.CanonicalID)
	}
	return w.Flush()
}
