package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"

	"ironman/s3api/sig"
	"ironman/server/mirror"
)

// mirrorCommand keeps a bucket the mirror of another.
func mirrorCommand() *cobra.Command {
	var from, to, cursor string
	var endpoints, toEndpoints []string
	var once, verbose bool
	c := &cobra.Command{
		Use:   "mirror --from BUCKET --to BUCKET",
		Short: "Keep a bucket the mirror of another, by its feed",
		Long: `Bring a bucket to the state of another, which may be of another cluster, and keep it there as events come: bytes, headers, metadata and tags of the current objects.
Each event takes effect once: what the target shows says up to which event it shows it, and how far the mirror has come is a cursor of the feed. It may be killed at any moment and
started again. What the mirror has not written it does not replace or remove.

The keys are taken from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, and for --to-endpoint from IRONMAN_TO_ACCESS_KEY and IRONMAN_TO_SECRET_KEY if those are set.
They need the rights s3:GetBucketFeed, s3:PutBucketFeedCursor, s3:ListBucket, s3:ListBucketVersions, s3:GetObject, s3:GetObjectVersion, s3:GetObjectTagging and s3:GetObjectVersionTagging in
the source, s3:ListBucket, s3:GetObject, s3:GetObjectTagging, s3:PutObject, s3:PutObjectTagging, s3:DeleteObject and s3:AbortMultipartUpload in the target.
With s3:GetBucketFeed there, too, a target that was deleted and made anew is noticed, and filled; without it the cursor is bound to the target's first address and name alone.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			defer stop()
			m, err := newMirror(endpoints, toEndpoints)
			if err != nil {
				return err
			}
			m.From, m.To, m.Cursor = from, to, either(cursor, "mirror-"+to)
			m.Tell = func(d mirror.Done) {
				if verbose || d.Key == "" || d.What == "pass" {
					fmt.Fprintln(c.OutOrStdout(), d.What, d.Seq, quoted(d.Key))
				}
			}
			err = m.Run(ctx, !once)
			if ctx.Err() != nil { // that is how it ends
				return nil
			}
			return err
		},
	}
	c.Flags().StringVar(&from, "from", "", "the bucket that is read")
	c.Flags().StringVar(&to, "to", "", "the bucket that is written")
	c.Flags().StringSliceVar(&endpoints, "endpoint", []string{"http://127.0.0.1:9000"}, "addresses of S3, of one cluster")
	c.Flags().StringSliceVar(&toEndpoints, "to-endpoint", nil, "addresses of the target's S3; none: the same")
	c.Flags().StringVar(&cursor, "cursor", "", "what the name of the cursor in the source's feed begins with, before what stands for the target (default mirror-TO)")
	c.Flags().BoolVar(&once, "once", false, "end when the target shows all that had happened when it began")
	c.Flags().BoolVar(&verbose, "verbose", false, "print each key")
	for _, name := range []string{"from", "to"} {
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err) // it is defined above
		}
	}
	return c
}

func newMirror(endpoints, toEndpoints []string) (*mirror.Mirror, error) {
	cred, err := awsCredential()
	if err != nil {
		return nil, err
	}
	m := &mirror.Mirror{}
	if m.Source, err = mirror.NewClient(withScheme(endpoints), cred, awsRegion()); err != nil {
		return nil, err
	}
	if m.Target = m.Source; len(toEndpoints) == 0 {
		return m, nil
	}
	access, secret := os.Getenv("IRONMAN_TO_ACCESS_KEY"), os.Getenv("IRONMAN_TO_SECRET_KEY")
	switch {
	case (access == "") != (secret == ""):
		return nil, errors.New("IRONMAN_TO_ACCESS_KEY and IRONMAN_TO_SECRET_KEY belong together")
	case access != "":
		cred = sig.Credential{AccessKey: access, Secret: sig.NewSecret(secret)}
	}
	m.Target, err = mirror.NewClient(withScheme(toEndpoints), cred, awsRegion())
	return m, err
}
