package credential

import (
	"errors"
	"fmt"
	"io"

	"github.com/domicile-api/domicile/internal/ident"
)

const (
	// idAlphabet is Crockford's base 32 in lower case: no i, l, o or u to misread.
	idAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	// secretAlphabet is base 62. It has no separator, so a double click selects a secret whole.
	secretAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// errTenant says that a key was asked for a text that is no tenant's id.
var errTenant = errors.New("credential: not a tenant's id")

// NewTenantKey makes a key of a tenant and returns its id and the whole key, which must be shown once and never stored.
// random is crypto/rand.Reader in production.
func NewTenantKey(random io.Reader, tenant ident.TenantID) (id, full string, err error) {
	if !validTenant(string(tenant)) {
		return "", "", errTenant
	}
	return newKey(random, tenantPrefix+string(tenant)+string(separator))
}

// NewOperatorKey makes an operator's key and returns its id and the whole key, which must be shown once and never stored.
func NewOperatorKey(random io.Reader) (id, full string, err error) {
	return newKey(random, operatorPrefix)
}

func newKey(random io.Reader, owner string) (id, full string, err error) {
	id, err = randomText(random, idAlphabet, idLength)
	if err != nil {
		return "", "", fmt.Errorf("making a key's id: %w", err)
	}
	secret, err := randomText(random, secretAlphabet, randomLength)
	if err != nil {
		return "", "", fmt.Errorf("making a key's secret: %w", err)
	}
	body := owner + id + string(separator) + secret
	sum := checksum(body)
	return id, body + string(sum[:]), nil
}

// randomText returns n characters, each equally likely: bytes that would favour some are thrown away.
func randomText(random io.Reader, alphabet string, n int) (string, error) {
	limit := 256 - 256%len(alphabet)
	text := make([]byte, 0, n)
	pool := make([]byte, n)
	for len(text) < n {
		if _, err := io.ReadFull(random, pool); err != nil {
			return "", fmt.Errorf("reading randomness: %w", err)
		}
		for _, b := range pool {
			if int(b) < limit && len(text) < n {
				text = append(text, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	clear(pool)
	return string(text), nil
}
