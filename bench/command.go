package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ironman/s3api/sig"
)

// flags are those of `ironman bench` that are not Options as they are.
type flags struct {
	opts      Options
	endpoint  Endpoint
	against   Endpoint
	accessKey string
	secretKey string
	region    string
	json      bool
}

// Command returns `ironman bench`.
func Command() *cobra.Command {
	f := &flags{}
	c := &cobra.Command{
		Use:   "bench --endpoint URL [--against URL]",
		Short: "Put one or two S3 endpoints under load and compare them",
		Long: `Put one or two S3 endpoints under load and compare them.

Two endpoints are loaded in turn within one session, never at once: A B, B A, A B, ...
All objects have content that follows from the seed and their key, and every byte that
is read is checked. Objects and bucket are removed at the end.

Keys are taken from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, those
of the second endpoint from AGAINST_ACCESS_KEY_ID, AGAINST_SECRET_ACCESS_KEY and
AGAINST_SESSION_TOKEN (default: the same keys). Flags show in the list of processes:
prefer the environment.

Deleting objects does not free their space at once where a store keeps history:
set retention and --max-bytes with the disk in mind.`,
		Example: `  ironman bench --endpoint http://127.0.0.1:9000 --pid $(pidof ironman) --admin http://127.0.0.1:9200
  ironman bench --endpoint http://127.0.0.1:9000,http://127.0.0.1:9001,http://127.0.0.1:9002 \
      --against http://127.0.0.1:9100 --work put-4k,get-4k --durability "3 nodes, 4+2, synced"
  ironman bench --endpoint http://127.0.0.1:9000 --work put-4k --expire 50000 --duration 5s  # server: --lifecycle-day 24s`,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := f.options(os.Getenv, terminal(os.Stderr))
			if err != nil {
				return err
			}
			return runCommand(c.Context(), o, f.json, c.OutOrStdout())
		},
	}
	f.register(c)
	return c
}

func (f *flags) register(c *cobra.Command) {
	fl, o := c.Flags(), &f.opts
	fl.StringSliceVar(&f.endpoint.URLs, "endpoint", nil, "addresses of the store, one for each node (required)")
	fl.StringSliceVar(&f.against.URLs, "against", nil, "addresses of a second store to compare with")
	fl.StringVar(&f.accessKey, "access-key", "", "access key (default AWS_ACCESS_KEY_ID)")
	fl.StringVar(&f.secretKey, "secret-key", "", "secret key (default AWS_SECRET_ACCESS_KEY)")
	fl.StringVar(&f.region, "region", "", "region to sign for (default AWS_REGION, AWS_DEFAULT_REGION, us-east-1)")
	fl.StringSliceVar(&o.Works, "work", workNames(), "what to do, in this order")
	fl.IntVar(&o.Concurrency, "concurrency", 0, "operations at a time (default 64 for 4 KiB, 16 for 1 MiB, 4 for 64 MiB)")
	fl.IntVar(&o.Objects, "objects", 0, "objects that get, list, delete and mixed prepare (default by work)")
	fl.IntVar(&o.Expire, "expire", 0, "compare the endpoint with itself: as A while a lifecycle rule removes so many objects in each run, as B without (needs a server with a short --lifecycle-day)")
	fl.DurationVar(&o.Duration, "duration", 10*time.Second, "length of a run")
	fl.DurationVar(&o.Warmup, "warmup", time.Second, "length of the run before the first round, which does not count")
	fl.DurationVar(&o.Pause, "pause", 500*time.Millisecond, "rest before each run")
	fl.IntVar(&o.Rounds, "rounds", 5, "runs of each work on each endpoint")
	fl.Int64Var(&o.Requests, "requests", 0, "operations that end a run early (default no bound)")
	fl.Int64Var(&o.MaxBytes, "max-bytes", 2<<30, "bytes of objects stored that end a run early")
	fl.StringVar(&o.Bucket, "bucket", "", "bucket to use; made if it is not there (default one with a name of its own)")
	fl.Uint64Var(&o.Seed, "seed", 1, "what the objects' content follows from")
	fl.BoolVar(&o.UnsignedPayload, "unsigned-payload", false, "do not sign the content of objects")
	fl.BoolVar(&o.Keep, "keep", false, "leave objects and bucket behind")
	fl.BoolVar(&o.AllowRemote, "allow-remote", false, "permit endpoints that are not on this machine")
	fl.BoolVar(&o.InsecureTLS, "insecure-tls", false, "trust any certificate")
	fl.IntSliceVar(&f.endpoint.PIDs, "pid", nil, "processes of the server on this machine: CPU, memory and write calls are read")
	fl.IntSliceVar(&f.against.PIDs, "against-pid", nil, "processes of the second server")
	fl.StringSliceVar(&f.endpoint.Admin, "admin", nil, "addresses of IronMan's admin listeners: syncs are read; they are given the keys")
	fl.StringSliceVar(&f.against.Admin, "against-admin", nil, "the same of the second store")
	fl.StringVar(&f.endpoint.Durability, "durability", "", "what the store does before it acknowledges, and its geometry: printed with the table")
	fl.StringVar(&f.against.Durability, "against-durability", "", "the same of the second store")
	fl.BoolVar(&f.json, "json", false, "print JSON")
	_ = c.MarkFlagRequired("endpoint")
}

