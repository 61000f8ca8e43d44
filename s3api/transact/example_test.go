package transact_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ironman/s3api/transact"
)

// A table's new snapshot: the data file, the pointer to it, and the end of the old one, if
// the pointer still is what was read.
func Example() {
	ctx := context.Background()
	client := s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://127.0.0.1:9000"), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("ACCESSKEY", "SECRETKEY", ""),
	})
	tx := transact.New(client, "table")
	defer func() {
		if err := tx.Abort(ctx); err != nil { // of what was committed: nothing
			log.Print(err)
		}
	}()
	if err := tx.Put(ctx, "data/2.parquet", strings.NewReader("rows"), transact.PutOptions{IfNoneMatch: "*"}); err != nil {
		log.Fatal(err)
	}
	if err := tx.Put(ctx, "current", strings.NewReader("data/2.parquet"), transact.PutOptions{IfMatch: `"5d41402abc4b2a76b9719d911017c592"`}); err != nil {
		log.Fatal(err)
	}
	if err := tx.Copy(transact.Copy{Key: "old/1.parquet", Source: transact.Source{Bucket: "table", Key: "data/1.parquet"}}); err != nil {
		log.Fatal(err)
	}
	if err := tx.Delete(transact.Delete{Key: "data/1.parquet"}); err != nil {
		log.Fatal(err)
	}
	answer, err := tx.Commit(ctx)
	var refused *transact.Error
	if errors.As(err, &refused) && refused.Code == "PreconditionFailed" {
		fmt.Println("somebody else has changed", refused.Key)
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("done by event", answer.Sequence)
}
