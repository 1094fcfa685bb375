package kms_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/seal/kms"
	"github.com/domicile-api/domicile/internal/seal/sealtest"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
)

// Retrieve implements aws.CredentialsProvider.
func (staticCredentials) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "example"}, nil
}

func newFakeWrapper(t testing.TB, region ident.RegionID) seal.Wrapper {
	t.Helper()
	f := newFakeKMS()
	f.add(region, "alias/other")
	return wrapper(t, f.config(region, f.add(region, "alias/domicile-tenants").id))
}

func TestWrapper(t *testing.T) {
	t.Parallel()
	sealtest.RunWrapper(t, newFakeWrapper)
}

func TestKeyring(t *testing.T) {
	t.Parallel()
	sealtest.RunKeyring(t, sealtest.Fixture{NewWrapper: newFakeWrapper, NewKeys: newTables(t)})
}

// newTables returns what makes keys tables in memory.
func newTables(t testing.TB) func(testing.TB) store.Store {
	t.Helper()
	db, err := pebblestore.OpenMemory(pebblestore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	var tables atomic.Uint64
	return func(testing.TB) store.Store { return db.Table(fmt.Sprintf("keys-%d", tables.Add(1))) }
}

// A key opens as what it was wrapped as, whichever of its names is used, and under no other key, deployment or region.
func TestBinding(t *testing.T) {
	t.Parallel()
	f := newFakeKMS()
	k := f.add(home, "alias/domicile-tenants")
	other, abroad := f.add(home, "alias/other"), f.add(standby, "alias/domicile-tenants")
	cfg := f.config(home, k.id)
	wrapped, err := wrapper(t, cfg).Wrap(t.Context(), "acme-eu", []byte("key set"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{k.id, k.arn(), "alias/domicile-tenants", "arn:aws:kms:eu-central-1:111122223333:alias/domicile-tenants"} {
		plain, err := wrapper(t, f.config(home, name)).Unwrap(t.Context(), "acme-eu", wrapped)
		if err != nil || string(plain) != "key set" {
			t.Errorf("by the name %s: %q, %v", name, plain, err)
		}
	}
	elsewhere := cfg
	elsewhere.Deployment = "staging"
	for what, c := range map[string]kms.Config{
		"another deployment": elsewhere, "another key": f.config(home, other.id), "another region": f.config(standby, abroad.id),
	} {
		if plain, err := wrapper(t, c).Unwrap(t.Context(), "acme-eu", wrapped); !errors.Is(err, seal.ErrCannotOpen) {
			t.Errorf("%s: %q, %v", what, plain, err)
		}
	}
	if _, err := wrapper(t, cfg).Wrap(t.Context(), "", []byte("key set")); err == nil {
		t.Error("a key set of no tenant is wrapped")
	}
}

// The binding is made twice: what KMS is told, for policies and CloudTrail to see, and what the key set is authenticated with.
func TestBoundTwice(t *testing.T) {
	t.Parallel()
	f := newFakeKMS()
	cfg := f.config(home, f.add(home, "").id)
	w := wrapper(t, cfg)
	want := map[string]string{
		"domicile:deployment": "domicile", "domicile:region": "eu-central-1", "domicile:tenant": "acme-eu", "domicile:purpose": "tenant-keys",
	}
	wrapped, err := w.Wrap(t.Context(), "acme-eu", []byte("key set"))
	if diff := cmp.Diff(want, f.context); err != nil || diff != "" {
		t.Errorf("Encrypt: %v, %s", err, diff)
	}
	f.context = nil
	_, err = w.Unwrap(t.Context(), "acme-eu", wrapped)
	if diff := cmp.Diff(want, f.context); err != nil || diff != "" {
		t.Errorf("Decrypt: %v, %s", err, diff)
	}

	f.lax = true
	if wrapped, err = w.Wrap(t.Context(), "acme-eu", []byte("key set")); err != nil {
		t.Fatal(err)
	}
	staging := cfg
	staging.Deployment = "staging"
	for what, open := range map[string]func() ([]byte, error){
		"another tenant":     func() ([]byte, error) { return w.Unwrap(t.Context(), "acme-e", wrapped) },
		"another deployment": func() ([]byte, error) { return wrapper(t, staging).Unwrap(t.Context(), "acme-eu", wrapped) },
	} {
		if plain, err := open(); !errors.Is(err, seal.ErrCannotOpen) {
			t.Errorf("%s, and KMS did not look: %q, %v", what, plain, err)
		}
	}
}

// A key set of any number of generations is wrapped, although KMS itself takes 4,096 bytes.
func TestLongKeyset(t *testing.T) {
	t.Parallel()
	f := newFakeKMS()
	w := wrapper(t, f.config(home, f.add(home, "").id))
	long := []byte(strings.Repeat("k", 300<<10))
	wrapped, err := w.Wrap(t.Context(), "acme-eu", long)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := w.Unwrap(t.Context(), "acme-eu", wrapped)
	if err != nil || string(plain) != string(long) {
		t.Errorf("%d bytes, %v", len(plain), err)
	}
	if f.count(home, "Encrypt") != 1 || f.count(home, "Decrypt") != 1 {
		t.Errorf("calls: %v", f.calls)
	}
}

// A recipient calls KMS of the region it wraps for, and only to encrypt.
func TestRecipient(t *testing.T) {
	t.Parallel()
	f := newFakeKMS()
	cfg := f.config(standby, f.add(standby, "alias/domicile-tenants").alias)
	r, err := kms.NewRecipient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := r.Wrap(t.Context(), "acme-eu", []byte("key set"))
	if err != nil {
		t.Fatal(err)
	}
	if f.total() != 1 || f.count(standby, "Encrypt") != 1 {
		t.Errorf("calls: %v", f.calls)
	}
	plain, err := wrapper(t, cfg).Unwrap(t.Context(), "acme-eu", wrapped)
	if err != nil || string(plain) != "key set" {
		t.Errorf("Unwrap = %q, %v", plain, err)
	}
	if _, able := any(r).(seal.Wrapper); able {
		t.Error("a recipient can unwrap")
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := newFakeKMS().config(home, "alias/domicile-tenants")
	for name, spoil := range map[string]func(*kms.Config){
		"no deployment":           func(c *kms.Config) { c.Deployment = "" },
		"no region":               func(c *kms.Config) { c.Region = "" },
		"no key":                  func(c *kms.Config) { c.Key = "" },
		"no credentials":          func(c *kms.Config) { c.AWS.Credentials = nil },
		"a time-out below zero":   func(c *kms.Config) { c.Timeout = -1 },
		"another region's key":    func(c *kms.Config) { c.Key = "arn:aws:kms:us-east-1:111122223333:key/1" },
		"another service's ARN":   func(c *kms.Config) { c.Key = "arn:aws:s3:eu-central-1:111122223333:key/1" },
		"what begins like an ARN": func(c *kms.Config) { c.Key = "arn:aws" },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := kms.New(cfg); !errors.Is(err, kms.ErrConfig) {
			t.Errorf("%s: New: %v", name, err)
		}
		if _, err := kms.NewRecipient(cfg); !errors.Is(err, kms.ErrConfig) {
			t.Errorf("%s: NewRecipient: %v", name, err)
		}
		if _, err := kms.Open(t.Context(), cfg); !errors.Is(err, kms.ErrConfig) {
			t.Errorf("%s: Open: %v", name, err)
		}
	}
	if _, err := kms.New(good); err != nil {
		t.Error(err)
	}
}
