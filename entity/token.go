package entity

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/gofrs/uuid/v5"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
)

// A page token is base64url of a version byte, the UUID of the last id on the page before, and a MAC over both and over the
// query that it belongs to: 66 characters. The MAC is the tenant's own keyed hash, so another tenant's token does not verify.
const (
	tokenVersion = 1
	tokenMAC     = 32
	tokenBytes   = 1 + uuid.Size + tokenMAC
	// tokenPurpose separates these hashes from those of lookup values.
	tokenPurpose = "domicile.entity.page_token"
)

// makeToken returns the token of the page after the given id.
func (e *Engine) makeToken(ctx context.Context, tenant ident.TenantID, idPrefix, query, last string) (string, error) {
	u, ok := parseID(idPrefix, last)
	if !ok {
		return "", errors.New("entity: a stored id is not a TypeID")
	}
	body := append([]byte{tokenVersion}, u[:]...)
	mac, err := e.cfg.Sealer.Hash(ctx, tenant, tokenPurpose, append(slices.Clip(body), query...))
	if err != nil {
		return "", fmt.Errorf("authenticating a page token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(append(body, mac...)), nil
}

// readToken returns the id that a token continues after; "" when there is no token.
func (e *Engine) readToken(ctx context.Context, tenant ident.TenantID, idPrefix, query, token string) (string, error) {
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
	body, mac := raw[:tokenBytes-tokenMAC], raw[tokenBytes-tokenMAC:]
	want, err := e.cfg.Sealer.Hash(ctx, tenant, tokenPurpose, append(slices.Clip(body), query...))
	if errors.Is(err, seal.ErrNoKey) {
		return "", tokenInvalid() // a tenant without a key never got a token
	}
	if err != nil {
		return "", fmt.Errorf("checking a page token: %w", err)
	}
	if subtle.ConstantTimeCompare(mac, want) != 1 {
		return "", tokenInvalid()
	}
	return formatID(idPrefix, uuid.UUID(body[1:])), nil
}

func tokenInvalid() error {
	return fault.New(errorsv1.Reason_REASON_TOKEN_INVALID, "the page token is not one of this list")
}
