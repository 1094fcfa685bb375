package tenancy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
)

// pageTokens makes and opens the page tokens of one query: the last id of a page, with a MAC that binds it to the query.
type pageTokens struct {
	key   []byte
	query string
}

// macBytes is how much of the MAC a token has: 128 bits.
const macBytes = 16

func (p pageTokens) mac(after string) []byte {
	m := hmac.New(sha256.New, p.key)
	_, _ = m.Write([]byte("tenants\x00" + p.query + "\x00" + after)) // hash.Hash never fails.
	return m.Sum(nil)[:macBytes]
}

func (p pageTokens) make(after string) string {
	return base64.RawURLEncoding.EncodeToString(append(p.mac(after), after...))
}

func (p pageTokens) open(token string) (after string, err error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < macBytes || !hmac.Equal(raw[:macBytes], p.mac(string(raw[macBytes:]))) {
		return "", fault.New(errorsv1.Reason_REASON_TOKEN_INVALID, "the page token is not one of this query; begin again without it")
	}
	return string(raw[macBytes:]), nil
}
