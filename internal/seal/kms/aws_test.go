//go:build aws

package kms_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/seal/kms"
	"github.com/domicile-api/domicile/internal/seal/sealtest"
	"github.com/domicile-api/domicile/internal/store"
)

// awsConfig is that of the environment, which must name an endpoint: these tests make keys.
func awsConfig(t testing.TB) aws.Config {
	t.Helper()
	if os.Getenv("AWS_ENDPOINT_URL") == "" {
		t.Fatal("AWS_ENDPOINT_URL is not set; start LocalStack and name it")
	}
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// admin is the client of who operates a region's keys.
func admin(t testing.TB, region ident.RegionID) *awskms.Client {
	t.Helper()
	return awskms.NewFromConfig(awsConfig(t), func(o *awskms.Options) { o.Region = string(region) })
}

// createKey makes a key and has it deleted at the end.
func createKey(t testing.TB, region ident.RegionID, in *awskms.CreateKeyInput) string {
	t.Helper()
	client := admin(t, region)
	out, err := client.CreateKey(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		in := &awskms.ScheduleKeyDeletionInput{KeyId: out.KeyMetadata.KeyId, PendingWindowInDays: aws.Int32(7)}
		if _, err := client.ScheduleKeyDeletion(ctx, in); err != nil {
			if _, pending := errors.AsType[*types.KMSInvalidStateException](err); !pending {
				t.Errorf("deleting a key: %v", err)
			}
		}
	})
	return *out.KeyMetadata.KeyId
}

func keyConfig(t testing.TB, region ident.RegionID, key string) kms.Config {
	t.Helper()
	// An emulator that others use too may be slow.
	return kms.Config{AWS: awsConfig(t), Deployment: "domicile", Region: region, Key: key, Timeout: time.Minute}
}

