package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"

	"ironman/erasure"
	"ironman/s3api"
	"ironman/server"
)

// serverFlags are the flags of `ironman server`.
type serverFlags struct {
	dir, admin           string
	disks, listen        []string
	tlsCert, tlsKey      string
	readyFile, region    string
	domains, websites    []string
	logLevel             string
	history, grace, stop time.Duration
	historyMark          string
	historyFloor         time.Duration
	keysFile, reserve    string
	kmsKeys              []string
	insecureSSEC         bool
	lifecycleDay         time.Duration
	accessLogEvery       time.Duration
	logReads             bool
	logReadsKeep         time.Duration
	notify               []string
	notifyAccounts       []string
	notifyPrivate        bool
	signatureV2          bool
	maxUploads           uint64
	webIdentity          bool
	webIdentityInsecure  bool
	child                bool
	link                 linkFlags
	trial                trialFlags
}

// Exit codes of a node that does not stop by itself.
const (
	exitFatal   = 3 // it must not go on; the log says why
	exitRestart = 4 // it is to be started again at once
)

func serverCommand() *cobra.Command {
	f := &serverFlags{}
	c := &cobra.Command{
		Use:   "server --dir DIR",
		Short: "Run a node",
		Long: `Run a node that serves the S3 API.

The first start makes a cluster, or joins one with --join. The cluster's root keys are taken from IRONMAN_ROOT_ACCESS_KEY
and IRONMAN_ROOT_SECRET_KEY, or generated, printed once, and kept in DIR/root-credentials.json
(readable by its owner only). DIR/keyring.json seals the secrets of all access keys: a backup
of DIR without it is useless.`,
		Example: `  ironman server --dir /var/lib/ironman
  ironman server --dir /var/lib/ironman --disks /mnt/a,/mnt/b,/mnt/c,/mnt/d,/mnt/e,/mnt/f`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runServer(c.Context(), f, c.OutOrStdout()) },
	}
	fl := c.Flags()
	fl.StringVar(&f.dir, "dir", "", "directory of the node: log, state, ledger, identity (required)")
	fl.StringSliceVar(&f.disks, "disks", nil, "directories that hold objects, one for each physical disk, always in the same order (default DIR/disk1)")
	fl.StringSliceVar(&f.listen, "listen", []string{"127.0.0.1:9000"}, "addresses of the S3 API")
	fl.StringVar(&f.admin, "admin", "127.0.0.1:9200", "address of health, metrics and admin calls; empty: none")
	fl.StringVar(&f.tlsCert, "tls-cert", "", "PEM file of the certificate chain; read again when it changes")
	fl.StringVar(&f.tlsKey, "tls-key", "", "PEM file of the certificate's key")
	fl.StringVar(&f.readyFile, "ready-file", "", "file that is written once the node serves: JSON with endpoints, access_key, secret_key, pids")
	fl.StringVar(&f.region, "region", server.DefaultRegion, "region of the cluster; fixed at first start")
	fl.StringSliceVar(&f.domains, "domains", nil, "domains under which buckets are addressed as hosts")
	fl.StringSliceVar(&f.websites, "website-domain", nil, "domains under which buckets are served as websites: BUCKET.DOMAIN")
	fl.DurationVar(&f.history, "history", server.DefaultHistoryRetention, "how long superseded and deleted objects are kept, as the first start says; ironman admin history set changes it")
	fl.DurationVar(&f.grace, "release-grace", server.DefaultReleaseGrace, "how long bytes without references are kept for readers; fixed at first start")
	fl.StringVar(&f.reserve, "reserve", "", "bytes that stay free under DIR and on each disk, such as 500MiB; 0: none (default 2GiB, or 5 % of the file system if that is less)")
	fl.StringVar(&f.historyMark, "history-mark", "", "bytes that are to be free under DIR and on each disk: where the leader has less, the oldest history goes early; 0: never (default twice the reserve)")
	fl.DurationVar(&f.historyFloor, "history-floor", server.DefaultHistoryFloor, "history that is younger never goes early")
	fl.DurationVar(&f.stop, "stop-timeout", 30*time.Second, "how long requests may take to finish when the node stops")
	fl.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	fl.StringVar(&f.keysFile, "keys-file", "", "JSON list of further accounts of the first start: access_key, secret_key, name, email; mode 0600")
	fl.StringSliceVar(&f.kmsKeys, "kms-keys", nil, "ids of the keys for SSE-KMS, the same on every node; one that ends in * stands for all with that beginning (alias/aws/s3 is always there)")
	fl.Uint64Var(&f.maxUploads, "max-uploads", s3api.DefaultMaxUploads, "how many multipart uploads may be open in a bucket; more are refused with 503 SlowDown")
	fl.BoolVar(&f.signatureV2, "signature-v2", true, "take signatures of version 2, which old clients make; they know no region, and presigned ones no time but their end")
	fl.BoolVar(&f.insecureSSEC, "allow-insecure-sse-c", false, "take customer keys (SSE-C) over plain HTTP, too: only behind a proxy that ends TLS, or for tests")
	fl.DurationVar(&f.lifecycleDay, "lifecycle-day", server.DefaultLifecycleDay, "how long a day is to lifecycle rules, the same on every node: shorter only for tests of rules")
	fl.DurationVar(&f.accessLogEvery, "access-log-every", server.DefaultAccessLogEvery, "how often the access logs of buckets are delivered; what is not delivered yet is lost when the node dies")
	fl.BoolVar(&f.logReads, "log-reads", false, "keep a record of every read of object data, granted or refused, in a Merkle log of this node's own: ironman audit reads")
	fl.DurationVar(&f.logReadsKeep, "log-reads-keep", 0, "how long records of reads are kept; their hashes stay (default for ever)")
	fl.StringArrayVar(&f.notify, "notify", nil, "NAME=URL of a webhook for notifications, the same on every node: arn:ironman:sqs::NAME:webhook in configurations; IRONMAN_NOTIFY_TOKEN_NAME is its bearer token")
	fl.StringArrayVar(&f.notifyAccounts, "notify-accounts", nil, "NAME=ACCOUNT,...: only buckets of these accounts (12 digits) may have the webhook NAME as a target, judged when they set it; by default every account's")
	fl.BoolVar(&f.notifyPrivate, "notify-private", false, "let webhooks be at loopback, link-local and private addresses")
	fl.BoolVar(&f.webIdentity, "web-identity", false, "let the tokens of OpenID Connect providers that accounts name begin sessions of roles (AssumeRoleWithWebIdentity); this node then asks them for their keys")
	fl.BoolVar(&f.webIdentityInsecure, "web-identity-insecure", false, "let these providers be asked over plain HTTP and at loopback, link-local and private addresses, too")
	fl.BoolVar(&f.child, "child", false, "run as a node of \"ironman cluster\": stop when the pipe on file descriptor 3 ends, print no keys")
	_ = fl.MarkHidden("child")
	f.link.add(c)
	f.trial.add(c)
	_ = c.MarkFlagRequired("dir")
	return c
}

