package portal

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// contentSecurityPolicy lets a page load what the region itself serves, and call the regions of the topology, the global name,
// and the servers that the documents name.
func contentSecurityPolicy(cfg Config) string {
	connect := []string{"'self'"}
	add := func(endpoint string) {
		u, err := url.Parse(endpoint)
		if err != nil || u.Host == "" || strings.ContainsAny(u.Host, "*;,'") {
			return // A policy would read more into it than a host.
		}
		if origin := u.Scheme + "://" + u.Host; !slices.Contains(connect, origin) {
			connect = append(connect, origin)
		}
	}
	for _, i := range cfg.Topology.Regions() {
		add(cfg.Topology.Endpoint(i))
	}
	add(cfg.GlobalURL)
	for _, v := range cfg.Versions {
		for _, server := range headOf(v.JSON).Servers {
			add(server.URL)
		}
	}
	return strings.Join([]string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src " + strings.Join(connect, " "),
		"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
	}, "; ")
}

// protect says what a page may do.
func (p *Portal) protect(h http.Header) {
	h.Set("Content-Security-Policy", p.policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
}
