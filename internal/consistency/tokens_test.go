package consistency_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/consistency"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
)

func newTokens(t testing.TB, k consistency.Keys, change func(*consistency.TokensConfig)) *consistency.Tokens {
	t.Helper()
	cfg := consistency.TokensConfig{
		Codec: newCodec(t, k), Clock: func() time.Time { return noon },
		History: func(ident.TenantID) consistency.History { return consistency.History{Present: 3} },
	}
	if change != nil {
		change(&cfg)
	}
	tokens, err := consistency.NewTokens(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// TestAnswerCoversEverything is the law of tokens: whatever a request brings, an answer shows and a call writes, the answer's token covers it.
func TestAnswerCoversEverything(t *testing.T) {
	t.Parallel()
	k := newKeys(1)
	c, tokens := newCodec(t, k), newTokens(t, k, nil)
	rapid.Check(t, func(t *rapid.T) {
		given := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) ident.Positions { return drawPositions(t, "token", regions()) }), 0, 3).Draw(t, "given")
		h := http.Header{}
		for _, p := range given {
			h.Add(consistency.Header, mint(t, c, acme, p))
		}
		cl := &call.Call{Tenant: acme, Region: frankfurt, Home: frankfurt}
		floor, err := tokens.Floor(context.Background(), cl, h)
		if err != nil {
			t.Fatal(err)
		}
		cl.Seen = drawPositions(t, "seen", regions())
		cl.Committed = &call.Write{Epoch: 3, Lane: ident.Lane(rapid.IntRange(0, 7).Draw(t, "lane")), Seq: ident.Seq(rapid.Uint64().Draw(t, "written"))}
		token, ok := tokens.Cover(cl, floor)
		if !ok {
			t.Fatal("no token")
		}
		got, err := c.Parse(acme, token)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range append(given, cl.Seen, lane(3, cl.Committed.Lane, cl.Committed.Seq)) {
			if !covers(got, p) {
				t.Fatalf("%v does not cover %v", got, p)
			}
		}
	})
}

// TestNothingToSay gives no token to a call that shows and writes nothing, nor where there is no key.
func TestNothingToSay(t *testing.T) {
	t.Parallel()
	if token, ok := newTokens(t, newKeys(1), nil).Cover(&call.Call{Tenant: acme}, ident.Positions{}); ok {
		t.Errorf("made %s", token)
	}
	if token, ok := newTokens(t, newKeys(), nil).Cover(&call.Call{Tenant: acme}, lane(1, 1, 1)); ok {
		t.Errorf("made %s", token)
	}
}

// TestFloorUnjudged has what the directory here does not know, at home and elsewhere.
func TestFloorUnjudged(t *testing.T) {
	t.Parallel()
	type outcome struct {
		reason  errorsv1.Reason
		notHere bool
	}
	ok, bad := outcome{}, outcome{reason: errorsv1.Reason_REASON_TOKEN_INVALID}
	wait, away := outcome{reason: errorsv1.Reason_REASON_REGION_UNAVAILABLE}, outcome{errorsv1.Reason_REASON_REGION_UNAVAILABLE, true}
	for name, tt := range map[string]struct {
		region  ident.RegionID
		state   consistency.KeyState // of the token's key
		epoch   ident.Epoch
		refresh func(*keys) error // nil: there is none
		want    outcome
	}{
		"an unknown key elsewhere":               {singapore, consistency.KeyUnknown, 1, nil, away},
		"an unknown ownership elsewhere":         {singapore, consistency.KeyOpen, 9, nil, away},
		"an unknown key at home":                 {frankfurt, consistency.KeyUnknown, 1, nil, bad},
		"and the directory has no such key":      {frankfurt, consistency.KeyUnknown, 1, func(*keys) error { return nil }, bad},
		"and the directory brings it":            {frankfurt, consistency.KeyUnknown, 1, func(k *keys) error { k.states[7] = consistency.KeyOpen; return nil }, ok},
		"and the directory is away":              {frankfurt, consistency.KeyUnknown, 1, func(*keys) error { return errors.New("away") }, wait},
		"a key that cannot be opened at home":    {frankfurt, consistency.KeySealed, 1, nil, wait},
		"a retired key elsewhere":                {singapore, consistency.KeyRetired, 1, nil, bad},
		"an ownership that is not known at home": {frankfurt, consistency.KeyOpen, 9, nil, wait},
		"a known key and ownership":              {singapore, consistency.KeyOpen, 3, nil, ok},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeys(1, 7)
			token := mint(t, newCodec(t, k), acme, lane(tt.epoch, 0, 1))
			k.states[7] = tt.state
			tokens := newTokens(t, k, func(cfg *consistency.TokensConfig) {
				if tt.refresh != nil {
					cfg.Refresh = func(context.Context) error { return tt.refresh(k) }
				}
			})
			c := &call.Call{Tenant: acme, Region: tt.region, Home: frankfurt}
			_, err := tokens.Floor(t.Context(), c, headers(token))
			if got := (outcome{fault.ReasonOf(err), c.NotHere}); got != tt.want {
				t.Errorf("%v (%v), want %v", got, err, tt.want)
			}
		})
	}
}

// TestRefreshIsBounded asks the table at most once a second, however many tokens are made up.
func TestRefreshIsBounded(t *testing.T) {
	t.Parallel()
	k, now, asked := newKeys(1, 7), noon, 0
	token := mint(t, newCodec(t, k), acme, lane(1, 0, 1))
	delete(k.states, 7)
	tokens := newTokens(t, k, func(cfg *consistency.TokensConfig) {
		cfg.Clock = func() time.Time { return now }
		cfg.Refresh = func(context.Context) error { asked++; return nil }
	})
	for range 30 {
		if _, err := tokens.Floor(t.Context(), &call.Call{Tenant: acme, Region: frankfurt, Home: frankfurt}, headers(token)); !isInvalid(err) {
			t.Fatal(err)
		}
		now = now.Add(100 * time.Millisecond)
	}
	if asked != 3 {
		t.Errorf("asked %d times in 3 s", asked)
	}
}

// TestWishesAreCheckedEverywhere refuses at home what a replica would refuse.
func TestWishesAreCheckedEverywhere(t *testing.T) {
	t.Parallel()
	c := &call.Call{Tenant: acme, Region: frankfurt, Home: frankfurt}
	_, err := newTokens(t, newKeys(1), nil).Floor(t.Context(), c, http.Header{"Domicile-Max-Wait": {"soon"}})
	if !fault.Is(err, errorsv1.Reason_REASON_INVALID_ARGUMENT) {
		t.Error(err)
	}
}