func runServer(ctx context.Context, f *serverFlags, out io.Writer) error {
	if ctx == nil {
		ctx = context.Background()
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if f.child {
		var alone context.CancelFunc
		ctx, alone = context.WithCancel(ctx)
		go awaitParent(log, alone)
	}
	o, err := f.options(log)
	if err != nil {
		return err
	}
	_, statErr := os.Stat(filepath.Join(o.Dir, "root-credentials.json"))
	first := errors.Is(statErr, os.ErrNotExist)
	n, err := server.Open(ctx, o)
	if err != nil {
		return err
	}
	if !f.child {
		f.announce(out, n, o, first)
	}
	if f.readyFile != "" {
		if err := f.writeReady(n, o); err != nil {
			log.Error("ready file", "err", err)
		}
	}
	f.trial.serves()
	log.Info("serving", "s3", f.endpoints(o), "disks", len(o.Disks), "dir", o.Dir, "version", server.Version())
	<-ctx.Done()
	stop() // a second signal ends the process at once
	log.Info("stopping: requests in flight finish", "limit", f.stop)
	limit, cancel := context.WithTimeout(context.Background(), f.stop)
	defer cancel()
	err = n.Close(limit)
	log.Info("stopped", "err", err)
	return err
}

func (f *serverFlags) options(log *slog.Logger) (server.Options, error) {
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		return server.Options{}, err
	}
	if f.webIdentityInsecure && !f.webIdentity {
		return server.Options{}, errors.New("--web-identity-insecure is of no use without --web-identity")
	}
	o := server.Options{
		FS: vfs.Default, Dir: dir, Region: f.region, Domains: f.domains, WebsiteDomains: f.websites,
		RootAccessKey: os.Getenv("IRONMAN_ROOT_ACCESS_KEY"), RootSecretKey: os.Getenv("IRONMAN_ROOT_SECRET_KEY"),
		HistoryRetention: f.history, ReleaseGrace: f.grace, Now: time.Now, Logger: log, CheckModes: true,
		KMSKeys: f.kmsKeys, AllowInsecureSSEC: f.insecureSSEC, LifecycleDay: f.lifecycleDay, AccessLogEvery: f.accessLogEvery, NotifyPrivate: f.notifyPrivate,
		LogReads: f.logReads, LogReadsKeep: f.logReadsKeep,
		RefuseV2: !f.signatureV2, MaxUploads: f.maxUploads, WebIdentity: f.webIdentity, WebIdentityInsecure: f.webIdentityInsecure,
		Fatal: func(err error) {
			log.Error("fatal: the node stops, for it must not go on", "err", err)
			os.Exit(exitFatal)
		},
		Restart: func(reason string) { restart(log, reason) },
	}
	if f.keysFile != "" {
		if o.Keys, err = server.ReadKeys(vfs.Default, f.keysFile, true); err != nil {
			return o, err
		}
	}
	if o.Webhooks, err = webhooks(f.notify, f.notifyAccounts); err != nil {
		return o, err
	}
	if o.Reserve, err = erasure.ParseReserve(f.reserve); err != nil {
		return o, fmt.Errorf("--reserve: %w", err)
	}
	if o.HistoryMark, err = erasure.ParseReserve(f.historyMark); err != nil {
		return o, fmt.Errorf("--history-mark: %w", err)
	}
	if f.logReadsKeep < 0 || f.logReadsKeep > 0 && !f.logReads {
		return o, errors.New("--log-reads-keep must not be negative, and is of no use without --log-reads")
	}
	if f.history < 0 || f.grace < 0 || f.historyFloor < 0 {
		return o, errors.New("--history, --history-floor and --release-grace must not be negative")
	}
	o.HistoryFloor = max(f.historyFloor, 1) // 0 is the default
	for _, d := range f.disks {
		abs, err := filepath.Abs(d)
		if err != nil {
			return o, err
		}
		o.Disks = append(o.Disks, abs)
	}
	if len(o.Disks) == 0 {
		o.Disks = []string{filepath.Join(dir, "disk1")}
	}
	if err := f.trial.apply(&o); err != nil {
		return o, err
	}
	if o.TLS, err = f.tls(); err != nil {
		return o, err
	}
	return o, errors.Join(f.link.apply(&o), f.openListeners(&o))
}

