package topology

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
)

// parsePeerKey reads a public key of the file: the standard base64 of 32 bytes, in its one canonical form.
func parsePeerKey(text string) (ed25519.PublicKey, bool) {
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	return key, err == nil && len(key) == ed25519.PublicKeySize
}

// checkPeerKeys refuses what has the form of a key and is none, and a key that two regions would share: either could then speak for
// the other.
func (c *checker) checkPeerKeys(region int) {
	for k, text := range c.regions[region].GetPeerKeys() {
		field := fmt.Sprintf("peer_keys[%d]", k)
		if c.doc.isBroken(regionPath(region, field)) {
			continue
		}
		if _, ok := parsePeerKey(text); !ok {
			c.addf(region, field, adviceFor("peer_keys"), "peer_keys: not the base64 of an Ed25519 public key")
			continue
		}
		for other := range region {
			for _, taken := range c.regions[other].GetPeerKeys() {
				if taken == text {
					c.addf(region, field, "give each region a key of its own", "two regions have one peer key; the first is in line %d",
						c.line(other, "peer_keys"))
				}
			}
		}
	}
}

// PeerKeys returns the public keys that the file says a region signs calls to other regions with; none if it says nothing of them.
func (t *Topology) PeerKeys(i Index) []ed25519.PublicKey {
	var keys []ed25519.PublicKey
	for _, text := range t.Region(i).GetPeerKeys() {
		if key, ok := parsePeerKey(text); ok {
			keys = append(keys, key)
		}
	}
	return keys
}
