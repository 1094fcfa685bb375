package seal

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/domicile-api/domicile/internal/ident"
)

func mustDataKey(t testing.TB, generations int) *dataKey {
	t.Helper()
	key, err := newDataKey()
	for err == nil && int(key.generation()) < generations {
		key, err = key.next()
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func mustMarshal(t testing.TB, key *dataKey) []byte {
	t.Helper()
	b, err := key.marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustBegin(t testing.TB, a, b *dataKey, n uint32) bool {
	t.Helper()
	same, err := a.begins(b, n)
	if err != nil {
		t.Fatal(err)
	}
	return same
}

func TestDataKeyRoundTrip(t *testing.T) {
	t.Parallel()
	key := mustDataKey(t, 5)
	again, err := parseDataKey(mustMarshal(t, key))
	if err != nil {
		t.Fatal(err)
	}
	if again.generation() != 5 || !mustBegin(t, key, again, 5) {
		t.Error("a key is another one after marshal and parse")
	}
}

func TestDataKeyBegins(t *testing.T) {
	t.Parallel()
	one := mustDataKey(t, 1)
	left, err := one.next()
	if err != nil {
		t.Fatal(err)
	}
	right, err := one.next()
	if err != nil {
		t.Fatal(err)
	}
	rehashed := &dataKey{sealing: one.sealing, hashing: mustDataKey(t, 1).hashing}
	for name, tc := range map[string]struct {
		a, b *dataKey
		n    uint32
		want bool
	}{
		"nothing":              {one, mustDataKey(t, 1), 0, true},
		"other keys":           {one, mustDataKey(t, 1), 1, false},
		"what both have":       {left, right, 1, true},
		"where they part":      {left, right, 2, false},
		"beyond one":           {left, one, 2, false},
		"beyond the other":     {one, left, 2, false},
		"another hashing key":  {one, rehashed, 1, false},
		"a key and its former": {one, left, 1, true},
	} {
		if got := mustBegin(t, tc.a, tc.b, tc.n); got != tc.want {
			t.Errorf("%s: begins = %t, want %t", name, got, tc.want)
		}
	}
}

// TestAssociatedIsUnambiguous: two binds, or two generations, never make the same associated data.
func TestAssociatedIsUnambiguous(t *testing.T) {
	t.Parallel()
	// Few letters, so that parts that run together are often drawn.
	part := rapid.StringMatching(`[ab\x00\x01]{0,5}`)
	bind := rapid.Custom(func(t *rapid.T) Bind {
		tenant := ident.TenantID(part.Draw(t, "tenant"))
		return Bind{Tenant: tenant, Type: part.Draw(t, "type"), ID: part.Draw(t, "id")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := bind.Draw(t, "a"), bind.Draw(t, "b")
		g, h := rapid.Uint32Range(1, 3).Draw(t, "g"), rapid.Uint32Range(1, 3).Draw(t, "h")
		if same := bytes.Equal(associated(g, a), associated(h, b)); same != (a == b && g == h) {
			t.Fatalf("equal associated data: %t of %+v in %d and %+v in %d", same, a, g, b, h)
		}
	})
}

// TestAssociatedHasEachPart: no part is left out.
func TestAssociatedHasEachPart(t *testing.T) {
	t.Parallel()
	base := Bind{Tenant: "a", Type: "b", ID: "c"}
	for _, other := range []Bind{{"x", "b", "c"}, {"a", "x", "c"}, {"a", "b", "x"}, {"ab", "", "c"}, {"", "ab", "c"}} {
		if bytes.Equal(associated(1, base), associated(1, other)) {
			t.Errorf("%+v and %+v make the same associated data", base, other)
		}
	}
	if bytes.Equal(associated(1, base), associated(2, base)) {
		t.Error("two generations make the same associated data")
	}
}

func FuzzParseDataKey(f *testing.F) {
	good := mustMarshal(f, mustDataKey(f, 2))
	swapped := mustMarshal(f, &dataKey{sealing: mustDataKey(f, 1).hashing, hashing: mustDataKey(f, 1).sealing})
	for _, b := range [][]byte{good, swapped, nil, {keyFormat}, good[:len(good)-1], append(bytes.Clone(good), 0), bytes.Repeat([]byte{0xff}, 32)} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := parseDataKey(b)
		if err != nil {
			return
		}
		if key.generation() == 0 {
			t.Fatal("a key without a generation")
		}
		// What parses can be used, and is the same when it is written and read again.
		if _, err := key.primitives(); err != nil {
			t.Fatal(err)
		}
		again, err := parseDataKey(mustMarshal(t, key))
		if err != nil || !mustBegin(t, key, again, key.generation()) {
			t.Fatalf("another key: %v", err)
		}
	})
}

func TestParseDataKeyRefusesSwappedParts(t *testing.T) {
	t.Parallel()
	key := mustDataKey(t, 1)
	if _, err := parseDataKey(mustMarshal(t, &dataKey{sealing: key.hashing, hashing: key.sealing})); err == nil {
		t.Error("a hashing key is taken for a sealing key")
	}
	if _, err := parseDataKey(mustMarshal(t, &dataKey{sealing: key.sealing, hashing: key.sealing})); err == nil {
		t.Error("a sealing key is taken for a hashing key")
	}
}
