package consistency

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
)

// A token is, in base64url without padding,
//
//	1 byte    version
//	varint    key id
//	varint    epoch
//	8 varints positions of the home's lanes
//	varint    how many origins follow
//	each      3 bytes code of the region, varint position
//	16 bytes  HMAC-SHA-256 of the tenant's id and all the above, cut
//
// Varints are those of encoding/binary. The tenant is not in the token, only in what is authenticated: the server knows whose call
// it is before it looks.
const (
	formatVersion = 1
	macBytes      = 16
	codeBytes     = 3

	// MaxTokenChars is how many characters a token has at the most.
	MaxTokenChars = 256
	maxTokenBytes = MaxTokenChars / 4 * 3
	maxBodyBytes  = maxTokenBytes - macBytes
)

// macLabel keeps the tokens' MACs apart from anything else that a key may ever authenticate.
const macLabel = "domicile consistency token\x00"

// encoding refuses what is not the one form of its bytes.
var encoding = base64.RawURLEncoding.Strict() //nolint:gochecknoglobals // it has no state

// ErrUnknownKey says that a token's key is not known here, or cannot be opened here yet. It says nothing of whether the token is
// authentic: another region may know.
var ErrUnknownKey = errors.New("consistency: the token's key is not known here")

// errSealedKey is an ErrUnknownKey of a key that is in the directory.
var errSealedKey = fmt.Errorf("%w: it is in the directory without a copy that this region can open", ErrUnknownKey)

// errNoKey says that there is no key to make tokens with.
var errNoKey = errors.New("consistency: no token key is open in this region")

// CodecConfig is what a Codec is made of.
type CodecConfig struct {
	// Keys authenticate tokens. Required.
	Keys Keys
	// Regions are the origins that multi-primary streams can have: all regions of the topology.
	Regions []ident.RegionID
}

// Codec makes and reads tokens. It is safe for concurrent use.
type Codec struct {
	keys   Keys
	byCode map[uint32]ident.RegionID
}

// NewCodec fails if two regions have ids that a token could not tell apart, a chance of one in 35,000 with 32 regions.
func NewCodec(cfg CodecConfig) (*Codec, error) {
	if cfg.Keys == nil {
		return nil, errors.New("consistency: a codec needs keys")
	}
	c := &Codec{keys: cfg.Keys, byCode: make(map[uint32]ident.RegionID, len(cfg.Regions))}
	for _, region := range cfg.Regions {
		code := codeOf(region)
		if other, taken := c.byCode[code]; taken && other != region {
			return nil, fmt.Errorf("consistency: tokens cannot tell the regions %s and %s apart; rename one", other, region)
		}
		c.byCode[code] = region
	}
	return c, nil
}

// Mint returns a token for positions. It fails only if no key is open here.
//
// Epoch and lanes always fit. Of the origins, those with the highest positions are kept as long as there is room: at least 6 whatever
// the numbers are, and 19 as long as lanes and origins have less than 2^28 writes each. An origin that is left out is one with few
// writes, which most likely have been everywhere for long; for it the token promises nothing.
func (c *Codec) Mint(tenant ident.TenantID, p ident.Positions) (string, error) {
	id, secret, ok := c.keys.Newest()
	if !ok {
		return "", errNoKey
	}
	var space [maxTokenBytes]byte
	b := append(space[:0], formatVersion)
	b = binary.AppendUvarint(b, uint64(id))
	b = binary.AppendUvarint(b, uint64(p.Epoch))
	for _, seq := range p.Lanes {
		b = binary.AppendUvarint(b, uint64(seq))
	}
	b = appendOrigins(b, p.Origins)
	mac := authenticate(&secret, tenant, b)
	b = append(b, mac[:]...)
	return encoding.EncodeToString(b), nil
}

// Parse returns what an authentic token of the tenant says. Everything else fails with TOKEN_INVALID, a token of a retired key too; a
// token whose key is not known here fails with ErrUnknownKey.
func (c *Codec) Parse(tenant ident.TenantID, token string) (ident.Positions, error) {
	var space [maxTokenBytes]byte
	if len(token) > MaxTokenChars || strings.ContainsAny(token, "\r\n") { // Line breaks, the decoder would skip.
		return ident.Positions{}, invalid("it has not the form of one")
	}
	n, err := encoding.Decode(space[:], []byte(token))
	if err != nil || n <= macBytes || space[0] != formatVersion {
		return ident.Positions{}, invalid("it has not the form of one")
	}
	body, mac := space[:n-macBytes], space[n-macBytes:n]
	r := reader{rest: body[1:]}
	id := r.uvarint()
	if r.failed || id == 0 || id > maxKeyID {
		return ident.Positions{}, invalid("it has not the form of one")
	}
	secret, err := c.secret(uint32(id))
	if err != nil {
		return ident.Positions{}, err
	}
	want := authenticate(&secret, tenant, body)
	if subtle.ConstantTimeCompare(mac, want[:]) != 1 {
		return ident.Positions{}, invalid("it was not made for this tenant by the platform")
	}
	// From here on it is what Mint made, of this release or of another.
	var p ident.Positions
	p.Epoch = ident.Epoch(r.uvarint())
	for lane := range p.Lanes {
		p.Lanes[lane] = ident.Seq(r.uvarint())
	}
	c.readOrigins(&r, &p)
	if r.failed || len(r.rest) > 0 {
		return ident.Positions{}, invalid("it has not the form of one")
	}
	return p, nil
}

// secret returns the key that a token names, if tokens under it are accepted.
func (c *Codec) secret(id uint32) (Secret, error) {
	secret, state := c.keys.Secret(id)
	switch state {
	case KeyOpen:
		return secret, nil
	case KeyRetired:
		return Secret{}, invalid("its key is retired")
	case KeySealed:
		return Secret{}, errSealedKey
	default:
		return Secret{}, ErrUnknownKey
	}
}

// maxKeyID bounds key ids, which are uint32.
const maxKeyID = 1<<32 - 1

// authenticate returns the MAC of a token's bytes.
func authenticate(secret *Secret, tenant ident.TenantID, body []byte) [macBytes]byte {
	var space [len(macLabel) + binary.MaxVarintLen64 + 64 + maxBodyBytes]byte
	b := append(space[:0], macLabel...)
	b = binary.AppendUvarint(b, uint64(len(tenant)))
	b = append(b, tenant...)
	b = append(b, body...)
	h := hmac.New(sha256.New, secret.bytes[:])
	h.Write(b)
	var sum [sha256.Size]byte
	return [macBytes]byte(h.Sum(sum[:0]))
}

// invalid refuses a token. Nothing of the token is repeated.
func invalid(why string) error {
	return fault.New(errorsv1.Reason_REASON_TOKEN_INVALID, "a consistency token is not valid: %s", why)
}

// reader reads varints until the first that is not there.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) uvarint() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.failed, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) code() uint32 {
	if len(r.rest) < codeBytes {
		r.failed, r.rest = true, nil
		return 0
	}
	code := uint32(r.rest[0])<<16 | uint32(r.rest[1])<<8 | uint32(r.rest[2])
	r.rest = r.rest[codeBytes:]
	return code
}
