// Package kms is seal.Wrapper over AWS KMS: a region's own key is one symmetric key of that region, which never leaves it.
//
// A tenant's key set is encrypted here under a fresh random key, and KMS encrypts that one: a key set outgrows the 4,096 bytes that
// KMS takes (API reference, Encrypt) after 37 generations, and so it is seen by no one but the two processes that may. Both
// encryptions are bound to deployment, region, tenant and purpose, by KMS as its encryption context, which an IAM policy can demand
// (kms:EncryptionContext:domicile:deployment, …) and CloudTrail records; none of the four is above GLOBAL. What the package promises:
//
//   - What was wrapped opens in the same deployment and region, for the same tenant, under the same KMS key. Everything else is
//     seal.ErrCannotOpen.
//   - A key that cannot be used (disabled, to be deleted, gone, forbidden) is a *KeyError. Nothing else is tried instead of it, and no
//     key is ever made.
//   - A call that is throttled, that KMS fails at, or whose connection is lost is repeated, after pauses with full jitter (M. Brooker,
//     "Exponential Backoff And Jitter", AWS Architecture Blog, 2015), until the caller's deadline or Config.Timeout has come.
//   - No error has a key, a wrapped key or what KMS wrote about them in its text.
//   - Wrap costs one Encrypt, Unwrap one Decrypt. seal.Keyring caches what it opened, so a warm read makes no call.
//
// Rotation of the KMS key by AWS (automatic or on demand) needs nothing from here: a KMS key keeps all its former material under the same
// id, encrypts with the newest, and finds the one to decrypt with in the ciphertext (AWS KMS Developer Guide, "Rotate AWS KMS keys").
// To point the alias at another key is something else: what is wrapped then no longer opens until it points back.
//
// A purge deletes the wrapped keys of a tenant and leaves the KMS key, which is everybody's: without the wrapped key nothing can be
// decrypted, so what was sealed is erased when the keys table's own backups have expired.
package kms

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
)

// DefaultTimeout bounds a call with its repetitions.
const DefaultTimeout = 5 * time.Second

// Config is what a Wrapper or a Recipient is made of.
type Config struct {
	// AWS has the credentials, the HTTP client and, where it is not AWS's own, the endpoint. Its region is not used.
	AWS aws.Config
	// Deployment is the name of the deployment. What one wraps, another cannot open.
	Deployment string
	// Region is the region whose key this is, and in which KMS is called.
	Region ident.RegionID
	// Key names the KMS key: its id, ARN, alias ("alias/…") or an alias's ARN.
	Key string
	// Timeout bounds a call with its repetitions, where the caller's deadline does not come first. DefaultTimeout when zero.
	Timeout time.Duration
}

// ErrConfig says that a Config cannot be one of a region's key.
var ErrConfig = errors.New("kms: configuration")

func (c Config) validate() error {
	switch {
	case c.Deployment == "":
		return fmt.Errorf("%w: no deployment is named", ErrConfig)
	case c.Region == ident.NoRegion:
		return fmt.Errorf("%w: no region is named", ErrConfig)
	case c.Key == "":
		return fmt.Errorf("%w: no key is named for region %s", ErrConfig, c.Region)
	case c.AWS.Credentials == nil:
		return fmt.Errorf("%w: there are no AWS credentials", ErrConfig)
	case c.Timeout < 0:
		return fmt.Errorf("%w: the time-out is below zero", ErrConfig)
	}
	if !strings.HasPrefix(c.Key, "arn:") {
		return nil
	}
	name, err := arn.Parse(c.Key)
	if err != nil || name.Service != "kms" {
		return fmt.Errorf("%w: the key of region %s is not the ARN of a KMS key", ErrConfig, c.Region)
	}
	if name.Region != string(c.Region) {
		return fmt.Errorf("%w: the key of region %s is a key of %s; each region has its own", ErrConfig, c.Region, name.Region)
	}
	return nil
}

// Wrapper is a region's own KMS key. It is safe for concurrent use.
type Wrapper struct {
	key *key
}

var _ seal.Wrapper = (*Wrapper)(nil)

// New returns a region's key without asking KMS anything; see Open.
func New(cfg Config) (*Wrapper, error) {
	k, err := newKey(cfg)
	if err != nil {
		return nil, err
	}
	return &Wrapper{key: k}, nil
}

// Wrap encrypts a tenant's key set so that only this region can read it.
func (w *Wrapper) Wrap(ctx context.Context, tenant ident.TenantID, keyset []byte) ([]byte, error) {
	return w.key.wrap(ctx, tenant, keyset)
}

// Unwrap decrypts what Wrap made for the same deployment, region and tenant under the same KMS key; seal.ErrCannotOpen for anything
// else. It fails with a *KeyError when the key cannot be used, or not now.
func (w *Wrapper) Unwrap(ctx context.Context, tenant ident.TenantID, wrapped []byte) ([]byte, error) {
	e, ok := parseEnvelope(wrapped)
	if !ok || tenant == "" {
		return nil, seal.ErrCannotOpen
	}
	var plain []byte
	err := w.key.call(ctx, "Decrypt", func(ctx context.Context) error {
		out, err := w.key.client.Decrypt(ctx, &kms.DecryptInput{
			// Given, although KMS would find it in the ciphertext: then no other key opens, whatever the caller may use.
			KeyId: &w.key.cfg.Key, CiphertextBlob: e.key, EncryptionContext: w.key.binding(tenant),
		})
		if err == nil {
			plain = out.Plaintext
		}
		return err //nolint:wrapcheck // call translates it
	})
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return e.open(plain, w.key.associated(tenant))
}

// Recipient is another region's KMS key: it wraps for the region and cannot unwrap, so kms:Encrypt is all that it needs there. The key
// set itself does not travel, not even to that region's KMS.
type Recipient struct {
	key *key
}

// NewRecipient returns what wraps for the region of cfg. Like New it asks KMS nothing.
func NewRecipient(cfg Config) (*Recipient, error) {
	k, err := newKey(cfg)
	if err != nil {
		return nil, err
	}
	return &Recipient{key: k}, nil
}

// Wrap encrypts a tenant's key set so that only the region can read it. It fails with seal.ErrUnreachable, which is also a *KeyError,
// when KMS does not answer there now.
func (r *Recipient) Wrap(ctx context.Context, tenant ident.TenantID, keyset []byte) ([]byte, error) {
	wrapped, err := r.key.wrap(ctx, tenant, keyset)
	if failure, ok := errors.AsType[*KeyError](err); ok && failure.Reason.Temporary() {
		return nil, fmt.Errorf("%w: %w", seal.ErrUnreachable, err)
	}
	return wrapped, err
}
