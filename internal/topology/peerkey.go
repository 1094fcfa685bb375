package topology

import (
	"crypto/ed25519"
	"encoding/base64"
)

// ParsePeerKey reads a public key as a topology has it: the standard base64 of 32 bytes, in its one canonical form.
func ParsePeerKey(text string) (ed25519.PublicKey, bool) {
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	return key, err == nil && len(key) == ed25519.PublicKeySize
}

// PeerKeys returns the public keys that the file says a region signs calls to other regions with; none if it says nothing of them.
func (t *Topology) PeerKeys(i Index) []ed25519.PublicKey {
	var keys []ed25519.PublicKey
	for _, text := range t.Region(i).GetPeerKeys() {
		if key, ok := ParsePeerKey(text); ok {
			keys = append(keys, key)
		}
	}
	return keys
}
