package app

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"

	"github.com/domicile-api/domicile/internal/routeheader"
)

// routeKey is the key by which a region's edges sign route headers.
type routeKey struct {
	id      string
	private ed25519.PrivateKey
}

// newRouteKey returns the key of a seed of ed25519.SeedSize bytes.
func newRouteKey(seed []byte) routeKey {
	key := routeKey{private: ed25519.NewKeyFromSeed(seed)}
	key.id = routeheader.KeyID(key.public())
	return key
}

func (k routeKey) public() ed25519.PublicKey {
	return k.private.Public().(ed25519.PublicKey) //nolint:forcetypeassert // The type is given by crypto/ed25519.
}

// derive makes a key for another use in the region, e.g. page tokens (HKDF-SHA256, RFC 5869).
func (k routeKey) derive(purpose string) []byte {
	key, err := hkdf.Key(sha256.New, k.private.Seed(), nil, "domicile "+purpose, sha256.Size)
	if err != nil {
		panic(err) // 32 bytes are less than HKDF can give.
	}
	return key
}
