package kms

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
)

// A wrapped key set is: envelopeFormat, the length of what KMS made (2 bytes, big endian), what KMS made of the random key, and what
// AES-256-GCM made of the key set under the random key (12 bytes nonce, ciphertext, 16 bytes tag).
const (
	envelopeFormat = 1
	envelopeHeader = 3
	// keyBytes is the size of the random key. It encrypts one key set, so any AEAD's bounds are far.
	keyBytes = 32
	// maxBlob is the longest ciphertext that Decrypt takes (KMS API reference).
	maxBlob = 6144
	// sealedOverhead is what AES-GCM adds.
	sealedOverhead = 12 + 16
)

// The keys of the encryption context, which policies and CloudTrail show.
const (
	contextDeployment = "domicile:deployment"
	contextRegion     = "domicile:region"
	contextTenant     = "domicile:tenant"
	contextPurpose    = "domicile:purpose"
	// purpose is what this package uses a KMS key for.
	purpose = "tenant-keys"
)

// envelope is a wrapped key set in its parts.
type envelope struct {
	// key is the random key, encrypted by KMS; keyset is encrypted under the random key.
	key, keyset []byte
}

func parseEnvelope(b []byte) (envelope, bool) {
	if len(b) < envelopeHeader || b[0] != envelopeFormat {
		return envelope{}, false
	}
	n := int(binary.BigEndian.Uint16(b[1:envelopeHeader]))
	rest := b[envelopeHeader:]
	if n == 0 || n > maxBlob || len(rest)-n < sealedOverhead {
		return envelope{}, false
	}
	return envelope{key: rest[:n], keyset: rest[n:]}, true
}

// open decrypts the key set with the random key in the clear.
func (e envelope) open(random, associated []byte) ([]byte, error) {
	if len(random) != keyBytes {
		return nil, seal.ErrCannotOpen
	}
	cipher, err := subtle.NewAESGCM(random)
	if err != nil {
		return nil, fmt.Errorf("preparing to unwrap: %w", err)
	}
	keyset, err := cipher.Decrypt(e.keyset, associated)
	if err != nil {
		return nil, seal.ErrCannotOpen
	}
	return keyset, nil
}

// wrap makes an envelope. It costs one Encrypt.
func (k *key) wrap(ctx context.Context, tenant ident.TenantID, keyset []byte) ([]byte, error) {
	if tenant == "" {
		return nil, fmt.Errorf("wrapping for region %s: no tenant is named", k.cfg.Region)
	}
	random := make([]byte, keyBytes)
	defer clear(random)
	_, _ = rand.Read(random) // It never fails (package crypto/rand).
	cipher, err := subtle.NewAESGCM(random)
	if err != nil {
		return nil, fmt.Errorf("wrapping for region %s: %w", k.cfg.Region, err)
	}
	sealed, err := cipher.Encrypt(keyset, k.associated(tenant))
	if err != nil {
		return nil, fmt.Errorf("wrapping for region %s: %w", k.cfg.Region, err)
	}
	var blob []byte
	err = k.call(ctx, "Encrypt", func(ctx context.Context) error {
		out, err := k.client.Encrypt(ctx, &kms.EncryptInput{KeyId: &k.cfg.Key, Plaintext: random, EncryptionContext: k.binding(tenant)})
		if err == nil {
			blob = out.CiphertextBlob
		}
		return err //nolint:wrapcheck // call translates it
	})
	if err != nil {
		return nil, err
	}
	if len(blob) == 0 || len(blob) > maxBlob {
		return nil, fmt.Errorf("wrapping for region %s: KMS made %d bytes, which it would not take back", k.cfg.Region, len(blob))
	}
	out := make([]byte, 0, envelopeHeader+len(blob)+len(sealed))
	out = binary.BigEndian.AppendUint16(append(out, envelopeFormat), uint16(len(blob))) //nolint:gosec // at most maxBlob
	return append(append(out, blob...), sealed...), nil
}

// binding is the encryption context of a tenant's key.
func (k *key) binding(tenant ident.TenantID) map[string]string {
	return map[string]string{
		contextDeployment: k.cfg.Deployment, contextRegion: string(k.cfg.Region), contextTenant: string(tenant), contextPurpose: purpose,
	}
}

// associated is what the key set is authenticated with under the random key: the same as the encryption context, each part with its
// length in front.
func (k *key) associated(tenant ident.TenantID) []byte {
	data := append([]byte("domicile wrapped key set\x00"), envelopeFormat)
	for _, part := range []string{purpose, k.cfg.Deployment, string(k.cfg.Region), string(tenant)} {
		data = binary.BigEndian.AppendUint32(data, uint32(len(part))) //nolint:gosec // names, far from 4 GiB
		data = append(data, part...)
	}
	return data
}
