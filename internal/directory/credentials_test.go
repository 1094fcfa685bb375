package directory_test

import (
	"crypto/rand"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/credential"
	"github.com/domicile-api/domicile/internal/directory"
	faults "github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
)

// newKey makes a real key of a tenant and the record of its verifier.
func newKey(t *testing.T, n uint64, tenantID ident.TenantID, change func(*tenancyv1.ApiKey)) (full string, r *directoryv1.Record) {
	t.Helper()
	id, full, err := credential.NewTenantKey(rand.Reader, tenantID)
	if err != nil {
		t.Fatal(err)
	}
	hash := credential.Verifier(full)
	key := &tenancyv1.ApiKey{Id: id, Tenant: string(tenantID)}
	if change != nil {
		change(key)
	}
	return full, &directoryv1.Record{Writer: string(control), Wseq: n, Subject: &directoryv1.Record_ApiKey{
		ApiKey: &directoryv1.ApiKeyVerifier{Key: key, Verifier: hash[:]},
	}}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	table := &countingTable{Table: openTable(t)}
	x := newIndex()
	good, goodRecord := newKey(t, 1, "acme-eu", nil)
	lasting, lastingRecord := newKey(t, 2, "acme-eu", func(k *tenancyv1.ApiKey) { k.ExpireTime = timestamppb.New(noon.Add(time.Microsecond)) })
	expired, expiredRecord := newKey(t, 3, "acme-eu", func(k *tenancyv1.ApiKey) { k.ExpireTime = timestamppb.New(noon) })
	revoked, revokedRecord := newKey(t, 4, "acme-eu", func(k *tenancyv1.ApiKey) { k.RevokeTime = timestamppb.New(noon) })
	homeRevoked, homeRevokedRecord := newKey(t, 5, "acme-eu", nil)
	unknown, _ := newKey(t, 6, "acme-eu", nil)
	other, otherRecord := newKey(t, 7, "acme-us", nil)
	impostor, impostorRecord := newKey(t, 8, "acme-eu", nil)
	wrongHash := credential.Verifier(other)
	impostorRecord.GetApiKey().Verifier = wrongHash[:]
	x.Apply([]*directoryv1.Record{
		goodRecord, lastingRecord, expiredRecord, revokedRecord, homeRevokedRecord, otherRecord, impostorRecord,
		revocationRecord(frankfurt, 1, "acme-eu", homeRevokedRecord.GetApiKey().GetKey().GetId()),
	})
	opID, operator, err := credential.NewOperatorKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	opHash := credential.Verifier(operator)
	x.Apply([]*directoryv1.Record{{Writer: string(control), Wseq: 9, Subject: &directoryv1.Record_OperatorKey{
		OperatorKey: &directoryv1.OperatorKeyVerifier{Id: opID, Verifier: opHash[:]},
	}}})
	mistyped := good[:len(good)-1] + flip(good[len(good)-1])
	credentials := directory.NewCredentials(directory.CredentialsConfig{Resolver: newResolver(x, table, clock), Clock: clock})

	var text string
	for name, tc := range map[string]struct {
		full            string
		ok, alsoRevoked bool
		lookups         bool
	}{
		"good":               {full: good, ok: true, alsoRevoked: true},
		"lasting":            {full: lasting, ok: true, alsoRevoked: true},
		"another tenant's":   {full: other, ok: true, alsoRevoked: true},
		"operator's":         {full: operator, ok: true, alsoRevoked: true},
		"expired":            {full: expired},
		"revoked":            {full: revoked, alsoRevoked: true},
		"revoked by home":    {full: homeRevoked, alsoRevoked: true},
		"unknown":            {full: unknown, lookups: true},
		"of another secret":  {full: impostor},
		"mistyped":           {full: mistyped},
		"unknown, mistyped":  {full: unknown[:len(unknown)-1] + flip(unknown[len(unknown)-1])},
		"without the secret": {full: good[:len("dk_acme-eu_")+16]},
	} {
		key, err := credential.Parse(tc.full)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		before := table.gets.Load()
		principal, err := credentials.Check(t.Context(), key, tc.full)
		switch {
		case tc.ok && err == nil && principal == call.Principal{Kind: key.Kind, KeyID: key.ID}:
		case tc.ok:
			t.Errorf("%s: %+v, %v", name, principal, err)
		case !faults.Is(err, errorsv1.Reason_REASON_CREDENTIAL_INVALID) || principal != call.Principal{}:
			t.Errorf("%s: %+v, %v; want CREDENTIAL_INVALID", name, principal, err)
		case text == "":
			text = err.Error()
		case err.Error() != text:
			t.Errorf("%s: %q tells it apart from %q", name, err, text)
		}
		if looked := table.gets.Load() > before; looked != tc.lookups {
			t.Errorf("%s: looked up: %v, want %v", name, looked, tc.lookups)
		}
		if _, err := credentials.CheckAlsoRevoked(t.Context(), key, tc.full); (err == nil) != tc.alsoRevoked {
			t.Errorf("%s, revoked or not: %v, want accepted: %v", name, err, tc.alsoRevoked)
		}
	}
}

// flip returns another digit.
func flip(c byte) string {
	if c == '0' {
		return "1"
	}
	return "0"
}

// TestCredentialsWithoutTable checks that a key that cannot be looked up is not called invalid.
func TestCredentialsWithoutTable(t *testing.T) {
	t.Parallel()
	full, _ := newKey(t, 1, "acme-eu", nil)
	key, err := credential.Parse(full)
	if err != nil {
		t.Fatal(err)
	}
	credentials := directory.NewCredentials(directory.CredentialsConfig{Resolver: newResolver(newIndex(), nil, clock), Clock: clock})
	if _, err := credentials.Check(t.Context(), key, full); !faults.Is(err, errorsv1.Reason_REASON_REGION_UNAVAILABLE) {
		t.Fatalf("error %v, want REGION_UNAVAILABLE", err)
	}
}
