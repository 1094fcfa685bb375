package edge

import (
	"net/http"
	"strings"
)

// hopByHop are the headers that concern one connection alone (RFC 9110, section 7.6.1), beside those that Connection names.
//
//nolint:gochecknoglobals // an immutable table
var hopByHop = map[string]struct{}{
	"Connection": {}, "Keep-Alive": {}, "Proxy-Authenticate": {}, "Proxy-Authorization": {}, "Proxy-Connection": {}, "Te": {},
	"Trailer": {}, "Transfer-Encoding": {}, "Upgrade": {}, "Expect": {},
}

// internalHeaders are what answers of the platform say, or what proxies say of a caller: its address, name and place, which are
// personal data. From a client they mean nothing and go no further. Domicile-Route is not among them: it is judged.
//
//nolint:gochecknoglobals // an immutable table
var internalHeaders = []string{
	"Domicile-Edge", "Domicile-Home", "Domicile-Region", "Domicile-Release", "Domicile-Staleness", "Idempotency-Replayed",
	"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Forwarded-Server", "X-Real-Ip",
	"X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "Fastly-Client-Ip", "X-Original-Url", "X-Rewrite-Url",
	"Domicile-Country",
}

const viewerPrefix = "Cloudfront-Viewer-"

// stripInternal removes them.
func stripInternal(h http.Header) {
	for _, name := range internalHeaders {
		delete(h, name)
	}
	for name := range h {
		if strings.HasPrefix(name, viewerPrefix) {
			delete(h, name)
		}
	}
}

// forwardable copies what is not hop-by-hop. The values are shared: nobody changes them.
func forwardable(h http.Header, room int) http.Header {
	out := make(http.Header, len(h)+room)
	for name, values := range h {
		if _, skip := hopByHop[name]; !skip {
			out[name] = values
		}
	}
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			delete(out, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	return out
}

// forwarded returns a header's value as the next hop gets it: nothing if Connection keeps it to this one.
func forwarded(h http.Header, name string) string {
	for _, line := range h["Connection"] {
		for listed := range strings.SplitSeq(line, ",") {
			if http.CanonicalHeaderKey(strings.TrimSpace(listed)) == name {
				return ""
			}
		}
	}
	return h.Get(name)
}
