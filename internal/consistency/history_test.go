package consistency_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/consistency"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
)

// TestCarry judges positions by what takeovers inherited.
func TestCarry(t *testing.T) {
	t.Parallel()
	bases := func(seq ident.Seq) (b [ident.Lanes]ident.Seq) {
		for i := range b {
			b[i] = seq
		}
		return b
	}
	twice := consistency.History{Present: 4, Takeovers: []consistency.Takeover{
		{Epoch: 4, Bases: bases(200)}, {Epoch: 2, Bases: bases(100), Receipt: "rcp_1"},
	}}
	for name, tt := range map[string]struct {
		history consistency.History
		given   ident.Positions
		want    ident.Positions
		lost    bool
		newer   bool
	}{
		"the present one":               {twice, lane(4, 1, 900), lane(4, 1, 900), false, false},
		"inherited by both":             {twice, lane(1, 1, 100), lane(4, 1, 100), false, false},
		"lost by the first":             {twice, lane(1, 1, 101), ident.Positions{}, true, false},
		"inherited after the first":     {twice, lane(2, 1, 200), lane(4, 1, 200), false, false},
		"lost by the second":            {twice, lane(2, 1, 201), ident.Positions{}, true, false},
		"of an ownership between":       {twice, lane(3, 1, 150), lane(4, 1, 150), false, false},
		"not known here":                {twice, lane(5, 1, 1), ident.Positions{}, false, true},
		"a hand-over that lost nothing": {consistency.History{Present: 2}, lane(1, 1, 500), lane(2, 1, 500), false, false},
		"nothing of the home":           {twice, ident.Positions{}, ident.Positions{}, false, false},
	} {
		got, err := tt.history.Carry(tt.given)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
		if fault.Is(err, errorsv1.Reason_REASON_WRITE_LOST) != tt.lost || errors.Is(err, consistency.ErrNewerEpoch) != tt.newer || err != nil && !tt.lost && !tt.newer {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := twice.Carry(lane(1, 1, 101))
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.Metadata["receipt"] != "rcp_1" {
		t.Errorf("%v does not name the receipt", err)
	}
}

// TestCoverLaws checks that Cover is a least upper bound, and that it leaves what it is given alone.
func TestCoverLaws(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawPositions(t, "a", regions()), drawPositions(t, "b", regions()), drawPositions(t, "c", regions())
		equal := func(law string, x, y ident.Positions) {
			if diff := cmp.Diff(x, y, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s\n%s", law, diff)
			}
		}
		before := consistency.Cover(a, ident.Positions{})
		ab := consistency.Cover(a, b)
		if !covers(ab, a) || !covers(ab, b) {
			t.Fatalf("%v does not cover %v and %v", ab, a, b)
		}
		equal("it is commutative", ab, consistency.Cover(b, a))
		equal("it is associative", consistency.Cover(ab, c), consistency.Cover(a, consistency.Cover(b, c)))
		equal("it is idempotent", ab, consistency.Cover(ab, a))
		equal("it changes nothing", before, a)
		if covers(c, a) && covers(c, b) && !covers(c, ab) {
			t.Fatalf("%v is more than is needed", ab)
		}
	})
}

// TestNeeded merges a request's tokens: what comes out covers each, however they are spread over headers.
func TestNeeded(t *testing.T) {
	t.Parallel()
	c := newCodec(t, newKeys(1))
	rapid.Check(t, func(t *rapid.T) {
		given := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) ident.Positions { return drawPositions(t, "token", regions()[:4]) }), 0, consistency.MaxTokens).Draw(t, "given")
		h := http.Header{}
		line := make([]string, 0, len(given))
		for _, p := range given {
			line = append(line, mint(t, c, acme, p))
			if rapid.Bool().Draw(t, "break") {
				h.Add(consistency.Header, strings.Join(line, rapid.SampledFrom([]string{",", ", ", " ,,\t"}).Draw(t, "comma")))
				line = nil
			}
		}
		h.Add(consistency.Header, strings.Join(line, ", "))
		got, err := c.Needed(acme, h, consistency.History{Present: 3})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range given {
			if !covers(got, p) {
				t.Fatalf("%v does not cover %v", got, p)
			}
		}
	})
}

