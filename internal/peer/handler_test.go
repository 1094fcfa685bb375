package peer_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	"github.com/domicile-api/domicile/gen/domicile/peer/v1/peerv1connect"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/peer"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

func newKey(fill byte) *peer.Key { return peer.NewKey(bytes.Repeat([]byte{fill}, ed25519.SeedSize)) }

// keyring are keys by region and id.
type keyring map[ident.RegionID][]*peer.Key

func (k keyring) PeerKey(region ident.RegionID, id string) (ed25519.PublicKey, bool) {
	for _, key := range k[region] {
		if key.ID() == id {
			return key.Public(), true
		}
	}
	return nil, false
}

// gate is Frankfurt's handler, and what is right to send to it.
type gate struct {
	handler http.Handler
	region  *region
	now     time.Time
	key     *peer.Key
	claims  peer.Claims
	body    []byte
}

func newGate(t testing.TB) *gate {
	t.Helper()
	w := newWorld(t, topologyfile.Default())
	g := &gate{region: w.regions[frankfurt], now: time.Unix(1<<31, 0), key: newKey('v')}
	path, handler, err := peer.NewHandler(peer.HandlerConfig{
		Region: frankfurt, Service: w.handlers[frankfurt], Clock: func() time.Time { return g.now }, Logger: slog.New(slog.DiscardHandler),
		Keys: keyring{virginia: {g.key}, dublin: {newKey('d')}},
	})
	if err != nil || path != "/"+peerv1connect.PeerServiceName+"/" {
		t.Fatalf("NewHandler: %q, %v", path, err)
	}
	g.handler = handler
	g.body, err = proto.Marshal(&peerv1.DigestRequest{Stream: stream()})
	if err != nil {
		t.Fatal(err)
	}
	g.claims = peer.Claims{
		Origin: virginia, KeyID: g.key.ID(), Target: frankfurt, Procedure: peerv1connect.PeerServiceDigestProcedure, Body: g.body, Issued: g.now,
	}
	return g
}

// unread fails the test when a body is read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body of a call that is not let in was read")
	return 0, io.EOF
}

func (g *gate) request(t *testing.T, body io.Reader, headers ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://frankfurt"+peerv1connect.PeerServiceDigestProcedure, body)
	r.Header.Set("Content-Type", "application/proto")
	for _, header := range headers {
		r.Header.Add(peer.HeaderName, header)
	}
	return r
}

func (g *gate) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	g.handler.ServeHTTP(w, r)
	return w
}

func TestSignedCallIsLetIn(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	header := peer.SignClaims(g.key, g.claims)
	// Also again, and at the ends of its age.
	for _, step := range []time.Duration{0, 0, -peer.DefaultMaxSkew, peer.DefaultMaxSkew + peer.DefaultMaxAge} {
		g.now = g.now.Add(step)
		if w := g.serve(g.request(t, bytes.NewReader(g.body), header)); w.Code != http.StatusOK {
			t.Errorf("after %s: %d %s", step, w.Code, w.Body)
		}
	}
	if len(g.region.callers) != 4 || g.region.callers[0] != virginia {
		t.Errorf("callers %v", g.region.callers)
	}
}

func TestWhatIsNotLetIn(t *testing.T) {
	t.Parallel()
	good := newGate(t)
	alter := func(change func(*peer.Claims)) string {
		c := good.claims
		change(&c)
		return peer.SignClaims(good.key, c)
	}
	header := peer.SignClaims(good.key, good.claims)
	version, rest, _ := strings.Cut(header, ".")
	first, second, _ := strings.Cut(rest, ".")
	for name, headers := range map[string][]string{
		"none":                 nil,
		"empty":                {""},
		"two":                  {header, header},
		"another version":      {"v2." + rest},
		"cut":                  {header[:len(header)-1]},
		"a part more":          {header + ".AA"},
		"line break":           {version + "." + first + ".\n" + second},
		"padding":              {header + "="},
		"too long":             {version + "." + strings.Repeat("A", 4096) + "." + second},
		"empty parts":          {alter(func(c *peer.Claims) { c.Origin = "" })},
		"another's key":        {peer.SignClaims(newKey('d'), good.claims)},
		"another's name":       {alter(func(c *peer.Claims) { c.Origin = dublin })},
		"another's everything": {peer.SignClaims(good.key, peer.Claims{Origin: dublin, KeyID: newKey('d').ID(), Target: frankfurt, Procedure: good.claims.Procedure, Body: good.body, Issued: good.now})},
		"unknown region":       {alter(func(c *peer.Claims) { c.Origin = "mars-1" })},
		"unknown key":          {alter(func(c *peer.Claims) { c.KeyID = "0123456789abcdef" })},
		"another target":       {alter(func(c *peer.Claims) { c.Target = dublin })},
		"another procedure":    {alter(func(c *peer.Claims) { c.Procedure = peerv1connect.PeerServiceSendProcedure })},
		"stale":                {alter(func(c *peer.Claims) { c.Issued = good.now.Add(-peer.DefaultMaxAge - time.Millisecond) })},
		"from the future":      {alter(func(c *peer.Claims) { c.Issued = good.now.Add(peer.DefaultMaxSkew + time.Millisecond) })},
		"long ago":             {alter(func(c *peer.Claims) { c.Issued = time.UnixMilli(-1 << 62) })},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t)
			w := g.serve(g.request(t, unread{t}, headers...))
			if w.Code != http.StatusUnauthorized || len(g.region.callers) != 0 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if header := strings.Join(headers, ""); len(header) > 8 && strings.Contains(w.Body.String(), header[:8]) {
				t.Errorf("the header is repeated: %s", w.Body)
			}
		})
	}
}

