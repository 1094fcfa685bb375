// Package routeheader makes and checks the Domicile-Route header: one edge's signed word that a call may be answered by a
// region. A service answers no call without a valid one.
//
// A header is "v1.<claims>.<signature>": the serialized domicile.route.v1.RouteClaims and an Ed25519 signature (RFC 8032) by the
// origin region's key, both in base64url without padding (RFC 4648, section 5, canonical form only). What the package promises:
//
//   - A region's key signs for that region alone: the key is looked up by (origin, key id), so one region's compromise forges no
//     other's word. There is no algorithm field to be confused about, and what is signed begins with a text that no other use
//     of the key has.
//   - A header is good for one target region and for MaxAge; a verified header that is remembered is no exception to its age, nor
//     to the withdrawal of its key.
//   - Whatever is wrong is one refusal, MISROUTED, in a text that never repeats the header.
//   - Memory is bounded: what is remembered, of signing and of verifying, has a fixed number of entries.
package routeheader

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// Name is the name of the HTTP header.
const Name = "Domicile-Route"

// MaxLength is how many bytes a header has at the most. One of the longest ids has about 400.
const MaxLength = 1024

const (
	// version is the first part of a header. A claim that older verifiers must not overlook makes a new version.
	version = "v1"
	// domain begins what is signed, so that a signature of anything else by the same key is no route header, nor the reverse.
	domain = "domicile route header " + version + "\x00"
)

// encoding refuses texts that decode to the same bytes as another: a header has one form.
var encoding = base64.RawURLEncoding.Strict() //nolint:gochecknoglobals // an immutable table

// KeyID names a public key by its content: the first 8 bytes of its SHA-256, in hex.
func KeyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:8])
}

// signingInput is what is signed: the claims as they are sent, not as somebody would serialize them again.
func signingInput(claims []byte) []byte {
	input := make([]byte, 0, len(domain)+len(claims))
	input = append(input, domain...)
	return append(input, claims...)
}

func encode(claims, signature []byte) string {
	text := make([]byte, 0, len(version)+2+encoding.EncodedLen(len(claims))+encoding.EncodedLen(len(signature)))
	text = append(text, version...)
	text = append(text, '.')
	text = encoding.AppendEncode(text, claims)
	text = append(text, '.')
	text = encoding.AppendEncode(text, signature)
	return string(text)
}

// decode takes a header apart without judging the claims. It returns why it cannot, or "".
func decode(header string) (claims, signature []byte, refusal string) {
	if len(header) > MaxLength {
		return nil, nil, "the route header is too long"
	}
	head, rest, _ := strings.Cut(header, ".")
	if head != version {
		return nil, nil, "the route header has an unknown version"
	}
	first, second, ok := strings.Cut(rest, ".")
	if !ok || strings.ContainsAny(rest, "\r\n") {
		// Go's base64 skips line breaks even in strict mode.
		return nil, nil, malformed
	}
	claims, err := encoding.DecodeString(first)
	if err != nil {
		return nil, nil, malformed
	}
	signature, err = encoding.DecodeString(second)
	if err != nil || len(signature) != ed25519.SignatureSize {
		return nil, nil, malformed
	}
	return claims, signature, ""
}

const malformed = "the route header is malformed"
