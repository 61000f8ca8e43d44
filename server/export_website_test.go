package server

import (
	"context"
	"fmt"

	"ironman/wal/event"
)

// SetWebsiteForTest stores a website configuration with a bucket.
func (n *Node) SetWebsiteForTest(ctx context.Context, bucket, document string) error {
	v, err := n.machine.View()
	if err != nil {
		return err
	}
	defer v.Close()
	b, err := v.BucketByName(bucket)
	if err != nil || b == nil {
		return fmt.Errorf("bucket %s: %v", bucket, err)
	}
	o, err := n.ProposeForTest(ctx, event.NewDraft(nil, &event.Statement_BucketDocumentSet{BucketDocumentSet: &event.BucketDocumentSet{
		Bucket: b.Bucket, Kind: event.DocumentKind_DOCUMENT_KIND_WEBSITE,
	}}).AddText(event.ItemKind_ITEM_KIND_DOCUMENT, 0, document))
	if err == nil && o.Refusal != event.Refusal_REFUSAL_NONE {
		err = fmt.Errorf("refused: %v", o.Refusal)
	}
	return err
}
