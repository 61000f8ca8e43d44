package s3xml

import (
	"encoding/xml"
	"slices"
	"strings"
)

// maxNotifications is how many configurations a bucket may have.
const maxNotifications = 100

// NotificationConfiguration is the body of PutBucketNotificationConfiguration and the
// answer of its Get; an empty one notifies nobody.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketNotificationConfiguration.html
type NotificationConfiguration struct {
	XMLName     xml.Name       `xml:"NotificationConfiguration"`
	Topics      []Notification `xml:"TopicConfiguration"`
	Queues      []Notification `xml:"QueueConfiguration"`
	Functions   []Notification `xml:"CloudFunctionConfiguration"`
	EventBridge *struct{}      `xml:"EventBridgeConfiguration"`
}

// Notification says of which events a target is told. One of its three targets is set,
// by the kind of its list.
type Notification struct {
	ID       string              `xml:"Id"`
	Topic    string              `xml:"Topic"`
	Queue    string              `xml:"Queue"`
	Function string              `xml:"CloudFunction"`
	Events   []string            `xml:"Event" s3:"required"`
	Filter   *NotificationFilter `xml:"Filter"`
}

// NotificationFilter chooses objects by their keys.
type NotificationFilter struct {
	Key *KeyFilter `xml:"S3Key"`
}

// KeyFilter holds at most one prefix and one suffix.
type KeyFilter struct {
	Rules []FilterRule `xml:"FilterRule"`
}

// FilterRule is a prefix or a suffix.
type FilterRule struct {
	Name  string `xml:"Name"`
	Value string `xml:"Value"`
}

// Target is the name (ARN) of who is told.
func (n *Notification) Target() string { return n.Topic + n.Queue + n.Function }

// Affixes are the prefix and suffix that a key must have.
func (n *Notification) Affixes() (prefix, suffix string) {
	if n.Filter == nil || n.Filter.Key == nil {
		return "", ""
	}
	for _, r := range n.Filter.Key.Rules {
		if r.Name == filterPrefix {
			prefix = r.Value
		} else {
			suffix = r.Value
		}
	}
	return prefix, suffix
}

// All are the configurations of every kind.
func (c *NotificationConfiguration) All() []*Notification {
	var all []*Notification
	for _, list := range [][]Notification{c.Topics, c.Queues, c.Functions} {
		for i := range list {
			all = append(all, &list[i])
		}
	}
	return all
}

// How Amazon shows the names of filter rules, however they were written.
const (
	filterPrefix = "Prefix"
	filterSuffix = "Suffix"
)

// Validate checks the configurations, and spells the names of filter rules as Amazon
// shows them.
func (c *NotificationConfiguration) Validate() error {
	if c.EventBridge != nil {
		return notImplemented("Notifications to EventBridge are not implemented.")
	}
	for _, of := range []struct {
		kind string
		list []Notification
	}{{"sns", c.Topics}, {"sqs", c.Queues}, {"lambda", c.Functions}} {
		for i := range of.list {
			if err := of.list[i].validateTarget(of.kind); err != nil {
				return err
			}
		}
	}
	all := c.All()
	if len(all) > maxNotifications {
		return invalidRequest("The number of notification configurations should not exceed allowed limit of 100.")
	}
	ids := make(map[string]bool)
	for i, n := range all {
		if err := n.validate(); err != nil {
			return err
		}
		if n.ID != "" && ids[n.ID] {
			return invalidArgument("Same ID used for multiple configurations. IDs must be unique")
		}
		ids[n.ID] = true
		for _, other := range all[:i] {
			if err := n.overlaps(other); err != nil {
				return err
			}
		}
	}
	return nil
}

// validateTarget: targets are "arn:ironman:KIND::NAME:webhook", of which the node knows
// what NAME is. Others could not be reached.
func (n *Notification) validateTarget(kind string) error {
	of := map[string]string{"sns": n.Topic, "sqs": n.Queue, "lambda": n.Function}[kind]
	if of == "" || of != n.Target() {
		return malformed("notification without its target, or with another's")
	}
	parts := strings.Split(of, ":")
	if len(parts) < 6 || parts[0] != "arn" {
		return invalidArgument("The ARN could not be parsed")
	}
	if _, ok := WebhookName(of); !ok || parts[2] != kind {
		return invalidArgument("Unable to validate the following destination configurations")
	}
	return nil
}

// WebhookName reads the name out of a target's ARN.
func WebhookName(arn string) (string, bool) {
	parts := strings.Split(arn, ":")
	if len(parts) != 6 || parts[0] != "arn" || parts[1] != "ironman" || parts[3] != "" || parts[5] != "webhook" {
		return "", false
	}
	name := parts[4]
	valid := name != "" && len(name) <= 64 && !strings.ContainsFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
	})
	return name, valid
}