// TestNeededRefuses weighs what is wrong with the tokens of one request.
func TestNeededRefuses(t *testing.T) {
	t.Parallel()
	k := newKeys(1, 2)
	c := newCodec(t, k)
	unknown := mint(t, c, acme, lane(1, 0, 1))
	delete(k.states, 2)
	good, newer := mint(t, c, acme, lane(1, 0, 1)), mint(t, c, acme, lane(9, 0, 1))
	lost := mint(t, c, acme, lane(1, 0, 50))
	history := consistency.History{Present: 2, Takeovers: []consistency.Takeover{{Epoch: 2, Bases: [ident.Lanes]ident.Seq{10}}}}
	isLost := func(err error) bool { return fault.Is(err, errorsv1.Reason_REASON_WRITE_LOST) }
	isNewer := func(err error) bool { return errors.Is(err, consistency.ErrNewerEpoch) }
	isUnknown := func(err error) bool { return errors.Is(err, consistency.ErrUnknownKey) }
	for name, tt := range map[string]struct {
		tokens []string
		want   func(error) bool
	}{
		"a good one":            {[]string{good}, func(err error) bool { return err == nil }},
		"eight":                 {[]string{strings.Repeat(good+",", 8)}, func(err error) bool { return err == nil }},
		"nine":                  {[]string{strings.Repeat(good+",", 8), good}, isInvalid},
		"lost":                  {[]string{good, lost}, isLost},
		"newer":                 {[]string{good, newer}, isNewer},
		"under an unknown key":  {[]string{unknown}, isUnknown},
		"lost and newer":        {[]string{lost, newer}, isNewer},
		"newer and lost":        {[]string{newer, lost}, isNewer},
		"newer and malformed":   {[]string{newer, "x"}, isInvalid},
		"unknown, lost and bad": {[]string{unknown + "," + lost + ", x"}, isInvalid},
		"good and a bad one":    {[]string{good, "x"}, isInvalid},
	} {
		if _, err := c.Needed(acme, headers(tt.tokens...), history); !tt.want(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestParseWishes reads what a request asks of a replica.
func TestParseWishes(t *testing.T) {
	t.Parallel()
	type wishes = consistency.Wishes
	for name, tt := range map[string]struct {
		header http.Header
		want   wishes
		ok     bool
	}{
		"nothing":             {http.Header{}, wishes{MaxWait: 250 * time.Millisecond}, true},
		"no wait":             {http.Header{"Domicile-Max-Wait": {"0"}}, wishes{}, true},
		"the longest wait":    {http.Header{"Domicile-Max-Wait": {"2000"}}, wishes{MaxWait: 2 * time.Second}, true},
		"too long":            {http.Header{"Domicile-Max-Wait": {"2001"}}, wishes{}, false},
		"negative":            {http.Header{"Domicile-Max-Wait": {"-1"}}, wishes{}, false},
		"a fraction":          {http.Header{"Domicile-Max-Wait": {"1.5"}}, wishes{}, false},
		"with a unit":         {http.Header{"Domicile-Max-Wait": {"1s"}}, wishes{}, false},
		"empty":               {http.Header{"Domicile-Max-Wait": {""}}, wishes{}, false},
		"twice":               {http.Header{"Domicile-Max-Wait": {"1", "1"}}, wishes{}, false},
		"overflowing":         {http.Header{"Domicile-Max-Wait": {"99999999999999999999"}}, wishes{}, false},
		"a staleness":         {http.Header{"Domicile-Max-Staleness": {"1500"}}, wishes{250 * time.Millisecond, 1500 * time.Millisecond, true}, true},
		"a staleness of 0":    {http.Header{"Domicile-Max-Staleness": {"0"}}, wishes{250 * time.Millisecond, 0, true}, true},
		"a staleness of ages": {http.Header{"Domicile-Max-Staleness": {"31536000001"}}, wishes{}, false},
	} {
		got, err := consistency.ParseWishes(tt.header)
		if tt.ok != (err == nil) || !tt.ok && !fault.Is(err, errorsv1.Reason_REASON_INVALID_ARGUMENT) || tt.ok && got != tt.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
