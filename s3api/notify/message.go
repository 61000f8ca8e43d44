package notify

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// About is what a message says besides what happened.
type About struct {
	Bucket, Owner string // its name, and its owner's canonical id
	Region        string
	HostID        string
	Rule          string // the configuration's id
}

// Message is the body for a target: some happenings, in their order. It is of version 2.2
// of Amazon's structure.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
func Message(about About, all []Happening) []byte {
	records := make([]record, len(all))
	for i := range all {
		records[i] = about.record(&all[i])
	}
	b, err := json.Marshal(map[string][]record{"Records": records})
	if err != nil {
		panic(fmt.Sprintf("notify: %v", err)) // strings and numbers always can be
	}
	return b
}

type record struct {
	EventVersion string            `json:"eventVersion"`
	EventSource  string            `json:"eventSource"`
	Region       string            `json:"awsRegion"`
	Time         string            `json:"eventTime"`
	Name         string            `json:"eventName"`
	Identity     principal         `json:"userIdentity"`
	Request      map[string]string `json:"requestParameters"`
	Response     map[string]string `json:"responseElements"`
	S3           s3Entity          `json:"s3"`
}

type principal struct {
	ID string `json:"principalId"`
}

type s3Entity struct {
	SchemaVersion string `json:"s3SchemaVersion"`
	Configuration string `json:"configurationId"`
	Bucket        bucket `json:"bucket"`
	Object        object `json:"object"`
}

type bucket struct {
	Name  string    `json:"name"`
	Owner principal `json:"ownerIdentity"`
	ARN   string    `json:"arn"`
}

type object struct {
	Key       string  `json:"key"` // as in a query string
	Size      *uint64 `json:"size,omitempty"`
	ETag      string  `json:"eTag,omitempty"`
	Version   string  `json:"versionId,omitempty"`
	Sequencer string  `json:"sequencer"`
}

// record is one happening. Sequencers of a key compare, as text, as its changes came.
func (a *About) record(h *Happening) record {
	r := record{
		EventVersion: "2.2", EventSource: "aws:s3", Region: a.Region, Name: h.Name,
		Time:     time.Unix(0, h.Time).UTC().Format("2006-01-02T15:04:05.000Z"),
		Identity: principal{"AWS:" + h.Principal},
		Request:  map[string]string{"sourceIPAddress": h.Address},
		Response: map[string]string{"x-amz-request-id": hex.EncodeToString(h.RequestID), "x-amz-id-2": a.HostID},
		S3: s3Entity{
			SchemaVersion: "1.0", Configuration: a.Rule,
			Bucket: bucket{Name: a.Bucket, Owner: principal{a.Owner}, ARN: "arn:aws:s3:::" + a.Bucket},
			Object: object{Key: url.QueryEscape(h.Key), ETag: h.ETag, Version: h.Version, Sequencer: fmt.Sprintf("%016X%08X", h.Seq, h.Ordinal)},
		},
	}
	if strings.HasPrefix(h.Name, "ObjectCreated:") {
		r.S3.Object.Size = &h.Size
	}
	if h.Principal == "" {
		r.Identity.ID = "ANONYMOUS"
	}
	return r
}
