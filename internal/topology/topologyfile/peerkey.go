package topologyfile

import (
	"fmt"

	"github.com/domicile-api/domicile/internal/topology"
)

// checkPeerKeys refuses what has the form of a key and is none, and a key that two regions would share: either could then speak for
// the other.
func (c *checker) checkPeerKeys(region int) {
	for k, text := range c.regions[region].GetPeerKeys() {
		field := fmt.Sprintf("peer_keys[%d]", k)
		if c.doc.isBroken(regionPath(region, field)) {
			continue
		}
		if _, ok := topology.ParsePeerKey(text); !ok {
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
