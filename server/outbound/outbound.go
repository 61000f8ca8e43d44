// Package outbound keeps what a node asks of others within bounds: a name that somebody
// else has chosen must not lead it to what only this network can reach.
package outbound

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// ErrPrivate: the address is loopback, link-local or private.
var ErrPrivate = errors.New("the address is loopback, link-local or private")

// PublicOnly is the Control of a net.Dialer that refuses addresses which only this
// network can reach. What a name stands for is judged there, each time it is dialed.
func PublicOnly(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if ip := a.Addr(); !Public(ip) {
		return fmt.Errorf("%v: %w", ip, ErrPrivate)
	}
	return nil
}

// special are the blocks that are not of the internet at large, besides those that netip
// knows, and those by which one address stands for another.
// https://www.iana.org/assignments/iana-ipv4-special-registry
// https://www.iana.org/assignments/iana-ipv6-special-registry
var special = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fec0::/10"),
}

// Public reports whether an address is one of the internet at large.
func Public(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false
	}
	for _, p := range special {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}