func (f *serverFlags) openListeners(o *server.Options) error {
	for _, a := range f.listen {
		l, err := net.Listen("tcp", a)
		if err != nil {
			return fmt.Errorf("--listen: %w", err)
		}
		o.S3 = append(o.S3, l)
	}
	if f.admin == "" {
		return nil
	}
	l, err := net.Listen("tcp", f.admin)
	if err != nil {
		return fmt.Errorf("--admin: %w", err)
	}
	o.Admin = l
	return nil
}

// tls reads the certificate, and reads it again whenever its file changes.
func (f *serverFlags) tls() (*tls.Config, error) {
	if f.tlsCert == "" && f.tlsKey == "" {
		return nil, nil
	}
	if f.tlsCert == "" || f.tlsKey == "" {
		return nil, errors.New("give both --tls-cert and --tls-key, or neither")
	}
	r := &certificate{cert: f.tlsCert, key: f.tlsKey}
	if _, err := r.get(nil); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: r.get, NextProtos: []string{"http/1.1"}}, nil
}

func (f *serverFlags) endpoints(o server.Options) []string {
	scheme := "http://"
	if o.TLS != nil {
		scheme = "https://"
	}
	var out []string
	for _, l := range o.S3 {
		out = append(out, scheme+l.Addr().String())
	}
	return out
}

// announce prints what a person needs to use the node.
func (f *serverFlags) announce(out io.Writer, n *server.Node, o server.Options, first bool) {
	access, secret := n.Credentials()
	endpoint := f.endpoints(o)[0]
	fmt.Fprintf(out, "IronMan-S3 serves %s\n", endpoint)
	if access == "" {
		fmt.Fprintln(out, "Root keys: those of the cluster that this node joined")
		return
	}
	if !first {
		fmt.Fprintf(out, "Root keys: in %s\n", filepath.Join(o.Dir, "root-credentials.json"))
		return
	}
	fmt.Fprintf(out, `
The root keys, printed this once (also in %s):

  export AWS_ACCESS_KEY_ID=%s
  export AWS_SECRET_ACCESS_KEY=%s
  export AWS_DEFAULT_REGION=%s
  export AWS_ENDPOINT_URL=%s

Try it:

  aws s3 mb s3://first
  aws s3 cp README.md s3://first/
  aws s3 ls s3://first/

`, filepath.Join(o.Dir, "root-credentials.json"), access, secret, o.Region, endpoint)
}

// writeReady tells other programs that the node serves, and how to reach it.
func (f *serverFlags) writeReady(n *server.Node, o server.Options) error {
	access, secret := n.Credentials()
	ready := struct {
		Endpoints []string `json:"endpoints"`
		Admin     string   `json:"admin,omitempty"`
		AccessKey string   `json:"access_key"`
		SecretKey string   `json:"secret_key"`
		PIDs      []int    `json:"pids"`
	}{f.endpoints(o), "", access, secret, []int{os.Getpid()}}
	if o.Admin != nil {
		ready.Admin = o.Admin.Addr().String()
	}
	b, err := json.MarshalIndent(ready, "", "  ")
	if err != nil {
		return err
	}
	tmp := f.readyFile + ".tmp"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, f.readyFile)
}
