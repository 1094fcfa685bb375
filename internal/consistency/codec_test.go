package consistency_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/domicile-api/domicile/internal/consistency"
	"github.com/domicile-api/domicile/internal/ident"
)

// TestTokenForm holds a token still: tokens of today must be read by every release to come.
func TestTokenForm(t *testing.T) {
	t.Parallel()
	c := newCodec(t, newKeys(1))
	p := lane(2, 3, 300)
	p.RaiseOrigin(saoPaulo, 7)
	token := mint(t, c, acme, p)
	const want = "AQECAAAArAIAAAAAAVxVXgfRKmb0pPfY6H2wP99OLc_S"
	if token != want {
		t.Errorf("token %s, want %s", token, want)
	}
	got, err := c.Parse(acme, want)
	if diff := cmp.Diff(p, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

// TestCodecRoundTrip reads what was made, for all positions that fit: everything that six regions can have in practice.
func TestCodecRoundTrip(t *testing.T) {
	t.Parallel()
	c := newCodec(t, newKeys(1, 900_000))
	rapid.Check(t, func(t *rapid.T) {
		p := drawPositions(t, "positions", regions())
		tenant := ident.TenantID(rapid.StringMatching(`[a-z][a-z0-9-]{1,39}`).Draw(t, "tenant"))
		got, err := c.Parse(tenant, mint(t, c, tenant, p))
		if diff := cmp.Diff(p, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Fatalf("%v (-want +got)\n%s", err, diff)
		}
	})
}

// TestTokenOfManyOrigins fits whatever there is into a token: epoch and lanes always, of the origins those with the most writes, and at
// least as many as Mint promises.
func TestTokenOfManyOrigins(t *testing.T) {
	t.Parallel()
	many := make([]ident.RegionID, 0, 32)
	for i := range 32 {
		many = append(many, ident.RegionID(fmt.Sprintf("region-%d", i)))
	}
	c, err := consistency.NewCodec(consistency.CodecConfig{Keys: newKeys(math.MaxUint32), Regions: many})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		seq  ident.Seq
		kept int
	}{{math.MaxUint64 - 32, 6}, {1<<28 - 33, 18}, {1<<21 - 33, 23}} {
		p := ident.Positions{Epoch: ident.Epoch(min(tt.seq, 1<<40))}
		for i := range p.Lanes {
			p.Lanes[i] = tt.seq
		}
		for i, origin := range many {
			p.RaiseOrigin(origin, tt.seq+ident.Seq(i))
		}
		got, err := c.Parse(acme, mint(t, c, acme, p))
		if err != nil || got.Epoch != p.Epoch || got.Lanes != p.Lanes {
			t.Fatalf("%d: %+v, %v", tt.seq, got, err)
		}
		if len(got.Origins) < tt.kept {
			t.Errorf("%d: %d origins are kept, want at least %d", tt.seq, len(got.Origins), tt.kept)
		}
		for origin, seq := range got.Origins {
			if seq != p.Origins[origin] || seq < tt.seq+ident.Seq(32-len(got.Origins)) {
				t.Errorf("%d: origin %s has %d; it is %d, and others have more", tt.seq, origin, seq, p.Origins[origin])
			}
		}
	}
}

// TestTokenOfAStrangeRegion carries an origin that only a newer topology has through a region that does not know it.
func TestTokenOfAStrangeRegion(t *testing.T) {
	t.Parallel()
	newer, err := consistency.NewCodec(consistency.CodecConfig{Keys: newKeys(1), Regions: append(regions(), "af-south-1")})
	if err != nil {
		t.Fatal(err)
	}
	older := newCodec(t, newKeys(1))
	var p ident.Positions
	p.RaiseOrigin("af-south-1", 5)
	there, err := older.Parse(acme, mint(t, newer, acme, p))
	if err != nil || len(there.Origins) != 1 || there.Origins["af-south-1"] != 0 {
		t.Fatalf("the older region reads %v, %v; want one origin that it does not know", there, err)
	}
	back, err := newer.Parse(acme, mint(t, older, acme, there))
	if err != nil || back.Origins["af-south-1"] != 5 {
		t.Errorf("back %v, %v", back, err)
	}
}

// TestParseRefuses hands in what no token of this tenant is.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	k := newKeys(1, 2, 3)
	c := newCodec(t, k)
	p := lane(1, 0, 42)
	p.RaiseOrigin(singapore, 1)
	good := mint(t, c, acme, p)
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	other := newCodec(t, &keys{
		secrets: map[uint32]consistency.Secret{3: secretOf(99)}, states: map[uint32]consistency.KeyState{3: consistency.KeyOpen},
	})
	for name, token := range map[string]string{
		"nothing":                    "",
		"a word":                     "token",
		"another tenant's":           mint(t, c, bank, p),
		"under another key":          mint(t, other, acme, p),
		"with padding":               good + "=",
		"with a line break":          good + "\n",
		"with the standard alphabet": base64.RawStdEncoding.EncodeToString(append([]byte{0xff, 0xff}, raw...)),
		"of another version":         base64.RawURLEncoding.EncodeToString(append([]byte{2}, raw[1:]...)),
		"only a MAC":                 base64.RawURLEncoding.EncodeToString(raw[len(raw)-16:]),
		"longer":                     good + "AAAA",
		"far too long":               strings.Repeat("A", 1<<16),
		"key id zero":                base64.RawURLEncoding.EncodeToString(append([]byte{1, 0}, raw[2:]...)),
	} {
		if got, err := c.Parse(acme, token); !isInvalid(err) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for i := range raw {
		for bit := range 8 {
			changed := append([]byte(nil), raw...)
			changed[i] ^= 1 << bit
			_, err := c.Parse(acme, base64.RawURLEncoding.EncodeToString(changed))
			if !isInvalid(err) && (i != 1 || !errors.Is(err, consistency.ErrUnknownKey)) {
				t.Errorf("bit %d of byte %d changed: %v", bit, i, err)
			}
		}
		if _, err := c.Parse(acme, base64.RawURLEncoding.EncodeToString(raw[:i])); !isInvalid(err) {
			t.Errorf("cut off after %d bytes: %v", i, err)
		}
	}
	for state, want := range map[consistency.KeyState]func(error) bool{
		consistency.KeyOpen:    func(err error) bool { return err == nil },
		consistency.KeyRetired: isInvalid,
		consistency.KeyUnknown: func(err error) bool { return errors.Is(err, consistency.ErrUnknownKey) },
		consistency.KeySealed:  func(err error) bool { return errors.Is(err, consistency.ErrUnknownKey) },
	} {
		k.states[3] = state
		if _, err := c.Parse(acme, good); !want(err) {
			t.Errorf("key state %d: %v", state, err)
		}
	}
}

// TestMintWithoutKey makes no token rather than one that nobody could check.
func TestMintWithoutKey(t *testing.T) {
	t.Parallel()
	if token, err := newCodec(t, newKeys()).Mint(acme, lane(1, 0, 1)); err == nil {
		t.Errorf("made %q", token)
	}
}

// FuzzParse hands anything in: nothing panics, and nothing is accepted but what was made here for this tenant.
func FuzzParse(f *testing.F) {
	c := newCodec(f, newKeys(1, 2))
	made := make(map[string]bool)
	for _, p := range []ident.Positions{{}, lane(1, 0, 1), lane(1<<60, 7, 1<<63), {Origins: map[ident.RegionID]ident.Seq{singapore: 5, dublin: 1 << 40}}} {
		token := mint(f, c, acme, p)
		made[token] = true
		f.Add(token)
		f.Add(mint(f, c, bank, p))
		f.Add(token[:len(token)/2])
	}
	f.Fuzz(func(t *testing.T, token string) {
		got, err := c.Parse(acme, token)
		switch {
		case err == nil && !made[token]:
			t.Errorf("accepted %q as %v", token, got)
		case err != nil && !isInvalid(err) && !errors.Is(err, consistency.ErrUnknownKey):
			t.Errorf("%q: %v", token, err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	c := newCodec(b, newKeys(1))
	p := ident.Positions{Epoch: 3}
	for i := range p.Lanes {
		p.Lanes[i] = ident.Seq(100_000 + i)
	}
	for name, origins := range map[string][]ident.RegionID{"lanes": nil, "origins": regions()} {
		b.Run(name, func(b *testing.B) {
			for _, origin := range origins {
				p.RaiseOrigin(origin, 1000)
			}
			token := mint(b, c, acme, p)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Parse(acme, token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMint(b *testing.B) {
	c := newCodec(b, newKeys(1))
	p := lane(3, 2, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Mint(acme, p); err != nil {
			b.Fatal(err)
		}
	}
}
