package credential

import (
	"crypto/sha256"
	"crypto/subtle"
)

// Verifier returns what is stored to prove a key by: SHA-256 of the whole key. A secret has more than 190 random bits, so a
// slow password hash would add cost to each call and no safety.
func Verifier(full string) [sha256.Size]byte { return sha256.Sum256([]byte(full)) }

// Matches tells, in a time that does not depend on where they differ, whether a verifier is that of a key.
func Matches(full string, verifier []byte) bool {
	sum := Verifier(full)
	return subtle.ConstantTimeCompare(sum[:], verifier) == 1
}
