// Package credential makes, reads and checks the keys that callers prove themselves with.
//
// A tenant's key is "dk_<tenant>_<key id>_<secret>", an operator's "do_<key id>_<secret>". The public part in front routes the
// call, the secret proves it. What the package promises:
//
//   - The tenant of a key can be read even when the rest of it is damaged, so that a wrong region is told before a bad
//     credential is.
//   - A mistyped key is known by its checksum alone; no look-up is spent on it.
//   - A Key never holds the secret, so it may be logged, compared and stored. Only a SHA-256 verifier proves the whole key, and
//     verifiers are compared in constant time.
//   - Ids of keys are random: they tell neither how many keys there are nor when one was made.
package credential

import (
	"log/slog"
	"strings"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
)

// The parts of a key, in characters.
const (
	tenantPrefix   = "dk_"
	operatorPrefix = "do_"
	separator      = '_'

	// idLength characters of 5 bits are 80 random bits.
	idLength = 16
	// randomLength characters of base 62 are more than 190 random bits.
	randomLength = 32
	// checksumLength digits of base 62 hold a CRC of 32 bits.
	checksumLength = 6
	secretLength   = randomLength + checksumLength

	// The bounds of a tenant's id, as domicile.tenancy.v1.Tenant has them.
	minTenantLength = 2
	maxTenantLength = 40
)

// MaxLength is how many characters a whole key has at the most.
const MaxLength = len(tenantPrefix) + maxTenantLength + 1 + idLength + 1 + secretLength

// Key is the public part of a key: everything but the secret.
type Key struct {
	// Kind is call.TenantKey or call.OperatorKey.
	Kind call.Kind
	// Tenant is whose key it claims to be; empty for an operator's.
	Tenant ident.TenantID
	// ID names the key; empty when that part is damaged.
	ID string

	wellformed bool
}

// Parse reads the public part of a key. It fails, with CREDENTIAL_INVALID, only when the text does not tell whose key it
// would be; a key with a damaged id, secret or checksum parses and is not Wellformed.
func Parse(full string) (Key, error) {
	key, rest, ok := parseOwner(full)
	if !ok {
		return Key{}, fault.New(errorsv1.Reason_REASON_CREDENTIAL_INVALID, "the credential is not an API key")
	}
	// Beyond MaxLength nothing can be well formed, and no time is spent on it.
	if len(full) > MaxLength {
		return key, nil
	}
	id, secret, ok := strings.Cut(rest, string(separator))
	if !ok || !validID(id) {
		return key, nil
	}
	key.ID = id
	key.wellformed = validSecret(secret) && checksumHolds(full)
	return key, nil
}

// parseOwner reads the kind and the tenant and returns what follows them.
func parseOwner(full string) (key Key, rest string, ok bool) {
	if rest, ok = strings.CutPrefix(full, operatorPrefix); ok {
		return Key{Kind: call.OperatorKey}, rest, true
	}
	rest, ok = strings.CutPrefix(full, tenantPrefix)
	if !ok {
		return Key{}, "", false
	}
	// The separator of a valid tenant lies within these bytes, however long the text is.
	head := rest[:min(len(rest), maxTenantLength+1)]
	end := strings.IndexByte(head, separator)
	if end < 0 {
		end = len(rest)
	}
	tenant := rest[:end]
	if !validTenant(tenant) {
		return Key{}, "", false
	}
	return Key{Kind: call.TenantKey, Tenant: ident.TenantID(tenant)}, strings.TrimPrefix(rest[end:], string(separator)), true
}

// Wellformed tells whether id and secret have their form and the checksum over the whole key holds. It proves nothing; it
// saves the look-up for a mistyped key.
func (k Key) Wellformed() bool { return k.wellformed }

// String returns the public part, e.g. "dk_acme-eu_3k7…", never the secret.
func (k Key) String() string {
	switch k.Kind {
	case call.TenantKey:
		return public(tenantPrefix+string(k.Tenant)+string(separator), k.ID)
	case call.OperatorKey:
		return public(operatorPrefix, k.ID)
	default:
		return "anonymous"
	}
}

// LogValue is String: what a log may hold of a key.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

func public(owner, id string) string {
	if id == "" {
		return owner + "?"
	}
	return owner + id
}

func validTenant(s string) bool {
	if len(s) < minTenantLength || len(s) > maxTenantLength || !isLower(s[0]) || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isLower(c) && !isDigit(c) && c != '-' {
			return false
		}
	}
	return true
}

func validID(s string) bool {
	if len(s) != idLength {
		return false
	}
	for i := range len(s) {
		if strings.IndexByte(idAlphabet, s[i]) < 0 {
			return false
		}
	}
	return true
}

func validSecret(s string) bool {
	if len(s) != secretLength {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isLower(c) && !isDigit(c) && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
