package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"

	"ironman/s3api/sig"
	"ironman/server"
	"ironman/server/link"
)

// linkFlags are the flags by which a node meets others.
type linkFlags struct {
	listen, advertise string
	join, secretFile  string
}

func (f *linkFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.listen, "link", "", "address on which other nodes reach this one; empty: a node that stays alone")
	fl.StringVar(&f.advertise, "link-advertise", "", "address that other nodes are told, where it differs from --link")
	fl.StringVar(&f.join, "join", "", "link address of any node of the cluster that this one joins at its first start; ignored later")
	fl.StringVar(&f.secretFile, "join-secret-file", "", "file of the cluster's join secret, mode 0600, at least 16 characters; without it no node can join")
}

// apply opens the link's listener.
func (f *linkFlags) apply(o *server.Options) error {
	if f.listen == "" {
		if f.join != "" || f.secretFile != "" || f.advertise != "" {
			return errors.New("--join, --join-secret-file and --link-advertise need --link")
		}
		return nil
	}
	if f.secretFile != "" {
		secret, err := readJoinSecret(f.secretFile)
		if err != nil {
			return err
		}
		o.JoinSecret = secret
	} else if f.join != "" {
		return errors.New("--join needs --join-secret-file")
	}
	l, err := net.Listen("tcp", f.listen)
	if err != nil {
		return fmt.Errorf("--link: %w", err)
	}
	o.Link, o.Join, o.LinkAddress = l, f.join, f.advertise
	if o.LinkAddress == "" {
		o.LinkAddress = l.Addr().String()
	}
	if host, _, err := net.SplitHostPort(o.LinkAddress); err != nil || net.ParseIP(host) != nil && net.ParseIP(host).IsUnspecified() {
		return errors.Join(fmt.Errorf("--link: other nodes cannot reach %s: name an address with --link-advertise", o.LinkAddress), l.Close())
	}
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", address)
		}
	}
	return nil
}

// readJoinSecret reads the secret, without the white space around it.
func readJoinSecret(path string) (sig.Secret, error) {
	info, err := os.Stat(path)
	if err != nil {
		return sig.Secret{}, fmt.Errorf("--join-secret-file: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return sig.Secret{}, fmt.Errorf("--join-secret-file: %s is readable by others (mode %o): chmod 600 it", path, info.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return sig.Secret{}, fmt.Errorf("--join-secret-file: %w", err)
	}
	if b = bytes.TrimSpace(b); len(b) < link.MinJoinSecret || len(b) > 1024 {
		return sig.Secret{}, fmt.Errorf("--join-secret-file: %s must hold %d to 1024 characters", path, link.MinJoinSecret)
	}
	return sig.NewSecret(b), nil
}
