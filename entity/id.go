package entity

import (
	"fmt"
	"strings"

	"github.com/gofrs/uuid/v5"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
)

// Ids are TypeIDs (https://github.com/jetify-com/typeid, specification 0.3): a type prefix, "_", and a UUIDv7 (RFC 9562) as 26
// characters of Crockford's base32 in lower case. They sort by the time they were made and say nothing else.
const (
	idAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	idDigits   = 26
)

// formatID writes a UUID as the 26 digits of its 128 bits, the first of which has but three.
func formatID(prefix string, u uuid.UUID) string {
	var b strings.Builder
	b.Grow(len(prefix) + 1 + idDigits)
	b.WriteString(prefix)
	b.WriteByte('_')
	for i := range idDigits {
		var digit byte
		for bit := range 5 {
			digit <<= 1
			// Two zero bits stand before the 128.
			if n := i*5 + bit - 2; n >= 0 {
				digit |= u[n/8] >> (7 - n%8) & 1
			}
		}
		b.WriteByte(idAlphabet[digit])
	}
	return b.String()
}

// parseID reads what formatID wrote and nothing else: no upper case, no look-alike letters, no overflow, no other prefix.
func parseID(prefix, id string) (uuid.UUID, bool) {
	var u uuid.UUID
	digits, ok := strings.CutPrefix(id, prefix+"_")
	if !ok || len(digits) != idDigits || digits[0] > '7' {
		return u, false
	}
	for i := range idDigits {
		digit := strings.IndexByte(idAlphabet, digits[i])
		if digit < 0 {
			return uuid.UUID{}, false
		}
		for bit := range 5 {
			if n := i*5 + bit - 2; n >= 0 && digit>>(4-bit)&1 == 1 {
				u[n/8] |= 1 << (7 - n%8)
			}
		}
	}
	return u, true
}

// newID makes the id of a new entity.
func (e *Engine) newID(prefix string) (string, error) {
	u, err := e.ids.NewV7()
	if err != nil {
		return "", fmt.Errorf("making an id: %w", err)
	}
	return formatID(prefix, u), nil
}

// checkID refuses what cannot be an id of the type. An id that can be is NOT_FOUND when nobody or another tenant has it.
func (s *shape) checkID(id string) error {
	if _, ok := parseID(s.prefix, id); ok {
		return nil
	}
	f := fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "the id is not an id of this type")
	f.Violations = []fault.Violation{{
		Field: string(s.key.Name()), Rule: "id.type",
		Message: fmt.Sprintf("must be %q and 26 lower-case base32 digits", s.prefix+"_"),
	}}
	return f
}
