package s3xml

import "encoding/xml"

// BucketLoggingStatus is the body of PutBucketLogging and the answer of
// GetBucketLogging; without LoggingEnabled nothing is logged. Who the target's grants
// are to is for package access to say.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLogging.html
type BucketLoggingStatus struct {
	XMLName        xml.Name        `xml:"BucketLoggingStatus"`
	LoggingEnabled *LoggingEnabled `xml:"LoggingEnabled"`
}

// LoggingEnabled says where logs go.
type LoggingEnabled struct {
	TargetBucket          string                 `xml:"TargetBucket" s3:"required"`
	TargetPrefix          string                 `xml:"TargetPrefix" s3:"required"`
	TargetGrants          *TargetGrants          `xml:"TargetGrants"`
	TargetObjectKeyFormat *TargetObjectKeyFormat `xml:"TargetObjectKeyFormat"`
}

// TargetGrants are those on the logs.
type TargetGrants struct {
	Grants []Grant `xml:"Grant"`
}

// TargetObjectKeyFormat is one of two forms of a log's key.
type TargetObjectKeyFormat struct {
	PartitionedPrefix *PartitionedPrefix `xml:"PartitionedPrefix"`
	SimplePrefix      *struct{}          `xml:"SimplePrefix"`
}

// PartitionedPrefix has keys begin with account, region, bucket and date.
type PartitionedPrefix struct {
	PartitionDateSource string `xml:"PartitionDateSource"`
}

// Validate checks the enumerations.
func (s *BucketLoggingStatus) Validate() error {
	e := s.LoggingEnabled
	if e == nil {
		return nil
	}
	if e.TargetBucket == "" || len(e.TargetPrefix) > maxWebsiteKey/2 {
		return malformed("target")
	}
	if e.TargetGrants != nil {
		for i := range e.TargetGrants.Grants {
			switch e.TargetGrants.Grants[i].Permission {
			case "FULL_CONTROL", "READ", "WRITE":
			default:
				return malformed("Permission")
			}
		}
	}
	f := e.TargetObjectKeyFormat
	if f == nil {
		return nil
	}
	if (f.PartitionedPrefix == nil) == (f.SimplePrefix == nil) {
		return malformed("TargetObjectKeyFormat")
	}
	if p := f.PartitionedPrefix; p != nil {
		switch p.PartitionDateSource {
		case "EventTime", "DeliveryTime":
		default:
			return malformed("PartitionDateSource")
		}
	}
	return nil
}

// AppendXML appends the root element.
func (s *BucketLoggingStatus) AppendXML(dst []byte) []byte {
	dst = openRoot(dst, "BucketLoggingStatus")
	if e := s.LoggingEnabled; e != nil {
		dst = appendString(open(dst, "LoggingEnabled"), "TargetBucket", e.TargetBucket)
		dst = appendString(dst, "TargetPrefix", e.TargetPrefix)
		if e.TargetGrants != nil {
			dst = open(dst, "TargetGrants")
			for i := range e.TargetGrants.Grants {
				dst = e.TargetGrants.Grants[i].append(dst)
			}
			dst = shut(dst, "TargetGrants")
		}
		if f := e.TargetObjectKeyFormat; f != nil {
			dst = f.append(dst)
		}
		dst = shut(dst, "LoggingEnabled")
	}
	return shut(dst, "BucketLoggingStatus")
}

func (f *TargetObjectKeyFormat) append(dst []byte) []byte {
	dst = open(dst, "TargetObjectKeyFormat")
	if p := f.PartitionedPrefix; p != nil {
		dst = shut(appendString(open(dst, "PartitionedPrefix"), "PartitionDateSource", p.PartitionDateSource), "PartitionedPrefix")
	}
	if f.SimplePrefix != nil {
		dst = shut(open(dst, "SimplePrefix"), "SimplePrefix")
	}
	return shut(dst, "TargetObjectKeyFormat")
}
