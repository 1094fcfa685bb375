package lambdahost

import (
	"crypto/rand"
	"encoding/base64"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// gatewayTime is the form of requestContext.time, that of the Common Log Format.
const gatewayTime = "02/Jan/2006:15:04:05 -0700"

// event is the request as a function sees it.
func (g *Gateway) event(r *http.Request, body []byte, requestID string) events.APIGatewayV2HTTPRequest {
	now := g.cfg.Clock().UTC()
	path, domain, source := gatewayPath(r.URL), hostOf(r.Host), hostOf(r.RemoteAddr)
	prefix, _, _ := strings.Cut(domain, ".")
	e := events.APIGatewayV2HTTPRequest{
		Version:               "2.0",
		RouteKey:              "$default",
		RawPath:               path,
		RawQueryString:        r.URL.RawQuery,
		Cookies:               cookiesOf(r.Header),
		Headers:               gatewayHeaders(r, source, len(body), now),
		QueryStringParameters: queryParameters(r.URL.RawQuery),
		RequestContext: events.APIGatewayV2HTTPRequestContext{
			RouteKey: "$default", Stage: "$default", AccountID: g.cfg.Account, APIID: g.cfg.APIID, RequestID: requestID,
			DomainName: domain, DomainPrefix: prefix, Time: now.Format(gatewayTime), TimeEpoch: now.UnixMilli(),
			HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{
				Method: r.Method, Path: path, Protocol: "HTTP/1.1", SourceIP: source, UserAgent: r.UserAgent(),
			},
		},
	}
	switch {
	case len(body) == 0:
	case isText(r.Header.Get("Content-Type")):
		e.Body = string(body) // As JSON, which turns what is no UTF-8 into U+FFFD: a text in another encoding is broken on AWS too.
	default:
		e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	return e
}

// gatewayPath is rawPath, which in spite of its name an HTTP API decodes, and cuts at a decoded question mark (function URLs and REST
// APIs do neither). So a slash in a segment does not survive the gateway.
func gatewayPath(u *url.URL) string {
	path, _, _ := strings.Cut(u.Path, "?")
	if path == "" {
		return "/"
	}
	return path
}

// gatewayHeaders are the headers of an event: names in lower case, several values of one name joined by commas. Cookies stand apart;
// headers about the connection end at the gateway.
func gatewayHeaders(r *http.Request, source string, length int, now time.Time) map[string]string {
	headers := make(map[string]string, len(r.Header)+6)
	for name, values := range r.Header {
		switch lower := strings.ToLower(name); {
		case lower == "cookie" || isHopByHop(lower):
		default:
			headers[lower] = strings.Join(values, ",")
		}
	}
	headers["host"] = r.Host
	headers["content-length"] = strconv.Itoa(length)
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	headers["x-forwarded-proto"] = scheme
	headers["x-forwarded-port"] = portOf(r.Host, scheme)
	if before := headers["x-forwarded-for"]; before != "" {
		headers["x-forwarded-for"] = before + ", " + source
	} else {
		headers["x-forwarded-for"] = source
	}
	if headers["x-amzn-trace-id"] == "" {
		headers["x-amzn-trace-id"] = "Root=" + newTraceRoot(now)
	}
	return headers
}

// isHopByHop tells whether a header, in lower case, is about one connection (RFC 9110, section 7.6.1).
func isHopByHop(name string) bool {
	switch name {
	case "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
		"transfer-encoding", "upgrade", "expect":
		return true
	default:
		return false
	}
}

// cookiesOf returns the cookies of a request, one an element as they were written.
func cookiesOf(h http.Header) []string {
	var all []string
	for _, line := range h.Values("Cookie") {
		for cookie := range strings.SplitSeq(line, ";") {
			if cookie = strings.TrimSpace(cookie); cookie != "" {
				all = append(all, cookie)
			}
		}
	}
	return all
}

// queryParameters are a query's parameters, decoded, several values of one name joined by commas. What cannot be decoded is left as it is.
func queryParameters(raw string) map[string]string {
	var all map[string]string
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, value = unescape(name), unescape(value)
		if all == nil {
			all = make(map[string]string)
		}
		if before, known := all[name]; known {
			value = before + "," + value
		}
		all[name] = value
	}
	return all
}

func unescape(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}

// isText tells whether the body of a content type travels as text. AWS does not document which; seen on it were these, and base64 for
// all others, forms and bodies without a content type among them (github.com/ministackorg/ministack/pull/766).
func isText(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		media, _, _ = strings.Cut(strings.ToLower(contentType), ";")
		media = strings.TrimSpace(media)
	}
	switch media {
	case "application/json", "application/xml", "application/javascript":
		return true
	default:
		return strings.HasPrefix(media, "text/")
	}
}

// hostOf returns an address without its port.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return strings.Trim(address, "[]")
	}
	return host
}

func portOf(host, scheme string) string {
	if _, port, err := net.SplitHostPort(host); err == nil {
		return port
	}
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// newGatewayID returns a request id in the form of API Gateway's: 11 random bytes in base64.
func newGatewayID() string {
	var b [11]byte
	_, _ = rand.Read(b[:])
	return base64.StdEncoding.EncodeToString(b[:])
}
