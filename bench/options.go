package bench

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"time"

	"ironman/s3api/sig"
)

// Bounds of what a session may be asked for.
const (
	maxConcurrency = 4096
	maxRounds      = 1000
	maxObjects     = 10_000_000
	maxDuration    = time.Hour
)

// Endpoint is one store under load.
type Endpoint struct {
	// URLs are the addresses of the S3 API: one for each node. Connections are spread
	// over them.
	URLs       []string
	Credential sig.Credential
	Region     string
	// PIDs are the server's processes, if they run on this machine.
	PIDs []int
	// Admin are the addresses of IronMan nodes' admin listeners.
	Admin []string
	// Durability says what the endpoint does before it acknowledges, and its geometry:
	// printed with the table, as nobody can see it from outside.
	Durability string
}

// Options say what a session does. Zero figures are not defaults: Command has those.
type Options struct {
	Endpoint Endpoint
	Against  *Endpoint // the second endpoint; nil: none
	Works    []string
	// Expire compares the endpoint with itself instead of another one: so many objects
	// expire while it is loaded as A, and none while it is loaded as B. 0: no.
	Expire int

	Concurrency int           // 0: as the work has it
	Objects     int           // that a work prepares; 0: as the work has it
	Duration    time.Duration // of a run
	Warmup      time.Duration // before the first run of a work on an endpoint; 0: none
	Pause       time.Duration // between runs
	Rounds      int
	Requests    int64 // that end a run; 0: no bound
	MaxBytes    int64 // stored by one run that end it

	Bucket          string // empty: one with a name of its own
	Seed            uint64
	UnsignedPayload bool
	Keep            bool // objects and bucket stay
	AllowRemote     bool
	InsecureTLS     bool
	Progress        io.Writer // nil: none
}

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// validate checks everything that can be checked without the network.
func (o *Options) validate() error {
	if _, err := worksNamed(o.Works); err != nil {
		return err
	}
	switch {
	case o.Concurrency < 0 || o.Concurrency > maxConcurrency:
		return fmt.Errorf("concurrency must be 1 to %d", maxConcurrency)
	case o.Objects < 0 || o.Objects > maxObjects:
		return fmt.Errorf("objects must be 1 to %d", maxObjects)
	case o.Duration <= 0 || o.Duration > maxDuration:
		return fmt.Errorf("duration must be above 0 and at most %v", maxDuration)
	case o.Warmup < 0 || o.Warmup > maxDuration || o.Pause < 0 || o.Pause > maxDuration:
		return fmt.Errorf("warm-up and pause must be 0 to %v", maxDuration)
	case o.Rounds < 1 || o.Rounds > maxRounds:
		return fmt.Errorf("rounds must be 1 to %d", maxRounds)
	case o.Requests < 0:
		return errors.New("requests must not be negative")
	case o.MaxBytes <= 0:
		return errors.New("the number of bytes that a run may store must be above 0")
	case o.Expire < 0 || o.Expire > maxObjects:
		return fmt.Errorf("objects that expire must be 1 to %d", maxObjects)
	case o.Expire > 0 && o.Against != nil:
		return errors.New("while objects expire the endpoint is compared with itself, not with another one")
	case o.Expire > 0 && o.Bucket != "":
		return errors.New("objects expire by a rule that would replace those of the bucket: let the session make its own")
	case o.Bucket != "" && !bucketName.MatchString(o.Bucket):
		return fmt.Errorf("%q cannot be the name of a bucket", clip(o.Bucket, 80))
	}
	if err := o.Endpoint.validate(o.AllowRemote); err != nil {
		return fmt.Errorf("endpoint A: %w", err)
	}
	if o.Against == nil {
		return nil
	}
	if err := o.Against.validate(o.AllowRemote); err != nil {
		return fmt.Errorf("endpoint B: %w", err)
	}
	return nil
}

func (e *Endpoint) validate(allowRemote bool) error {
	if len(e.URLs) == 0 {
		return errors.New("no URL")
	}
	if e.Credential.AccessKey == "" || len(e.Credential.Secret.Reveal()) == 0 {
		return errors.New("no access key or no secret key")
	}
	if e.Region == "" {
		return errors.New("no region")
	}
	for _, pid := range e.PIDs {
		if pid <= 0 {
			return fmt.Errorf("%d is no process id", pid)
		}
	}
	if _, err := parseAddresses(e.URLs, allowRemote); err != nil {
		return err
	}
	_, err := parseAddresses(e.Admin, allowRemote)
	return err
}

// parseAddresses reads http://HOST:PORT and https://HOST:PORT.
func parseAddresses(list []string, allowRemote bool) ([]*url.URL, error) {
	var out []*url.URL
	for _, s := range list {
		u, err := url.Parse(s)
		if err != nil {
			return nil, errors.New("a URL that cannot be read") // it may hold a password
		}
		switch {
		case u.User != nil:
			return nil, errors.New("a URL must not hold credentials")
		case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
			return nil, fmt.Errorf("%q is not like http://127.0.0.1:9000", clip(s, 200))
		case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
			return nil, fmt.Errorf("%q must end after the port", clip(s, 200))
		case !allowRemote && !isLoopback(u.Hostname()):
			return nil, fmt.Errorf("%s is not on this machine: a load generator may do harm there; --allow-remote permits it", u.Host)
		}
		out = append(out, &url.URL{Scheme: u.Scheme, Host: u.Host})
	}
	return out, nil
}

// isLoopback knows addresses and "localhost", and asks no name server.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// dialTarget reports whether something listens at an address: an early and clear error.
func dialTarget(u *url.URL) error {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	c, err := net.DialTimeout("tcp", net.JoinHostPort(u.Hostname(), port), 5*time.Second)
	if err != nil {
		return fmt.Errorf("nothing answers at %s: %w", u, err)
	}
	return c.Close()
}
