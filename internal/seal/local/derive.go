package local

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/hybrid"
	"github.com/tink-crypto/tink-go/v2/hybrid/hpke"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/secretdata"

	"github.com/domicile-api/domicile/internal/ident"
)

const (
	// privateSize is how long a private key of X25519 is.
	privateSize = 32
	// derivedID is the id of a derived key in its key set. It is given, because the public half has it and is to be the same every time.
	derivedID = 1
)

// Derive returns the key of a region that follows from a secret (HKDF-SHA256, RFC 5869), for regions that keep a secret elsewhere than in
// a folder of theirs. The same secret always gives the same key, whose public half says nothing of it.
func Derive(region ident.RegionID, secret []byte) (*Wrapper, error) {
	private, err := hkdf.Key(sha256.New, secret, nil, "domicile sealing key of a region v1", privateSize)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of region %s: %w", region, err)
	}
	defer clear(private)
	handle, err := derivedHandle(private)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of region %s: %w", region, err)
	}
	return newWrapper(region, handle)
}

func derivedHandle(private []byte) (*keyset.Handle, error) {
	params, err := hpke.NewParameters(hpke.ParametersOpts{
		KEMID: hpke.DHKEM_X25519_HKDF_SHA256, KDFID: hpke.HKDFSHA256, AEADID: hpke.AES256GCM, Variant: hpke.VariantTink,
	})
	if err != nil {
		return nil, fmt.Errorf("choosing the kind of key: %w", err)
	}
	key, err := hpke.NewPrivateKey(secretdata.NewBytesFromData(private, insecuresecretdataaccess.Token{}), derivedID, params)
	if err != nil {
		return nil, fmt.Errorf("making the key: %w", err)
	}
	manager := keyset.NewManager()
	id, err := manager.AddKey(key)
	if err == nil {
		err = manager.SetPrimary(id)
	}
	if err != nil {
		return nil, fmt.Errorf("making the key set: %w", err)
	}
	handle, err := manager.Handle()
	if err != nil {
		return nil, fmt.Errorf("making the key set: %w", err)
	}
	return handle, nil
}

// newWrapper opens a private key set.
func newWrapper(region ident.RegionID, handle *keyset.Handle) (*Wrapper, error) {
	decrypt, err := hybrid.NewHybridDecrypt(handle)
	if err != nil {
		return nil, fmt.Errorf("preparing the key of region %s: %w", region, err)
	}
	public, err := publicHalf(handle)
	if err != nil {
		return nil, err
	}
	recipient, err := NewRecipient(region, public)
	if err != nil {
		return nil, err
	}
	return &Wrapper{Recipient: recipient, public: public, private: decrypt}, nil
}
