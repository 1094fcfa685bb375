package credential

import (
	"crypto/subtle"
	"hash/crc32"
)

// castagnoli is CRC-32C (RFC 3720, appendix B.4).
var castagnoli = crc32.MakeTable(crc32.Castagnoli) //nolint:gochecknoglobals // an immutable table

// checksum returns the digits that end a key: CRC-32C, in base 62, of everything before them, so that another tenant's name in
// front of a secret does not pass either. A CRC, not a cut-off hash: it finds every change within 4 neighbouring characters
// (one mistyped, two swapped), not merely most of them. It is no secret and proves nothing.
func checksum(body string) [checksumLength]byte {
	sum := crc32.Checksum([]byte(body), castagnoli)
	var digits [checksumLength]byte
	for i := checksumLength - 1; i >= 0; i-- {
		digits[i] = secretAlphabet[sum%uint32(len(secretAlphabet))]
		sum /= uint32(len(secretAlphabet))
	}
	return digits
}

// checksumHolds tells whether the last digits of a key are the checksum of what is before them.
func checksumHolds(full string) bool {
	if len(full) < checksumLength {
		return false
	}
	cut := len(full) - checksumLength
	want := checksum(full[:cut])
	return subtle.ConstantTimeCompare(want[:], []byte(full[cut:])) == 1
}
