package peer

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
)

// HeaderName is the HTTP header by which a region proves that it makes a call:
//
//	v1.<claims>.<signature>
//
// both in base64url without padding, canonical form only; the signature is Ed25519 (RFC 8032). The claims are, in this order and with
// nothing after them: origin, key id, target, procedure, each with its length in a byte before it; the SHA-256 of the body as it is
// sent; the issue time in milliseconds since 1970, 8 bytes big-endian; and a nonce of 16 bytes.
const HeaderName = "Domicile-Peer"

const (
	headerVersion = "v1"
	// signedDomain begins what is signed, so that a signature of anything else by the same key is no peer header, nor the reverse.
	signedDomain = "domicile peer header " + headerVersion + "\x00"
	// maxHeader is how many bytes a header has at the most: claims of four parts of 255 bytes, and some.
	maxHeader = 2048
	maxPart   = 255
	nonceSize = 16

	// DefaultMaxAge is how long after its issue a header is accepted.
	DefaultMaxAge = 30 * time.Second
	// DefaultMaxSkew is how far in the future a header's issue may lie: how much the clocks of regions may differ.
	DefaultMaxSkew = 5 * time.Second
)

// headerEncoding refuses texts that decode to the same bytes as another: a header has one form.
var headerEncoding = base64.RawURLEncoding.Strict() //nolint:gochecknoglobals // an immutable table

// claims are what a region signs of a call.
type claims struct {
	origin, target   ident.RegionID
	keyID, procedure string
	body             [sha256.Size]byte
	issued           time.Time
	nonce            [nonceSize]byte
}

var errPart = errors.New("peer: a part of the header is too long")

// marshal fails when a part does not fit its length byte.
func (c *claims) marshal() ([]byte, error) {
	var data []byte
	for _, part := range []string{string(c.origin), c.keyID, string(c.target), c.procedure} {
		if len(part) > maxPart {
			return nil, errPart
		}
		data = append(data, byte(len(part))) //nolint:gosec // at most maxPart
		data = append(data, part...)
	}
	data = append(data, c.body[:]...)
	data = binary.BigEndian.AppendUint64(data, uint64(c.issued.UnixMilli()))
	return append(data, c.nonce[:]...), nil
}

// unmarshal reads what marshal makes, and nothing else.
func (c *claims) unmarshal(data []byte) bool {
	var parts [4]string
	for i := range parts {
		if len(data) == 0 || len(data)-1 < int(data[0]) {
			return false
		}
		size := int(data[0])
		parts[i], data = string(data[1:1+size]), data[1+size:]
		if size == 0 {
			return false
		}
	}
	const times = 8
	if len(data) != len(c.body)+times+len(c.nonce) {
		return false
	}
	c.origin, c.keyID, c.target, c.procedure = ident.RegionID(parts[0]), parts[1], ident.RegionID(parts[2]), parts[3]
	data = data[copy(c.body[:], data):]
	c.issued = time.UnixMilli(int64(binary.BigEndian.Uint64(data))) //nolint:gosec // a wrong one is far from now
	copy(c.nonce[:], data[times:])
	return true
}

func signingInput(claims []byte) []byte {
	input := make([]byte, 0, len(signedDomain)+len(claims))
	input = append(input, signedDomain...)
	return append(input, claims...)
}

// sign returns the header of a call.
func (k *Key) sign(c *claims) (string, error) {
	data, err := c.marshal()
	if err != nil {
		return "", err
	}
	signature := ed25519.Sign(k.private, signingInput(data))
	return headerVersion + "." + headerEncoding.EncodeToString(data) + "." + headerEncoding.EncodeToString(signature), nil
}

// parseHeader takes a header apart. Nothing of it is authentic yet.
func parseHeader(header string) (c *claims, signed, signature []byte, ok bool) {
	version, rest, _ := strings.Cut(header, ".")
	first, second, found := strings.Cut(rest, ".")
	// Go's base64 skips line breaks even in strict mode.
	if len(header) > maxHeader || version != headerVersion || !found || strings.ContainsAny(rest, "\r\n") {
		return nil, nil, nil, false
	}
	signed, err := headerEncoding.DecodeString(first)
	if err != nil {
		return nil, nil, nil, false
	}
	signature, err = headerEncoding.DecodeString(second)
	c = new(claims)
	if err != nil || len(signature) != ed25519.SignatureSize || !c.unmarshal(signed) {
		return nil, nil, nil, false
	}
	return c, signed, signature, true
}

// verifier checks the headers that one region receives.
type verifier struct {
	region          ident.RegionID
	keys            Keys
	clock           func() time.Time
	maxAge, maxSkew time.Duration
}

// verify returns the claims of a header that another region signed for this one, for the procedure, within maxAge. Whether the body
// is the one that was signed is left to the caller, which need not read it if anything else is wrong.
func (v *verifier) verify(header, procedure string) (*claims, error) {
	c, signed, signature, ok := parseHeader(header)
	if !ok {
		return nil, refused("the peer header is malformed", nil)
	}
	key, ok := v.keys.PeerKey(c.origin, c.keyID)
	if !ok || len(key) != ed25519.PublicKeySize {
		return nil, refused("the peer header's origin or key is not known", nil)
	}
	if !ed25519.Verify(key, signingInput(signed), signature) {
		return nil, refused("the peer header is not authentic", nil)
	}
	if c.target != v.region || c.procedure != procedure {
		return nil, refused("the peer header is for another region or procedure", nil)
	}
	switch age := v.clock().Sub(c.issued); {
	case age > v.maxAge:
		return nil, refused("the peer header is stale", fmt.Errorf("issued %s ago, %s allowed", age, v.maxAge))
	case age < -v.maxSkew:
		return nil, refused("the peer header is from the future", fmt.Errorf("issued %s ahead, %s allowed", -age, v.maxSkew))
	default:
		return c, nil
	}
}

func refused(message string, cause error) *fault.Error {
	return &fault.Error{Reason: errorsv1.Reason_REASON_CREDENTIAL_INVALID, Message: message, Cause: cause}
}
