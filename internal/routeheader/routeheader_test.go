package routeheader_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	routev1 "github.com/domicile-api/domicile/gen/domicile/route/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routeheader"
)

const (
	frankfurt ident.RegionID = "eu-central-1"
	virginia  ident.RegionID = "us-east-1"
)

// world has the clock and the key directory that signers and verifiers share.
type world struct {
	mu   sync.Mutex
	now  time.Time
	keys map[string]ed25519.PublicKey
}

func newWorld() *world {
	return &world{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), keys: map[string]ed25519.PublicKey{}}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) RouteKey(region ident.RegionID, keyID string) (ed25519.PublicKey, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key, ok := w.keys[string(region)+"/"+keyID]
	return key, ok
}

func (w *world) trust(region ident.RegionID, keyID string, key ed25519.PublicKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys[string(region)+"/"+keyID] = key
}

func (w *world) withdraw(region ident.RegionID, keyID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.keys, string(region)+"/"+keyID)
}

// newKey returns the key that a seed makes, and its id.
func newKey(seed byte) (ed25519.PrivateKey, string) {
	key := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune(seed)), ed25519.SeedSize)))
	return key, routeheader.KeyID(public(key))
}

func public(key ed25519.PrivateKey) ed25519.PublicKey {
	return key.Public().(ed25519.PublicKey)
}

// signer returns Virginia's, whose key is trusted.
func (w *world) signer() *routeheader.Signer {
	key, id := newKey('v')
	w.trust(virginia, id, public(key))
	return routeheader.NewSigner(routeheader.SignerConfig{Region: virginia, KeyID: id, Key: key, Clock: w.clock})
}

// verifier returns Frankfurt's.
func (w *world) verifier() *routeheader.Verifier {
	return routeheader.NewVerifier(routeheader.VerifierConfig{Region: frankfurt, Keys: w, Clock: w.clock})
}

// claims are good ones of Virginia's key for Frankfurt.
func (w *world) claims() *routev1.RouteClaims {
	_, id := newKey('v')
	return &routev1.RouteClaims{
		Origin: string(virginia), KeyId: id, Target: string(frankfurt), Tenant: "acme-eu", Epoch: 3, IssueTime: timestamppb.New(w.clock()),
	}
}

// forge signs what a signer would not: any bytes as claims.
func forge(key ed25519.PrivateKey, domain string, claims []byte) string {
	sum := ed25519.Sign(key, append([]byte(domain), claims...))
	return "v1." + base64.RawURLEncoding.EncodeToString(claims) + "." + base64.RawURLEncoding.EncodeToString(sum)
}

const domain = "domicile route header v1\x00"

func mustMarshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantMisrouted(t *testing.T, v *routeheader.Verifier, header, message string) {
	t.Helper()
	claims, err := v.Verify(header)
	var f *fault.Error
	if !errors.As(err, &f) || f.Reason != errorsv1.Reason_REASON_MISROUTED || claims != nil {
		t.Fatalf("Verify = %v, %v; want MISROUTED", claims, err)
	}
	if !strings.Contains(f.Message, message) {
		t.Errorf("refused because %q, want %q", f.Message, message)
	}
	if len(header) > 8 && strings.Contains(err.Error(), header[len(header)-8:]) {
		t.Errorf("the refusal repeats the header: %v", err)
	}
}

func TestSignedIsVerified(t *testing.T) {
	t.Parallel()
	w := newWorld()
	signer, verifier := w.signer(), w.verifier()
	header := signer.Sign(frankfurt, "acme-eu", 3)
	for range 2 { // the second time from memory
		got, err := verifier.Verify(header)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(w.claims(), got, protocmp.Transform()); diff != "" {
			t.Errorf("claims: (-want +got)\n%s", diff)
		}
	}
	if len(header) > routeheader.MaxLength/3 {
		t.Errorf("a header has %d bytes", len(header))
	}
}

