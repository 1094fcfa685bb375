package test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/domicile-api/domicile/internal/apidoc/apidoctest"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
	"github.com/domicile-api/domicile/openapi"
)

// documents has all that this suite calls over REST held against the region's document.
var documents = sync.OnceValue(func() *apidoctest.Checker {
	checker, err := apidoctest.New(openapi.Files, topologyfile.Default())
	if err != nil {
		panic(err) // The suite cannot run without its documents.
	}
	return checker
})

// unsayable are operations that refuse what the document allows, and why no schema says it.
var unsayable = map[string]string{
	"CreateTenant":    "home and standby are regions of one jurisdiction",
	"PurgeTenant":     "the tenant was deleted before",
	"ExplainOwnRoute": "the method is one of the platform's, and the caller's place a country or one of its regions",
}

// undue are disagreements of calls that no test was named for.
var undue struct {
	sync.Mutex

	errs []error
}

type reporterKey struct{}

// reportTo is the context of calls whose disagreements fail a test.
func reportTo(t testing.TB) context.Context {
	t.Helper()
	return context.WithValue(t.Context(), reporterKey{}, t)
}

// documented is a transport whose exchanges are held against the documents.
func documented(base http.RoundTripper) http.RoundTripper {
	return &lazyTransport{base: base}
}

// lazyTransport makes the checker when it is used first: a test binary that plays the domicile binary needs none.
type lazyTransport struct{ base http.RoundTripper }

func (l *lazyTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	return (&apidoctest.Transport{Base: l.base, Checker: documents(), Report: report}).RoundTrip(r)
}

func report(ctx context.Context, err error) {
	if t, ok := ctx.Value(reporterKey{}).(testing.TB); ok {
		t.Error(err)
		return
	}
	undue.Lock()
	defer undue.Unlock()
	undue.errs = append(undue.errs, err)
}

// holdAgainstDocument is for what was sent as bytes. What net/http cannot read as a request has no operation; its answer is held against
// the shape of errors all the same.
func holdAgainstDocument(t testing.TB, request string, a answer) {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request)))
	if err != nil {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		body = nil // It ends where net/http says so; a request that is accepted had all of it.
	}
	if err := documents().Check(apidoctest.Exchange{
		Method: r.Method, URL: r.URL, Header: r.Header, Body: bytes.Clone(body), Status: a.status, Answer: a.header, AnswerBody: a.body,
	}); err != nil {
		t.Error(err)
	}
}

// disagreements makes the suite's result: it fails when a call that no test was named for disagreed with the document, and, when all tests
// ran, when an operation or a success of the document was never seen.
func disagreements(code int) int {
	undue.Lock()
	err := errors.Join(undue.errs...)
	undue.Unlock()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	for operation, gap := range documents().Gaps() {
		if unsayable[operation] == "" {
			_, _ = fmt.Fprintln(os.Stderr, "refused, though the document allows it; say it there, or in unsayable why not:", operation, gap)
			code = max(code, 1)
		}
	}
	if testing.Verbose() {
		_, _ = fmt.Fprintln(os.Stderr, "calls held against the document:", documents().Checked())
	}
	if code != 0 || !everythingRan() {
		return code
	}
	for _, missing := range documents().Missing() {
		_, _ = fmt.Fprintln(os.Stderr, "the suite does not show that the document is true:", missing)
		code = 1
	}
	return code
}

// everythingRan says whether no test was left out by a flag.
func everythingRan() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return !testing.Short()
}
