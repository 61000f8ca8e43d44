package link

import (
	"crypto/ed25519"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// protocol is the application protocol of the TLS sessions between nodes.
const protocol = "ironman-link"

// exporterLabel names the keying material that binds a join proof to its session.
const exporterLabel = "EXPORTER-ironman-link-join"

// certificate wraps a node's key for TLS. Nobody signs it but the node: what counts
// is the key, which membership pins. Its validity is fixed and very wide, so that
// no clock decides whether nodes can talk.
func certificate(key ed25519.PrivateKey) (tls.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "ironman node"},
		NotBefore:    time.Unix(0, 0).UTC(),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("link: the node's certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// tlsConfig is that of either side; check judges the other side's key during the
// handshake, which has proved that the other side holds it.
func tlsConfig(cert tls.Certificate, now func() time.Time, check func(ed25519.PublicKey) error) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS13,
		NextProtos:   []string{protocol},
		// There is no authority to ask and no name to compare: VerifyConnection
		// judges the key itself.
		InsecureSkipVerify: true,
		ClientAuth:         tls.RequireAnyClientCert,
		VerifyConnection: func(s tls.ConnectionState) error {
			key, err := keyOf(&s)
			if err != nil {
				return err
			}
			return check(key)
		},
		// A resumed session would skip the proof of the key.
		SessionTicketsDisabled:      true,
		DynamicRecordSizingDisabled: true,
		Time:                        now,
	}
}

// keyOf returns the key that the other side has proved to hold.
func keyOf(s *tls.ConnectionState) (ed25519.PublicKey, error) {
	if s.NegotiatedProtocol != protocol {
		return nil, errors.New("link: the other side is not a node")
	}
	if len(s.PeerCertificates) != 1 {
		return nil, errors.New("link: the other side showed no certificate of a node")
	}
	key, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok || len(key) != ed25519.PublicKeySize {
		return nil, errors.New("link: the other side's key is not an Ed25519 key")
	}
	return key, nil
}

// same compares keys in constant time.
func same(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// anyKey accepts every key: what its owner may do is decided after the hello.
func anyKey(ed25519.PublicKey) error { return nil }

// pinned accepts one key.
func pinned(node uint32, key ed25519.PublicKey) func(ed25519.PublicKey) error {
	return func(got ed25519.PublicKey) error {
		if !same(got, key) {
			return fmt.Errorf("what answers at the address of node %d does not hold that node's key", node)
		}
		return nil
	}
}
