package accesslog

import (
	"fmt"
	"time"
)

// UniqueBytes is how much of a key is drawn at random.
const UniqueBytes = 8

// Place is where the lines of a bucket are kept, and how their objects are named.
type Place struct {
	Prefix string
	// Partitioned: account, region, bucket and date stand behind the prefix.
	Partitioned bool
	// ByEvent: the date is that of the requests, all of one day, not that of the delivery.
	ByEvent                 bool
	Account, Region, Bucket string // of the source
}

// Key names an object of lines of requests of a day that is delivered at a moment.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerLogs.html#server-log-keyname-format
func (p *Place) Key(day, delivered time.Time, unique [UniqueBytes]byte) string {
	at := delivered.UTC()
	if p.Partitioned && p.ByEvent {
		y, m, d := day.UTC().Date()
		at = time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	}
	name := at.Format("2006-01-02-15-04-05-") + fmt.Sprintf("%X", unique)
	if !p.Partitioned {
		return p.Prefix + name
	}
	return p.Prefix + p.Account + "/" + p.Region + "/" + p.Bucket + at.Format("/2006/01/02/") + name
}