// options puts flags and environment together.
func (f *flags) options(env func(string) string, progress io.Writer) (Options, error) {
	o := f.opts
	o.Endpoint, o.Progress = f.endpoint, progress
	o.Endpoint.Region = firstOf(f.region, env("AWS_REGION"), env("AWS_DEFAULT_REGION"), "us-east-1")
	access, secret := f.accessKey, f.secretKey
	if (access == "") != (secret == "") {
		return o, errors.New("give both --access-key and --secret-key, or neither")
	}
	session := ""
	if access == "" {
		access, secret, session = env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY"), env("AWS_SESSION_TOKEN")
	}
	if access == "" || secret == "" {
		return o, errors.New("no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give --access-key and --secret-key")
	}
	o.Endpoint.Credential = credential(access, secret, session)
	if len(f.against.URLs) == 0 {
		if len(f.against.PIDs)+len(f.against.Admin) > 0 || f.against.Durability != "" {
			return o, errors.New("--against-pid, --against-admin and --against-durability need --against")
		}
		return o, o.validate()
	}
	b := f.against
	b.Region, b.Credential = o.Endpoint.Region, o.Endpoint.Credential
	access, secret = env("AGAINST_ACCESS_KEY_ID"), env("AGAINST_SECRET_ACCESS_KEY")
	if (access == "") != (secret == "") {
		return o, errors.New("set both AGAINST_ACCESS_KEY_ID and AGAINST_SECRET_ACCESS_KEY, or neither")
	}
	if access != "" {
		b.Credential = credential(access, secret, env("AGAINST_SESSION_TOKEN"))
	}
	o.Against = &b
	return o, o.validate()
}

func credential(access, secret, session string) sig.Credential {
	c := sig.Credential{AccessKey: access, Secret: sig.NewSecret(secret)}
	if session != "" {
		c.Session = sig.NewSecret(session)
	}
	return c
}

// firstOf returns the first that is not empty.
func firstOf(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// runCommand runs until it is done or interrupted once; a second signal ends the
// process at once.
func runCommand(ctx context.Context, o Options, asJSON bool, out io.Writer) error {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	r, err := Run(ctx, o)
	if r != nil && (err == nil || len(r.Works) > 0) {
		write := r.WriteTable
		if asJSON {
			write = r.WriteJSON
		}
		if werr := write(out); werr != nil {
			return errors.Join(err, werr)
		}
		if failed, corrupt := r.Failed(); failed > 0 {
			err = errors.Join(err, fmt.Errorf("%d operations failed, %d of them with wrong bytes", failed, corrupt))
		}
	}
	return err
}
