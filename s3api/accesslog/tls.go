package accesslog

import (
	"crypto/tls"
	"strings"
)

// TLSVersion is a version of TLS as logs have it.
func TLSVersion(v uint16) string {
	switch v {
	case tls.VersionTLS10:
		return "TLSv1"
	case tls.VersionTLS11:
		return "TLSv1.1"
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return ""
}

// CipherSuite is the name of a cipher suite as logs have it, which is OpenSSL's: those of
// TLS 1.3 have no other, of the older ones it is made of the standard's.
func CipherSuite(id uint16) string {
	name := strings.TrimPrefix(tls.CipherSuiteName(id), "TLS_")
	exchange, cipher, old := strings.Cut(name, "_WITH_")
	if !old {
		return tls.CipherSuiteName(id)
	}
	switch {
	case strings.HasPrefix(cipher, "AES_"):
		cipher = strings.Replace(cipher, "_", "", 1)
		cipher = strings.Replace(cipher, "_CBC", "", 1)
	case strings.HasPrefix(cipher, "CHACHA20_"):
		cipher = "CHACHA20_POLY1305"
	case cipher == "3DES_EDE_CBC_SHA":
		cipher = "DES_CBC3_SHA"
	case cipher == "RC4_128_SHA":
		cipher = "RC4_SHA"
	}
	if exchange != "RSA" { // which OpenSSL does not name
		cipher = exchange + "_" + cipher
	}
	return strings.ReplaceAll(cipher, "_", "-")
}
