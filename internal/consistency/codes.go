package consistency

import (
	"crypto/hmac"
	"crypto/sha256"
)

// Codes authenticates other short things with the token keys, such as where a page of a list ends: what one region has authenticated, every
// region accepts. It is safe for concurrent use.
type Codes struct{ keys Keys }

// NewCodes returns codes under a region's keys.
func NewCodes(keys Keys) Codes { return Codes{keys} }

// MAC returns a code of data under the newest key, and the key's id. purpose separates uses: a code of one is none of another.
func (c Codes) MAC(purpose string, data []byte) (keyID uint32, mac [16]byte, err error) {
	id, secret, ok := c.keys.Newest()
	if !ok {
		return 0, mac, errNoKey
	}
	return id, codeUnder(&secret, purpose, data), nil
}

// Check tells whether MAC made a code, under a key that is still accepted.
func (c Codes) Check(purpose string, data []byte, keyID uint32, mac [16]byte) bool {
	secret, state := c.keys.Secret(keyID)
	if state != KeyOpen {
		return false
	}
	want := codeUnder(&secret, purpose, data)
	return hmac.Equal(want[:], mac[:])
}

// codeUnder takes a key of the purpose's own, so that no input to it can be one to a token's code.
func codeUnder(secret *Secret, purpose string, data []byte) [16]byte {
	own := hmac.New(sha256.New, secret.bytes[:])
	_, _ = own.Write([]byte("domicile code: " + purpose)) // A hash never fails.
	mac := hmac.New(sha256.New, own.Sum(nil))
	_, _ = mac.Write(data)
	return [16]byte(mac.Sum(nil))
}
