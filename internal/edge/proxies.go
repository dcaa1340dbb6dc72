package edge

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the addresses of proxies whose word is taken for where a request comes from.
type Proxies []netip.Prefix

// Trusts reports whether an address is a proxy's.
func (p Proxies) Trusts(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(prefix netip.Prefix) bool { return prefix.Contains(a) })
}

// Peer returns the address that a request comes from: that of its connection, or if that is a proxy's, the last address
// that is no proxy's in Forwarded (RFC 7239) or X-Forwarded-For. What is before it any caller can make up. Where both
// headers are there, Forwarded counts, unless X-Forwarded-For has another address: one of the two may be the caller's
// own then, so that it is the connection's address.
func (p Proxies) Peer(remote string, h http.Header) string {
	if len(p) == 0 {
		return remote
	}
	from, err := netip.ParseAddrPort(remote)
	if err != nil || !p.Trusts(from.Addr().Unmap()) {
		return remote
	}
	forwarded, forwardedOK := p.last(h["Forwarded"], forwardedFor)
	listed, listedOK := p.last(h["X-Forwarded-For"], parseNode)
	switch {
	case forwardedOK && (!listedOK || forwarded == listed):
		return forwarded.String()
	case listedOK && len(h["Forwarded"]) == 0:
		return listed.String()
	}
	return remote
}

// last returns the last address of a list that is no proxy's; the first if all are.
func (p Proxies) last(lines []string, parse func(string) (netip.Addr, bool)) (a netip.Addr, ok bool) {
	items := strings.Split(strings.Join(lines, ","), ",")
	for _, item := range slices.Backward(items) {
		next, valid := parse(item)
		if !valid {
			return a, false
		}
		if a, ok = next, true; !p.Trusts(a) {
			break
		}
	}
	return a, ok
}

// forwardedFor returns the address of one element of Forwarded. It knows no commas and semicolons within quotes, which
// no address has: such an element is not valid.
func forwardedFor(element string) (netip.Addr, bool) {
	for pair := range strings.SplitSeq(element, ";") {
		if name, value, _ := strings.Cut(strings.TrimSpace(pair), "="); strings.EqualFold(name, "for") {
			return parseNode(strings.Trim(value, `"`))
		}
	}
	return netip.Addr{}, false
}

// parseNode reads an address as proxies write it: with or without a port and, if it is IPv6, brackets.
func parseNode(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if with, err := netip.ParseAddrPort(text); err == nil {
		return with.Addr().Unmap(), true
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	return a.Unmap(), err == nil
}