func (n *Notification) validate() error {
	if len(n.ID) > maxRuleID {
		return invalidArgument("ID length should not exceed allowed limit of 255")
	}
	for _, e := range n.Events {
		if !notificationEvent(e) {
			return invalidArgument("The event is not supported for notifications")
		}
	}
	if n.Filter == nil || n.Filter.Key == nil {
		return nil
	}
	seen := make(map[string]bool)
	for i := range n.Filter.Key.Rules {
		r := &n.Filter.Key.Rules[i]
		switch strings.ToLower(r.Name) {
		case "prefix":
			r.Name = filterPrefix
		case "suffix":
			r.Name = filterSuffix
		default:
			return invalidArgument("filter rule name must be either prefix or suffix")
		}
		if seen[r.Name] {
			return invalidArgument("Cannot specify more than one " + strings.ToLower(r.Name) + " rule in a filter.")
		}
		seen[r.Name] = true
		if len(r.Value) > 1024 {
			return invalidArgument("Size of filter rule value cannot exceed 1024 bytes in UTF-8 representation")
		}
	}
	return nil
}

// notificationEvent tells the events that a configuration may name.
func notificationEvent(e string) bool { return slices.Contains(notificationEvents[:], e) }

// notificationEvents are those of Amazon's that this store can have. It is never written.
var notificationEvents = [...]string{
	"s3:ObjectCreated:*", "s3:ObjectCreated:Put", "s3:ObjectCreated:Post", "s3:ObjectCreated:Copy", "s3:ObjectCreated:CompleteMultipartUpload",
	"s3:ObjectRemoved:*", "s3:ObjectRemoved:Delete", "s3:ObjectRemoved:DeleteMarkerCreated",
	"s3:LifecycleExpiration:*", "s3:LifecycleExpiration:Delete", "s3:LifecycleExpiration:DeleteMarkerCreated",
	"s3:ObjectTagging:*", "s3:ObjectTagging:Put", "s3:ObjectTagging:Delete", "s3:ObjectAcl:Put",
}

// overlaps refuses two configurations of which one event could mean both.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
func (n *Notification) overlaps(other *Notification) error {
	common := slices.ContainsFunc(n.Events, func(a string) bool {
		return slices.ContainsFunc(other.Events, func(b string) bool { return coversEvent(a, b) || coversEvent(b, a) })
	})
	if !common {
		return nil
	}
	prefix, suffix := n.Affixes()
	otherPrefix, otherSuffix := other.Affixes()
	prefixes := strings.HasPrefix(prefix, otherPrefix) || strings.HasPrefix(otherPrefix, prefix)
	suffixes := strings.HasSuffix(suffix, otherSuffix) || strings.HasSuffix(otherSuffix, suffix)
	switch {
	case !prefixes || !suffixes:
		return nil
	case prefix+suffix == "" && otherPrefix+otherSuffix == "":
		return invalidArgument("Configurations overlap. Configurations on the same bucket cannot share a common event type.")
	}
	return invalidArgument("Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are overlapping for the same event type.")
}

// coversEvent: "s3:ObjectCreated:*" is every event that begins so.
func coversEvent(pattern, event string) bool {
	stem, all := strings.CutSuffix(pattern, "*")
	return pattern == event || all && strings.HasPrefix(event, stem)
}

// AppendXML appends the root element.
func (c *NotificationConfiguration) AppendXML(dst []byte) []byte {
	dst = openRoot(dst, "NotificationConfiguration")
	for i := range c.Topics {
		dst = c.Topics[i].append(dst, "TopicConfiguration")
	}
	for i := range c.Queues {
		dst = c.Queues[i].append(dst, "QueueConfiguration")
	}
	for i := range c.Functions {
		dst = c.Functions[i].append(dst, "CloudFunctionConfiguration")
	}
	return shut(dst, "NotificationConfiguration")
}

func (n *Notification) append(dst []byte, name string) []byte {
	dst = appendSome(open(dst, name), "Id", n.ID)
	dst = appendSome(dst, "Topic", n.Topic)
	dst = appendSome(dst, "Queue", n.Queue)
	dst = appendSome(dst, "CloudFunction", n.Function)
	dst = appendStrings(dst, "Event", n.Events)
	if n.Filter != nil && n.Filter.Key != nil {
		dst = open(open(dst, "Filter"), "S3Key")
		for _, r := range n.Filter.Key.Rules {
			dst = appendString(open(dst, "FilterRule"), "Name", r.Name)
			dst = shut(appendString(dst, "Value", r.Value), "FilterRule")
		}
		dst = shut(shut(dst, "S3Key"), "Filter")
	}
	return shut(dst, name)
}
