//go:build aws

package aws_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// awsCall is a request to AWS on its way.
type awsCall struct {
	// op is the operation with its service's name, as "DynamoDB_20120810.PutItem"; "" for S3 and STS.
	op string
	// body is the request's.
	body string
}

// disturbance says what a proxy does to a request.
type disturbance struct {
	// delay is how long it waits first.
	delay time.Duration
	// code answers the request with this error, and AWS does not get it; hold gives it to AWS and keeps the answer until the client is gone.
	code string
	hold bool
	// gone is told, when it is not nil, that the client of a request that was held is gone.
	gone func()
}

// proxy stands before AWS and disturbs what goes through. It may be shut, as if nothing were there.
type proxy struct {
	t      testing.TB
	addr   string
	target *httputil.ReverseProxy

	mu      sync.Mutex
	server  *http.Server
	disturb func(awsCall) disturbance
	seen    int
}

// newProxy opens a proxy before AWS_ENDPOINT_URL until the test ends.
func newProxy(t testing.TB) *proxy {
	t.Helper()
	target, err := url.Parse(os.Getenv("AWS_ENDPOINT_URL"))
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, target: &httputil.ReverseProxy{
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}}
	p.addr = fmt.Sprintf("127.0.0.1:%d", freeBase(t))
	p.open()
	t.Cleanup(p.shut)
	return p
}

// url is where AWS is found through the proxy.
func (p *proxy) url() string { return "http://" + p.addr }

// shut lets connections be refused and ends those that are open.
func (p *proxy) shut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil {
		_ = p.server.Close()
		p.server = nil
	}
}

// open lets connections in again.
func (p *proxy) open() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	l, err := (&net.ListenConfig{}).Listen(p.t.Context(), "tcp", p.addr)
	if err != nil {
		p.t.Fatalf("opening the proxy: %v", err)
	}
	server := &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	p.server = server
	go func() { _ = server.Serve(l) }()
}

// with sets what happens to requests from now on; nil: nothing.
func (p *proxy) with(disturb func(awsCall) disturbance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disturb = disturb
}

// count is how many requests came.
func (p *proxy) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // The client is gone.
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	d := p.judge(awsCall{op: r.Header.Get("X-Amz-Target"), body: string(body)})
	select {
	case <-time.After(d.delay):
	case <-r.Context().Done():
		return
	}
	switch {
	case d.code != "":
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"__type":"com.amazonaws#%s","message":"of the test"}`, d.code)
	case d.hold:
		p.target.ServeHTTP(discard{http.Header{}}, r.Clone(p.t.Context()))
		<-r.Context().Done()
		if d.gone != nil {
			d.gone()
		}
	default:
		p.target.ServeHTTP(w, r)
	}
}

func (p *proxy) judge(c awsCall) disturbance {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen++
	if p.disturb == nil {
		return disturbance{}
	}
	return p.disturb(c)
}

// writes tells whether the request writes to a table.
func (c awsCall) writes(table string) bool {
	_, op, _ := strings.Cut(c.op, ".")
	return (op == "TransactWriteItems" || op == "PutItem" || op == "UpdateItem") && strings.Contains(c.body, `"`+table+`"`)
}

// discard takes an answer that nobody gets.
type discard struct{ header http.Header }

// Header implements http.ResponseWriter.
func (d discard) Header() http.Header { return d.header }

// Write implements http.ResponseWriter.
func (discard) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader implements http.ResponseWriter.
func (discard) WriteHeader(int) {}
