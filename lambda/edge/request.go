package edge

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-lambda-go/events"
)

// requestOf makes the request that an HTTP API (payload format 2.0) hands to a function. The gateway has joined headers of one name with
// commas and decoded the path; a slash that was escaped in it is not told from another.
func requestOf(ctx context.Context, e *events.APIGatewayV2HTTPRequest) (*http.Request, error) {
	body, err := bodyOf(e)
	if err != nil {
		return nil, err
	}
	target := &url.URL{Path: e.RawPath, RawQuery: e.RawQueryString}
	if target.Path == "" {
		target.Path = "/"
	}
	// The context's method and not a header decides: the gateway has it from the request line.
	r, err := http.NewRequestWithContext(ctx, e.RequestContext.HTTP.Method, "/", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("reading the event: %w", err)
	}
	r.URL = target // As it is: written as text and read again, what begins with two slashes would be a host.
	if len(body) == 0 {
		r.Body, r.GetBody = http.NoBody, nil
	}
	for name, value := range e.Headers {
		r.Header[http.CanonicalHeaderKey(name)] = []string{value}
	}
	if len(e.Cookies) > 0 {
		r.Header["Cookie"] = []string{strings.Join(e.Cookies, "; ")}
	}
	r.Host = r.Header.Get("Host")
	if r.Host == "" {
		r.Host = e.RequestContext.DomainName
	}
	delete(r.Header, "Host")
	// The body is here whole, whatever the client said of how it was to come.
	delete(r.Header, "Content-Length")
	delete(r.Header, "Transfer-Encoding")
	r.RequestURI = target.RequestURI()
	r.RemoteAddr = net.JoinHostPort(e.RequestContext.HTTP.SourceIP, "0")
	return r, nil
}

func bodyOf(e *events.APIGatewayV2HTTPRequest) ([]byte, error) {
	if !e.IsBase64Encoded {
		return []byte(e.Body), nil
	}
	body, err := base64.StdEncoding.DecodeString(e.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the event's body: %w", err)
	}
	return body, nil
}
