package edge_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/domicile-api/domicile/internal/edge"
)

// Whatever host, key and header say, the edge answers with a reason of its own and repeats none of it.
func FuzzResolve(f *testing.F) {
	p := newPlatform(f, platformConfig{})
	for _, seed := range [][3]string{
		{"acme-eu.localhost:80", "Bearer dk_acme-eu_x_y", "acme-eu"}, {"[::1]:1", "bearer do_x_y", ""}, {"[", "Basic x", "_"}, {"a:b:c", "Bearer ", "\x00"},
		{"127.0.0.1", "Bearer dk__", "acme-us"}, {"%", "Bearer dk_bank-eu", ""}, {".", "", ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, host, authorization, tenant string) {
		r := p.request(t, "us-east-1", "", http.MethodGet, "/v1/users/x", "", nil)
		r.Body = http.NoBody
		r.Host = host
		r.Header["Authorization"] = []string{authorization}
		r.Header["Domicile-Tenant"] = []string{tenant}
		rec := newRecorder()
		p.places["us-east-1"].edge.ServeHTTP(rec, r)
		if rec.Code < 400 || !strings.Contains(rec.Body.String(), `"domicile.dev"`) || strings.Contains(rec.Body.String(), "INTERNAL") {
			t.Errorf("%q %q %q: %d %s", host, authorization, tenant, rec.Code, rec.Body)
		}
		if len(tenant) > 12 && strings.Contains(rec.Body.String(), tenant) {
			t.Errorf("the answer echoes: %s", rec.Body)
		}
	})
}

func FuzzCallerTimeout(f *testing.F) {
	for _, seed := range []string{"", "1S", "100m", "99999999H", "-1", "1e9", "0.1", "NaN", "18446744073709551615", "9223372036854775807n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, name := range []string{"Grpc-Timeout", "Connect-Timeout-Ms", "X-Server-Timeout"} {
			if d, ok := edge.CallerTimeout(http.Header{name: {value}}); ok && (d < 0 || d.Hours() > 24) {
				t.Errorf("%s %q: %v", name, value, d)
			}
		}
	})
}
