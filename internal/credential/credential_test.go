package credential_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/credential"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
)

// newTenantKey returns a key of acme-eu.
func newTenantKey(t testing.TB) (id, full string) {
	t.Helper()
	id, full, err := credential.NewTenantKey(rand.Reader, "acme-eu")
	if err != nil {
		t.Fatal(err)
	}
	return id, full
}

func TestNewKeysParse(t *testing.T) {
	t.Parallel()
	tenantID, tenantKey := newTenantKey(t)
	operatorID, operatorKey, err := credential.NewOperatorKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for full, want := range map[string]credential.Key{
		tenantKey:   {Kind: call.TenantKey, Tenant: "acme-eu", ID: tenantID},
		operatorKey: {Kind: call.OperatorKey, ID: operatorID},
	} {
		got, err := credential.Parse(full)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(credential.Key{})); diff != "" {
			t.Errorf("Parse: (-want +got)\n%s", diff)
		}
		if !got.Wellformed() {
			t.Errorf("a new key of kind %d is not well formed", got.Kind)
		}
		if len(full) > credential.MaxLength {
			t.Errorf("a key has %d characters, more than MaxLength", len(full))
		}
	}
}

func TestParseDamaged(t *testing.T) {
	t.Parallel()
	id, full := newTenantKey(t)
	secret := full[strings.LastIndexByte(full, '_')+1:]
	acme := credential.Key{Kind: call.TenantKey, Tenant: "acme-eu"}
	acmeWithID := acme
	acmeWithID.ID = id
	for name, tc := range map[string]struct {
		full string
		want credential.Key
	}{
		"secret cut":           {full[:len(full)-1], acmeWithID},
		"secret empty":         {"dk_acme-eu_" + id + "_", acmeWithID},
		"no secret":            {"dk_acme-eu_" + id, acme},
		"tenant alone":         {"dk_acme-eu", acme},
		"secret in id's place": {"dk_acme-eu_" + secret, acme},
		"id and secret turned": {"dk_acme-eu_" + secret + "_" + id, acme},
		"separator in secret":  {"dk_acme-eu_" + id + "_" + secret[:5] + "_" + secret[6:], acmeWithID},
		"not ASCII":            {"dk_acme-eu_" + id + "_" + secret[:5] + "é" + secret[7:], acmeWithID},
		"very long":            {"dk_acme-eu_" + strings.Repeat("_", 1<<20), acme},
		"other tenant's name":  {"dk_acme-us_" + id + "_" + secret, credential.Key{Kind: call.TenantKey, Tenant: "acme-us", ID: id}},
		"operator's prefix":    {"do_" + id + "_" + secret, credential.Key{Kind: call.OperatorKey, ID: id}},
		"operator, empty":      {"do_", credential.Key{Kind: call.OperatorKey}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := credential.Parse(tc.full)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.IgnoreUnexported(credential.Key{})); diff != "" {
				t.Errorf("Parse: (-want +got)\n%s", diff)
			}
			if got.Wellformed() {
				t.Error("a damaged key is well formed")
			}
		})
	}
}

func TestParseRefusesWhatNamesNobody(t *testing.T) {
	t.Parallel()
	for _, full := range []string{
		"", "dk", "dk_", "dk__id_secret", "dk_a", "dk_A-B_x_y", "dk_-a_x_y", "dk_a-_x_y", "dk_1a_x_y", "dk_a.b_x_y", "DK_acme_x_y",
		"sk_acme_x_y", " dk_acme_x_y", "dk_" + strings.Repeat("a", 41) + "_x_y", "dk_" + strings.Repeat("a", 1<<20),
	} {
		got, err := credential.Parse(full)
		if !fault.Is(err, errorsv1.Reason_REASON_CREDENTIAL_INVALID) {
			t.Errorf("Parse(%.20q) = %v, %v; want CREDENTIAL_INVALID", full, got, err)
		}
	}
}

// TestAnyMistypedCharacterIsFound changes each character to each other one: CRC-32C finds all of these, not nearly all.
func TestAnyMistypedCharacterIsFound(t *testing.T) {
	t.Parallel()
	_, full := newTenantKey(t)
	const typed = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_. "
	for i := range len(full) {
		for _, c := range []byte(typed) {
			if full[i] == c {
				continue
			}
			damaged := full[:i] + string(c) + full[i+1:]
			if k, err := credential.Parse(damaged); err == nil && k.Wellformed() {
				t.Fatalf("character %d changed to %q: still well formed", i, c)
			}
		}
		if i > 0 && full[i] != full[i-1] {
			swapped := full[:i-1] + string(full[i]) + string(full[i-1]) + full[i+1:]
			if k, err := credential.Parse(swapped); err == nil && k.Wellformed() {
				t.Fatalf("characters %d and %d swapped: still well formed", i-1, i)
			}
		}
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tenant := ident.TenantID(rapid.StringMatching(`[a-z][a-z0-9-]{0,38}[a-z0-9]`).Draw(t, "tenant"))
		id, full, err := credential.NewTenantKey(rand.Reader, tenant)
		if err != nil {
			t.Fatal(err)
		}
		key, err := credential.Parse(full)
		if err != nil || key.Tenant != tenant || key.ID != id || !key.Wellformed() {
			t.Fatalf("Parse = %v (well formed: %t), %v", key, key.Wellformed(), err)
		}
		verifier := credential.Verifier(full)
		if !credential.Matches(full, verifier[:]) {
			t.Fatal("a key does not match its verifier")
		}
	})
}

