package client

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// parseEndpoint reads a scheme and a host.
func parseEndpoint(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("client: an endpoint is not a URL: %w", err)
	}
	if (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, fmt.Errorf("client: the endpoint %q is not a URL of http or https with a host and nothing else", text)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// ours tells whether a URL is the platform's.
func (c *Client) ours(u *url.URL) bool {
	for _, endpoint := range c.endpoints {
		if sameOrigin(endpoint, u) {
			return true
		}
	}
	return false
}

// oursHost tells whether a host, with a port if it is not the scheme's, is the platform's. Connect does not tell the scheme.
func (c *Client) oursHost(host string) bool {
	for _, endpoint := range c.endpoints {
		if sameOrigin(endpoint, &url.URL{Scheme: endpoint.Scheme, Host: host}) {
			return true
		}
	}
	return false
}

// elsewhere returns where a call belongs, if the failure says so and the client may go there: nil otherwise.
func (c *Client) elsewhere(f *failure) *url.URL {
	if f.reason != reasonWrongRegion || f.metadata["retry_safe"] != "true" || f.from == nil {
		return nil
	}
	target, err := parseEndpoint(f.metadata["home_endpoint"])
	if err != nil || target.Scheme != f.from.Scheme || sameOrigin(target, f.from) {
		return nil
	}
	for _, endpoint := range c.endpoints {
		if sameOrigin(endpoint, target) || endpoint.Scheme == target.Scheme && within(target, endpoint) {
			return target
		}
	}
	return nil
}

// within tells whether keys that were meant for an endpoint may be sent to a target of the same scheme. TLS proves the name, so a name
// below the endpoint's belongs to who owns the endpoint's. Without TLS nothing does, and the host must be the same, or this machine.
func within(target, endpoint *url.URL) bool {
	to, from := strings.ToLower(target.Hostname()), strings.ToLower(endpoint.Hostname())
	if to == from {
		return true
	}
	if target.Scheme == "https" {
		_, err := netip.ParseAddr(from)
		return err != nil && strings.HasSuffix(to, "."+from)
	}
	return loopback(to) && loopback(from)
}

func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761, section 6.3.
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}
