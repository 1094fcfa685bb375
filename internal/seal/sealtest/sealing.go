package sealtest

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/store"
)

func testRoundTrip(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f)
	ring, tenant := w.provisioned(t)
	other := w.start(standby)
	rapid.Check(t, func(rt *rapid.T) {
		v := value{
			bind:  seal.Bind{Tenant: tenant, Type: rapid.String().Draw(rt, "type"), ID: rapid.String().Draw(rt, "id")},
			plain: rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(rt, "plain"),
		}
		given := bytes.Clone(v.plain)
		var err error
		if v.sealed, err = ring.Seal(t.Context(), v.bind, v.plain); err != nil {
			rt.Fatalf("Seal: %v", err)
		}
		if !bytes.Equal(given, v.plain) {
			rt.Fatalf("Seal changes what it is given")
		}
		if len(v.sealed) != len(v.plain)+seal.Overhead {
			rt.Fatalf("%d bytes are sealed as %d; Overhead is %d", len(v.plain), len(v.sealed), seal.Overhead)
		}
		wantOpens(rt, t.Context(), ring, v)
		wantOpens(rt, t.Context(), other, v)
	})
}

func testAlteredByte(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f)
	ring, tenant := w.provisioned(t)
	v := sealValue(t, t.Context(), ring, tenant)
	refuse := func(sealed []byte, what string) {
		t.Helper()
		plain, err := ring.Open(t.Context(), v.bind, sealed)
		if plain != nil {
			t.Errorf("%s: opens", what)
		}
		wantError(t, err, seal.ErrCannotOpen)
	}
	for i := range v.sealed {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			altered := bytes.Clone(v.sealed)
			altered[i] ^= flip
			refuse(altered, fmt.Sprintf("byte %d altered", i))
		}
		refuse(v.sealed[:i], fmt.Sprintf("cut to %d bytes", i))
	}
	refuse(append(bytes.Clone(v.sealed), 0), "a byte too many")
	wantOpens(t, t.Context(), ring, v)
}

func testOtherBind(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f)
	ring, tenant := w.provisioned(t)
	_, other := w.provisioned(t)
	bind := seal.Bind{Tenant: tenant, Type: "t.User", ID: "usr_1"}
	sealed, err := ring.Seal(t.Context(), bind, []byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []seal.Bind{
		{Tenant: other, Type: "t.User", ID: "usr_1"},
		{Tenant: tenant, Type: "t.Note", ID: "usr_1"},
		{Tenant: tenant, Type: "t.User", ID: "usr_2"},
		{Tenant: tenant, Type: "t.User", ID: ""},
		{Tenant: tenant, Type: "", ID: "t.Userusr_1"},
		{Tenant: tenant, Type: "t.Useru", ID: "sr_1"},
		{Tenant: tenant, Type: "t.Use", ID: "rusr_1"},
		{Tenant: tenant, Type: "t.User\x00usr_1", ID: ""},
		{Tenant: tenant, Type: "usr_1", ID: "t.User"},
	} {
		plain, err := ring.Open(t.Context(), b, sealed)
		if plain != nil {
			t.Errorf("opens as %+v", b)
		}
		wantError(t, err, seal.ErrCannotOpen)
	}
}

// testOtherRegion: a region that is not lawful cannot open, not even with the items of one that is.
func testOtherRegion(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f)
	ring, tenant := w.provisioned(t)
	v := sealValue(t, t.Context(), ring, tenant)
	_, err := w.start(foreign).Open(t.Context(), v.bind, v.sealed)
	wantError(t, err, seal.ErrNoKey)
	wantError(t, w.start(foreign).Provision(t.Context(), tenant, 1, lawful()), seal.ErrNotLawful)

	page, err := w.regions[home].keys.Query(t.Context(), store.Query{Partition: string(tenant)})
	if err != nil || len(page.Items) == 0 {
		t.Fatalf("the home's keys: %d items, %v", len(page.Items), err)
	}
	var stolen store.Commit
	for _, item := range page.Items {
		if item.Tag.Tenant != tenant || item.Tag.Jurisdiction != "EU" || item.Tag.Class != store.ClassPII {
			t.Errorf("item %q has the tag %+v", item.Key.Sort, item.Tag)
		}
		stolen.Ops = append(stolen.Ops, store.Op{Kind: store.Put, Item: item})
	}
	if err := w.regions[foreign].keys.Commit(t.Context(), stolen); err != nil {
		t.Fatal(err)
	}
	_, err = w.start(foreign).Open(t.Context(), v.bind, v.sealed)
	wantError(t, err, seal.ErrCannotOpen)
}

func testNothingInTheClear(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f)
	ring, tenant := w.provisioned(t)
	v, again := sealValue(t, t.Context(), ring, tenant), sealValue(t, t.Context(), ring, tenant)
	if bytes.Equal(v.sealed, again.sealed) {
		t.Error("equal values seal to equal bytes")
	}
	if bytes.Contains(v.sealed, []byte("canary")) || bytes.Contains(v.sealed, []byte(tenant)) {
		t.Error("sealed bytes show what is in them, or whose they are")
	}
}

func testHash(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f)
	ring, tenant := w.provisioned(t)
	_, other := w.provisioned(t)
	hash := func(k *seal.Keyring, tenant ident.TenantID, purpose, value string) string {
		t.Helper()
		sum, err := k.Hash(t.Context(), tenant, purpose, []byte(value))
		if err != nil || len(sum) != 32 {
			t.Fatalf("Hash = %d bytes, %v", len(sum), err)
		}
		return string(sum)
	}
	base := hash(ring, tenant, "User.email", "a@example.com")
	for _, same := range []*seal.Keyring{ring, w.start(home), w.start(standby)} {
		if hash(same, tenant, "User.email", "a@example.com") != base {
			t.Error("one value has two hashes")
		}
	}
	seen := map[string]bool{base: true}
	for _, sum := range []string{
		hash(ring, other, "User.email", "a@example.com"),
		hash(ring, tenant, "User.phone", "a@example.com"),
		hash(ring, tenant, "User.email", "b@example.com"),
		hash(ring, tenant, "User.email", ""),
		hash(ring, tenant, "", "User.emaila@example.com"),
		hash(ring, tenant, "User.emaila", "@example.com"),
	} {
		if seen[sum] {
			t.Error("two values have one hash")
		}
		seen[sum] = true
	}
}