func newWrapper(t testing.TB, region ident.RegionID) seal.Wrapper {
	t.Helper()
	w, err := kms.Open(t.Context(), keyConfig(t, region, createKey(t, region, &awskms.CreateKeyInput{})))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWrapperOnAWS(t *testing.T) {
	t.Parallel()
	sealtest.RunWrapper(t, newWrapper)
}

func TestKeyringOnAWS(t *testing.T) {
	t.Parallel()
	sealtest.RunKeyring(t, sealtest.Fixture{NewWrapper: newWrapper, NewKeys: newTables(t)})
}

// The real states of a key, and its alias, say what they are.
func TestKeyStatesOnAWS(t *testing.T) {
	t.Parallel()
	client := admin(t, home)
	id := createKey(t, home, &awskms.CreateKeyInput{})
	alias := "alias/domicile-test-" + id
	if _, err := client.CreateAlias(t.Context(), &awskms.CreateAliasInput{AliasName: &alias, TargetKeyId: &id}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := client.DeleteAlias(context.WithoutCancel(t.Context()), &awskms.DeleteAliasInput{AliasName: &alias}); err != nil {
			t.Errorf("deleting an alias: %v", err)
		}
	})
	w, err := kms.Open(t.Context(), keyConfig(t, home, alias))
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := w.Wrap(t.Context(), tenant, []byte("key set"))
	if err != nil {
		t.Fatal(err)
	}
	refused := func(want kms.Reason) {
		t.Helper()
		plain, err := w.Unwrap(t.Context(), tenant, wrapped)
		if got, ok := errors.AsType[*kms.KeyError](err); !ok || got.Reason != want || plain != nil {
			t.Errorf("Unwrap = %q, %v, want %s", plain, err, want)
		}
		_, err = kms.Open(t.Context(), keyConfig(t, home, alias))
		if got, ok := errors.AsType[*kms.KeyError](err); !ok || got.Reason != want {
			t.Errorf("Open: %v, want %s", err, want)
		}
	}
	if _, err := client.DisableKey(t.Context(), &awskms.DisableKeyInput{KeyId: &id}); err != nil {
		t.Fatal(err)
	}
	refused(kms.Disabled)
	if _, err := client.EnableKey(t.Context(), &awskms.EnableKeyInput{KeyId: &id}); err != nil {
		t.Fatal(err)
	}
	if plain, err := w.Unwrap(t.Context(), tenant, wrapped); err != nil || string(plain) != "key set" {
		t.Errorf("once enabled: %q, %v", plain, err)
	}
	// Rotation changes nothing for what is wrapped.
	if _, err := client.RotateKeyOnDemand(t.Context(), &awskms.RotateKeyOnDemandInput{KeyId: &id}); err != nil {
		t.Fatal(err)
	}
	if plain, err := w.Unwrap(t.Context(), tenant, wrapped); err != nil || string(plain) != "key set" {
		t.Errorf("after a rotation: %q, %v", plain, err)
	}
	in := &awskms.ScheduleKeyDeletionInput{KeyId: &id, PendingWindowInDays: aws.Int32(7)}
	if _, err := client.ScheduleKeyDeletion(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	refused(kms.PendingDeletion)
}

func TestUnsuitableKeysOnAWS(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]*awskms.CreateKeyInput{
		"for signing":  {KeyUsage: types.KeyUsageTypeSignVerify, KeySpec: types.KeySpecEccNistP256},
		"asymmetric":   {KeyUsage: types.KeyUsageTypeEncryptDecrypt, KeySpec: types.KeySpecRsa2048},
		"multi-Region": {MultiRegion: aws.Bool(true)},
	} {
		_, err := kms.Open(t.Context(), keyConfig(t, home, createKey(t, home, in)))
		if got, ok := errors.AsType[*kms.KeyError](err); !ok || got.Reason != kms.Unsuitable {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := kms.Open(t.Context(), keyConfig(t, home, "alias/domicile-no-such-key"))
	if got, ok := errors.AsType[*kms.KeyError](err); !ok || got.Reason != kms.NotFound {
		t.Errorf("no such alias: %v", err)
	}
	// A key of another region is not in this one.
	_, err = kms.Open(t.Context(), keyConfig(t, home, createKey(t, standby, &awskms.CreateKeyInput{})))
	if got, ok := errors.AsType[*kms.KeyError](err); !ok || got.Reason != kms.NotFound {
		t.Errorf("another region's key: %v", err)
	}
}

// TestStandbyOnAWS: what a home wrapped by the standby's KMS opens in the standby, with the home's key disabled and its table out of reach.
func TestStandbyOnAWS(t *testing.T) {
	t.Parallel()
	keys := map[ident.RegionID]string{}
	rings := map[ident.RegionID]*seal.Keyring{}
	tables := newTables(t)
	there := tables(t)
	for _, id := range []ident.RegionID{home, standby} {
		keys[id] = createKey(t, id, &awskms.CreateKeyInput{})
	}
	recipient, err := kms.NewRecipient(keyConfig(t, standby, keys[standby]))
	if err != nil {
		t.Fatal(err)
	}
	start := func(id ident.RegionID, table store.Store) *seal.Keyring {
		w, err := kms.Open(t.Context(), keyConfig(t, id, keys[id]))
		if err != nil {
			t.Fatal(err)
		}
		return seal.NewKeyring(seal.KeyringConfig{
			Region: id, Jurisdiction: "EU", Keys: table, Clock: time.Now, Wrapper: w, Courier: &courier{recipient, rings},
		})
	}
	rings[home], rings[standby] = start(home, tables(t)), start(standby, there)
	if err := rings[home].Provision(t.Context(), tenant, 1, []ident.RegionID{home, standby}); err != nil {
		t.Fatal(err)
	}
	bind := seal.Bind{Tenant: tenant, Type: "domicile.profile.v1.User", ID: "usr_1"}
	sealed, err := rings[home].Seal(t.Context(), bind, []byte("canary.person@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	id := keys[home]
	if _, err := admin(t, home).DisableKey(t.Context(), &awskms.DisableKeyInput{KeyId: &id}); err != nil {
		t.Fatal(err)
	}
	wantOpens(t, start(standby, there), bind, sealed)
}

// courier is how a home reaches its standby: KMS there, and the standby's own process.
type courier struct {
	recipient *kms.Recipient
	rings     map[ident.RegionID]*seal.Keyring
}

// WrapFor implements seal.Courier.
func (c *courier) WrapFor(ctx context.Context, _ ident.RegionID, tenant ident.TenantID, keyset []byte) ([]byte, error) {
	return c.recipient.Wrap(ctx, tenant, keyset)
}

// Deliver implements seal.Courier.
func (c *courier) Deliver(ctx context.Context, to ident.RegionID, d seal.Delivery) error {
	return c.rings[to].Accept(ctx, d)
}