// TestGolden fixes the form of a header: regions of two releases must understand each other.
func TestGolden(t *testing.T) {
	t.Parallel()
	w := newWorld()
	const want = "v1.Cgl1cy1lYXN0LTESEGRlNTJjNWI3ZDM5NjQwNTkaDGV1LWNlbnRyYWwtMSIHYWNtZS1ldSgDMgYIwI-G2AY." +
		"0xJDm0C0mRi8oHqan_FMbKZ6Lj0EJLls8YfwLIq64RxRzHk7iimsfqajHfco39woxdJ7NUKCT3QXjXswfXqDAA"
	if got := w.signer().Sign(frankfurt, "acme-eu", 3); got != want {
		t.Errorf("header\n%s\nwant\n%s", got, want)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	w := newWorld()
	key, id := newKey('v')
	w.trust(virginia, id, public(key))
	dublinKey, dublinID := newKey('d')
	w.trust("eu-west-1", dublinID, public(dublinKey))
	w.trust(virginia, "short", public(key)[:31])
	good := forge(key, domain, mustMarshal(t, w.claims()))
	if _, err := w.verifier().Verify(good); err != nil {
		t.Fatalf("the claims that the cases alter are not good themselves: %v", err)
	}
	alter := func(change func(*routev1.RouteClaims)) string {
		c := w.claims()
		change(c)
		return forge(key, domain, mustMarshal(t, c))
	}
	parts := strings.Split(good, ".")
	// The last character of 64 bytes in base64 has 4 bits to spare; setting one does not change the bytes.
	loose := good[:len(good)-1] + string(good[len(good)-1]+1)
	for name, tc := range map[string]struct{ header, message string }{
		"none":                  {"", "no route header"},
		"oversize":              {good + strings.Repeat("A", routeheader.MaxLength), "too long"},
		"another version":       {"v2" + good[2:], "version"},
		"no version":            {good[3:], "version"},
		"version in capitals":   {"V1" + good[2:], "version"},
		"a JWT":                 {"eyJhbGciOiJub25lIn0." + parts[1] + ".", "version"},
		"no signature":          {"v1." + parts[1], "malformed"},
		"empty signature":       {"v1." + parts[1] + ".", "malformed"},
		"a part too many":       {good + ".AA", "malformed"},
		"padding":               {good + "==", "malformed"},
		"line break":            {parts[0] + "." + parts[1] + ".\n" + parts[2], "malformed"},
		"not canonical":         {loose, "malformed"},
		"a MAC for a signature": {"v1." + parts[1] + "." + parts[2][:43], "malformed"},
		"no claims":             {forge(key, domain, nil), "malformed"},
		"claims not a message":  {forge(key, domain, []byte{0xff, 0xff}), "malformed"},
		"no issue time":         {alter(func(c *routev1.RouteClaims) { c.IssueTime = nil }), "malformed"},
		"issue time not a time": {alter(func(c *routev1.RouteClaims) { c.IssueTime.Nanos = -1 }), "malformed"},
		"no target":             {alter(func(c *routev1.RouteClaims) { c.Target = "" }), "malformed"},
		"another domain":        {forge(key, "something else", mustMarshal(t, w.claims())), "not authentic"},
		"no domain":             {forge(key, "", mustMarshal(t, w.claims())), "not authentic"},
		"another's key":         {forge(dublinKey, domain, mustMarshal(t, w.claims())), "not authentic"},
		"another's key id":      {alter(func(c *routev1.RouteClaims) { c.KeyId = dublinID }), "not known"},
		"unknown origin":        {alter(func(c *routev1.RouteClaims) { c.Origin = "mars-1" }), "not known"},
		"a key of wrong size":   {alter(func(c *routev1.RouteClaims) { c.KeyId = "short" }), "not known"},
		"another target":        {alter(func(c *routev1.RouteClaims) { c.Target = "eu-west-1" }), "another region"},
		"stale":                 {alter(func(c *routev1.RouteClaims) { c.IssueTime = timestamppb.New(w.clock().Add(-31 * time.Second)) }), "stale"},
		"very stale":            {alter(func(c *routev1.RouteClaims) { c.IssueTime = timestamppb.New(time.Unix(-1<<35, 0)) }), "stale"},
		"from the future":       {alter(func(c *routev1.RouteClaims) { c.IssueTime = timestamppb.New(w.clock().Add(6 * time.Second)) }), "future"},
		"far future":            {alter(func(c *routev1.RouteClaims) { c.IssueTime = timestamppb.New(time.Unix(1<<37, 0)) }), "future"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantMisrouted(t, w.verifier(), tc.header, tc.message)
		})
	}
}

// TestUnknownClaimsAreRefused: a claim that this release does not know may be a restriction, so it is not overlooked.
func TestUnknownClaimsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld()
	key, id := newKey('v')
	w.trust(virginia, id, public(key))
	claims := protowire.AppendVarint(protowire.AppendTag(mustMarshal(t, w.claims()), 99, protowire.VarintType), 1)
	wantMisrouted(t, w.verifier(), forge(key, domain, claims), "malformed")
}

// TestAnyAlteredByteIsRefused alters each byte of a header, and cuts it at each place.
func TestAnyAlteredByteIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld()
	header := w.signer().Sign(frankfurt, "acme-eu", 3)
	verifier := w.verifier()
	if _, err := verifier.Verify(header); err != nil {
		t.Fatal(err)
	}
	for i := range len(header) {
		for _, c := range []byte("AaZ09-_.=") {
			if header[i] != c {
				wantMisrouted(t, verifier, header[:i]+string(c)+header[i+1:], "")
			}
		}
		wantMisrouted(t, verifier, header[:i], "")
	}
}

