// Package local is the embedded seal.Wrapper: a region's own key in a file of the region's data folder.
//
// The key is an HPKE key pair (RFC 9180: X25519, HKDF-SHA256, AES-256-GCM) in a Tink key set. Whoever has the public half can
// wrap for the region, which a home needs for its standby; only who has the private half can unwrap. What the package promises:
//
//   - A wrapped key opens for the same region and tenant only: both are bound to it.
//   - The private half is in a file that only its owner may read, or it is not used.
//   - The file appears whole or not at all, also in a crash, and of two processes that make it at once both use one.
//   - A damaged, foreign or missing file is a clear error and never a new key, under which nothing that is stored would open.
package local

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/hybrid"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
)

// Wrapper is a region's key, opened. It is safe for concurrent use.
type Wrapper struct {
	*Recipient

	public  []byte
	private tink.HybridDecrypt
}

// Recipient is the public half of a region's key: it wraps for the region and cannot unwrap.
type Recipient struct {
	region ident.RegionID
	public tink.HybridEncrypt
}

var _ seal.Wrapper = (*Wrapper)(nil)

// Open reads the key of a region from its data folder, or makes it when the folder has none yet. The folder must exist.
func Open(dir string, region ident.RegionID) (*Wrapper, error) {
	private, err := loadOrCreate(dir, region)
	if err != nil {
		return nil, err
	}
	defer clear(private)
	handle, err := insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(private)))
	if err != nil {
		// Tink's error is not kept: these bytes are secret.
		return nil, fmt.Errorf("%w: %s has no key set", ErrDamaged, keyPath(dir))
	}
	w, err := newWrapper(region, handle)
	if err != nil {
		return nil, err
	}
	if err := keepPublic(dir, region, w.public); err != nil {
		return nil, err
	}
	return w, nil
}

// Public returns the public half, for NewRecipient in other regions. It is GLOBAL.
func (w *Wrapper) Public() []byte { return bytes.Clone(w.public) }

// Unwrap decrypts what Wrap made for the same region and tenant; seal.ErrCannotOpen for anything else.
func (w *Wrapper) Unwrap(_ context.Context, tenant ident.TenantID, wrapped []byte) ([]byte, error) {
	plain, err := w.private.Decrypt(wrapped, contextInfo(w.region, tenant))
	if err != nil {
		return nil, seal.ErrCannotOpen
	}
	return plain, nil
}

// NewRecipient returns what wraps for a region by the public half of its key. Where the bytes come from must be trusted:
// they decide who will be able to read.
func NewRecipient(region ident.RegionID, public []byte) (*Recipient, error) {
	handle, err := keyset.ReadWithNoSecrets(keyset.NewBinaryReader(bytes.NewReader(public)))
	if err != nil {
		return nil, fmt.Errorf("reading the public key of region %s: %w", region, err)
	}
	encrypt, err := hybrid.NewHybridEncrypt(handle)
	if err != nil {
		return nil, fmt.Errorf("preparing the public key of region %s: %w", region, err)
	}
	return &Recipient{region: region, public: encrypt}, nil
}

// Wrap encrypts a tenant's key set so that only the region can read it.
func (r *Recipient) Wrap(_ context.Context, tenant ident.TenantID, keyset []byte) ([]byte, error) {
	wrapped, err := r.public.Encrypt(keyset, contextInfo(r.region, tenant))
	if err != nil {
		return nil, fmt.Errorf("wrapping for region %s: %w", r.region, err)
	}
	return wrapped, nil
}

// newKey returns a new private key set, in the clear. Randomness is Tink's, which is crypto/rand.
func newKey() ([]byte, error) {
	handle, err := keyset.NewHandle(hybrid.DHKEM_X25519_HKDF_SHA256_HKDF_SHA256_AES_256_GCM_Key_Template())
	if err != nil {
		return nil, fmt.Errorf("making a region's key: %w", err)
	}
	var plain bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewBinaryWriter(&plain)); err != nil {
		return nil, fmt.Errorf("serializing a region's key: %w", err)
	}
	return plain.Bytes(), nil
}

func publicHalf(private *keyset.Handle) ([]byte, error) {
	handle, err := private.Public()
	if err != nil {
		return nil, fmt.Errorf("taking the public half of a region's key: %w", err)
	}
	var public bytes.Buffer
	if err := handle.WriteWithNoSecrets(keyset.NewBinaryWriter(&public)); err != nil {
		return nil, fmt.Errorf("serializing the public half of a region's key: %w", err)
	}
	return public.Bytes(), nil
}

// contextInfo binds a wrapped key to its region and tenant; each part has its length in front.
func contextInfo(region ident.RegionID, tenant ident.TenantID) []byte {
	info := []byte("domicile wrapped key v1\x00")
	for _, part := range []string{string(region), string(tenant)} {
		info = binary.BigEndian.AppendUint32(info, uint32(len(part))) //nolint:gosec // ids, far from 4 GiB
		info = append(info, part...)
	}
	return info
}