func TestMatches(t *testing.T) {
	t.Parallel()
	_, full := newTenantKey(t)
	_, other := newTenantKey(t)
	verifier := credential.Verifier(full)
	if verifier != sha256.Sum256([]byte(full)) {
		t.Error("the verifier is not SHA-256 of the whole key")
	}
	if credential.Matches(other, verifier[:]) {
		t.Error("another key matches")
	}
	for _, wrong := range [][]byte{nil, {}, verifier[:31], append(bytes.Clone(verifier[:]), 0)} {
		if credential.Matches(full, wrong) {
			t.Errorf("a verifier of %d bytes matches", len(wrong))
		}
	}
}

// TestSecretIsNeverShown formats a key in every way that a log line may.
func TestSecretIsNeverShown(t *testing.T) {
	t.Parallel()
	id, full := newTenantKey(t)
	secret := full[strings.LastIndexByte(full, '_')+1:]
	for _, text := range []string{full, full[:len(full)-1], "dk_acme-eu_" + secret, "do_" + secret, "dk_acme-eu_" + secret + "_" + id} {
		key, err := credential.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("call", "key", key)
		shown := fmt.Sprintf("%v %+v %#v %s", key, key, key, key) + log.String()
		if strings.Contains(shown, secret[:8]) {
			t.Errorf("the secret of a key is shown: %s", shown)
		}
	}
	key, err := credential.Parse(full)
	if err != nil {
		t.Fatal(err)
	}
	if want := "dk_acme-eu_" + id; key.String() != want {
		t.Errorf("String() = %q, want %q", key.String(), want)
	}
	if _, err := credential.Parse("xx_" + secret); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("Parse fails with %v, which must be an error without the secret", err)
	}
}

func TestRandomnessFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("no entropy")
	if _, _, err := credential.NewTenantKey(iotest.ErrReader(broken), "acme-eu"); !errors.Is(err, broken) {
		t.Errorf("NewTenantKey: %v, want the reader's error", err)
	}
	if _, _, err := credential.NewOperatorKey(io.LimitReader(rand.Reader, idBytes)); !errors.Is(err, io.EOF) {
		t.Errorf("NewOperatorKey: %v, want EOF after the id", err)
	}
	for _, tenant := range []ident.TenantID{"", "A", "a_b", "acme-"} {
		if _, _, err := credential.NewTenantKey(rand.Reader, tenant); err == nil {
			t.Errorf("NewTenantKey(%q) succeeds", tenant)
		}
	}
}

// idBytes is how much randomness an id takes: its alphabet has 32 characters, so no byte is thrown away.
const idBytes = 16

// TestUniform draws many secrets and looks for a character that comes too often or never: the sign of a modulo bias.
func TestUniform(t *testing.T) {
	t.Parallel()
	const keys = 5000
	counts := map[rune]int{}
	for range keys {
		_, full, err := credential.NewOperatorKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		secret := full[strings.LastIndexByte(full, '_')+1:]
		for _, c := range secret[:32] {
			counts[c]++
		}
	}
	if len(counts) != 62 {
		t.Fatalf("secrets are made of %d characters, want 62", len(counts))
	}
	// Expected 2580 a character, standard deviation 50: 7 of them are never met by chance, while a modulo bias is 10.
	const expected, deviation = keys * 32 / 62, 50
	for c, n := range counts {
		if n < expected-7*deviation || n > expected+7*deviation {
			t.Errorf("%q comes %d times, expected about %d", c, n, expected)
		}
	}
}

func FuzzParse(f *testing.F) {
	_, full := newTenantKey(f)
	_, operator, err := credential.NewOperatorKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{full, operator, full[:len(full)-3], "dk_acme-eu", "dk_", "do_", "", "dk_acme-eu__", "dk_a_b_c_d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key, err := credential.Parse(s)
		if err != nil {
			if key != (credential.Key{}) || !fault.Is(err, errorsv1.Reason_REASON_CREDENTIAL_INVALID) {
				t.Fatalf("Parse = %v, %v", key, err)
			}
			return
		}
		if !strings.HasPrefix(s, strings.TrimSuffix(key.String(), "?")) && !strings.HasPrefix(s+"_", strings.TrimSuffix(key.String(), "?")) {
			t.Fatalf("the public part %q is not the beginning of the text", key)
		}
		if key.Wellformed() && (key.ID == "" || len(s) > credential.MaxLength) {
			t.Fatalf("%q is well formed", s)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	_, full := newTenantKey(b)
	b.ReportAllocs()
	for b.Loop() {
		if key, err := credential.Parse(full); err != nil || !key.Wellformed() {
			b.Fatal("not well formed")
		}
	}
}

func BenchmarkMatches(b *testing.B) {
	_, full := newTenantKey(b)
	verifier := credential.Verifier(full)
	b.ReportAllocs()
	for b.Loop() {
		if !credential.Matches(full, verifier[:]) {
			b.Fatal("no match")
		}
	}
}