func TestAnotherBody(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	header := peer.SignClaims(g.key, g.claims)
	for _, body := range [][]byte{nil, g.body[1:], append(bytes.Clone(g.body), 0)} {
		if w := g.serve(g.request(t, bytes.NewReader(body), header)); w.Code != http.StatusUnauthorized {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	if len(g.region.callers) != 0 {
		t.Errorf("callers %v", g.region.callers)
	}
	r := g.request(t, unread{t}, header)
	r.URL.RawQuery = "connect=v1"
	if w := g.serve(r); w.Code != http.StatusUnauthorized {
		t.Errorf("a query: %d", w.Code)
	}
	r = g.request(t, unread{t}, header)
	r.Method = http.MethodGet
	if w := g.serve(r); w.Code != http.StatusUnauthorized {
		t.Errorf("GET: %d", w.Code)
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	g.claims.Body = make([]byte, peer.MaxRequestBytes+1)
	header := peer.SignClaims(g.key, g.claims)
	declared := g.request(t, unread{t}, header)
	declared.ContentLength = peer.MaxRequestBytes + 1
	for _, r := range []*http.Request{declared, g.request(t, bytes.NewReader(g.claims.Body), header)} {
		if w := g.serve(r); w.Code == http.StatusOK || !strings.Contains(w.Body.String(), "larger than is allowed") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}

// TestEveryAlteredByte alters each byte of a header and cuts it at each place.
func TestEveryAlteredByte(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	header := peer.SignClaims(g.key, g.claims)
	for i := range len(header) {
		for _, altered := range []string{header[:i] + "A" + header[i+1:], header[:i] + "." + header[i+1:], header[:i]} {
			if altered == header {
				continue
			}
			if w := g.serve(g.request(t, unread{t}, altered)); w.Code != http.StatusUnauthorized {
				t.Fatalf("byte %d: %d", i, w.Code)
			}
		}
	}
}

// A panic is an answer without what it was panicked with.
func TestPanic(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	g.region.during = func(context.Context) { panic("secret") }
	w := g.serve(g.request(t, bytes.NewReader(g.body), peer.SignClaims(g.key, g.claims)))
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// What stands in front of a region and says that nobody is behind it, or speaks another language, is no region.
func TestProxies(t *testing.T) {
	t.Parallel()
	for _, status := range []int{
		http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusNotFound, http.StatusFound, http.StatusOK, http.StatusUnauthorized,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		}))
		defer server.Close()
		message := topologyfile.Default().Proto()
		message.GetRegions()[0].Endpoint = server.URL
		top, err := topologyfile.New(message)
		if err != nil {
			t.Fatal(err)
		}
		network, err := peer.NewConnect(peer.ConnectConfig{
			Region: virginia, Topology: top, Key: newKey('v'), Clock: time.Now, Random: strings.NewReader(strings.Repeat("r", 1000)),
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = network.To(frankfurt).Digest(t.Context(), &peerv1.DigestRequest{})
		if !errors.Is(err, peer.ErrUnreachable) {
			t.Errorf("status %d: %v", status, err)
		}
	}
}

// FuzzHeader holds that a header has one form, and that nothing but the one good header is let in.
func FuzzHeader(f *testing.F) {
	g := newGate(f)
	good := peer.SignClaims(g.key, g.claims)
	for _, header := range []string{good, good[:len(good)-1], "", "v1..", "v1.AA.AA", "v2" + good[2:], good + "\n"} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if again, ok := peer.ParseHeader(header); ok && again != header {
			t.Errorf("%q is read as %q", header, again)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://x"+peerv1connect.PeerServiceDigestProcedure, bytes.NewReader(g.body))
		r.Header = http.Header{"Content-Type": {"application/proto"}, peer.HeaderName: {header}}
		if w := g.serve(r); (w.Code == http.StatusOK) != (header == good) {
			t.Errorf("%q is answered with %d", header, w.Code)
		}
	})
}