// TestRememberedHeaderAges: that a header was verified once must not carry it past its age.
func TestRememberedHeaderAges(t *testing.T) {
	t.Parallel()
	w := newWorld()
	signer, verifier := w.signer(), w.verifier()
	header := signer.Sign(frankfurt, "acme-eu", 3)
	for _, step := range []time.Duration{0, 15 * time.Second, 15 * time.Second} {
		w.pass(step)
		if _, err := verifier.Verify(header); err != nil {
			t.Fatalf("after %s: %v", step, err)
		}
	}
	w.pass(time.Nanosecond)
	wantMisrouted(t, verifier, header, "stale")
	w.pass(-time.Minute)
	wantMisrouted(t, verifier, header, "future")
}

// TestRememberedHeaderFollowsItsKey: a withdrawn or exchanged key is not trusted because its header was verified before.
func TestRememberedHeaderFollowsItsKey(t *testing.T) {
	t.Parallel()
	w := newWorld()
	signer, verifier := w.signer(), w.verifier()
	header := signer.Sign(frankfurt, "acme-eu", 3)
	if _, err := verifier.Verify(header); err != nil {
		t.Fatal(err)
	}
	_, id := newKey('v')
	other, _ := newKey('o')
	w.trust(virginia, id, public(other))
	wantMisrouted(t, verifier, header, "not authentic")
	w.withdraw(virginia, id)
	wantMisrouted(t, verifier, header, "not known")
}

func TestSkewIsAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld()
	header := w.signer().Sign(frankfurt, "acme-eu", 3)
	w.pass(-routeheader.DefaultMaxSkew)
	if _, err := w.verifier().Verify(header); err != nil {
		t.Errorf("a header from %s ahead: %v", routeheader.DefaultMaxSkew, err)
	}
}

// TestSignIsRemembered: one header a second for each target, tenant and epoch.
func TestSignIsRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld()
	signer := w.signer()
	first := signer.Sign(frankfurt, "acme-eu", 3)
	w.pass(999 * time.Millisecond)
	if signer.Sign(frankfurt, "acme-eu", 3) != first {
		t.Error("signed anew within a second")
	}
	for _, other := range []string{signer.Sign("eu-west-1", "acme-eu", 3), signer.Sign(frankfurt, "bank-eu", 3), signer.Sign(frankfurt, "acme-eu", 4)} {
		if other == first {
			t.Error("one header stands for two subjects")
		}
	}
	w.pass(time.Millisecond)
	if signer.Sign(frankfurt, "acme-eu", 3) == first {
		t.Error("a header is used again after a second")
	}
	w.pass(-time.Hour)
	claims, err := w.verifier().Verify(signer.Sign(frankfurt, "acme-eu", 3))
	if err != nil || !claims.GetIssueTime().AsTime().Equal(w.clock()) {
		t.Errorf("after the clock was set back: %v, %v", claims, err)
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	w := newWorld()
	signer, verifier := w.signer(), w.verifier()
	rapid.Check(t, func(t *rapid.T) {
		tenant := rapid.StringMatching(`([a-z][a-z0-9-]{0,38}[a-z0-9])?`).Draw(t, "tenant")
		epoch := rapid.Uint64().Draw(t, "epoch")
		got, err := verifier.Verify(signer.Sign(frankfurt, ident.TenantID(tenant), ident.Epoch(epoch)))
		if err != nil || got.GetTenant() != tenant || got.GetEpoch() != epoch || got.GetOrigin() != string(virginia) {
			t.Fatalf("claims %v, %v", got, err)
		}
	})
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	w := newWorld()
	signer, verifier := w.signer(), w.verifier()
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 50 {
				tenant := ident.TenantID(fmt.Sprintf("tenant-%d", (i+j)%5))
				if claims, err := verifier.Verify(signer.Sign(frankfurt, tenant, 1)); err != nil || claims.GetTenant() != string(tenant) {
					t.Errorf("claims %v, %v", claims, err)
				}
				w.pass(10 * time.Millisecond)
			}
		})
	}
	group.Wait()
}

func TestSignerRefusesAKeyOfWrongSize(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("NewSigner takes a public key for a private one")
		}
	}()
	key, id := newKey('v')
	routeheader.NewSigner(routeheader.SignerConfig{Region: virginia, KeyID: id, Key: ed25519.PrivateKey(public(key)), Clock: time.Now})
}
