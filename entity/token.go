package entity

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/gofrs/uuid/v5"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
)

// PageKeys authenticates page tokens. All regions have the same keys, so that a list that was begun in one goes on in another.
type PageKeys interface {
	// MAC returns a 16-byte code of data under the newest key, and the key's id. purpose separates uses.
	MAC(purpose string, data []byte) (keyID uint32, mac [16]byte, err error)
	// Check tells whether MAC made the code, under a key that is still good.
	Check(purpose string, data []byte, keyID uint32, mac [16]byte) bool
}

// A page token is base64url of a version byte, the key's id, the UUID of the last id on the page before, and a MAC over
// the UUID, the tenant and the query that it belongs to: 50 characters.
const (
	tokenVersion = 2
	tokenMAC     = 16
	tokenHead    = 1 + 4
	tokenBytes   = tokenHead + uuid.Size + tokenMAC
	// tokenPurpose separates these codes from those of consistency tokens.
	tokenPurpose = "domicile.entity.page_token"
)

// makeToken returns the token of the page after the given id.
func (e *Engine) makeToken(tenant ident.TenantID, idPrefix, query, last string) (string, error) {
	u, ok := parseID(idPrefix, last)
	if !ok {
		return "", errors.New("entity: a stored id is not a TypeID")
	}
	keyID, mac, err := e.cfg.Pages.MAC(tokenPurpose, tokenData(tenant, query, u))
	if err != nil {
		return "", fmt.Errorf("authenticating a page token: %w", err)
	}
	raw := make([]byte, 0, tokenBytes)
	raw = append(raw, tokenVersion)
	raw = binary.BigEndian.AppendUint32(raw, keyID)
	raw = append(raw, u[:]...)
	return base64.RawURLEncoding.EncodeToString(append(raw, mac[:]...)), nil
}

// readToken returns the id that a token continues after; "" when there is no token.
func (e *Engine) readToken(tenant ident.TenantID, idPrefix, query, token string) (string, error) {
	if token == "" {
		return "", nil
	}
	if len(token) != base64.RawURLEncoding.EncodedLen(tokenBytes) {
		return "", tokenInvalid()
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != tokenBytes || raw[0] != tokenVersion {
		return "", tokenInvalid()
	}
	keyID, u := binary.BigEndian.Uint32(raw[1:]), uuid.UUID(raw[tokenHead:tokenHead+uuid.Size])
	if !e.cfg.Pages.Check(tokenPurpose, tokenData(tenant, query, u), keyID, [tokenMAC]byte(raw[tokenHead+uuid.Size:])) {
		return "", tokenInvalid()
	}
	return formatID(idPrefix, u), nil
}

// tokenData is what a page token's code is about.
func tokenData(tenant ident.TenantID, query string, last uuid.UUID) []byte {
	data := make([]byte, 0, uuid.Size+1+len(tenant)+len(query))
	data = append(data, last[:]...)
	data = append(data, tenant...)
	data = append(data, 0)
	return append(data, query...)
}

func tokenInvalid() error {
	return fault.New(errorsv1.Reason_REASON_TOKEN_INVALID, "the page token is not one of this list")
}
