package seal

import (
	"encoding/binary"
)

// A sealed value is: sealedFormat, the generation (4 bytes, big endian), and what the generation's key made of the plain bytes:
// salt, nonce, ciphertext and tag. The first 5 bytes are authenticated too.
const (
	sealedFormat   = 1
	envelopeHeader = 5
)

// Overhead is how many bytes a sealed value is longer than its plain bytes.
const Overhead = envelopeHeader + saltSize + 12 + 16

// appendHeader begins a sealed value.
func appendHeader(b []byte, generation uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, sealedFormat), generation)
}

// parseHeader returns the generation that sealed a value, and what its key made.
func parseHeader(sealed []byte) (generation uint32, body []byte, ok bool) {
	if len(sealed) < Overhead || sealed[0] != sealedFormat {
		return 0, nil, false
	}
	return binary.BigEndian.Uint32(sealed[1:envelopeHeader]), sealed[envelopeHeader:], true
}

const (
	sealedDomain = "domicile sealed value\x00"
	hashDomain   = "domicile keyed hash\x00"
)

// associated is what a sealed value is authenticated with besides itself: its header and whose it is. Each part has its length
// in front, so that no two binds make the same bytes.
func associated(generation uint32, b Bind) []byte {
	data := make([]byte, 0, len(sealedDomain)+envelopeHeader+12+len(b.Tenant)+len(b.Type)+len(b.ID))
	data = append(data, sealedDomain...)
	data = appendHeader(data, generation)
	data = appendPart(data, string(b.Tenant))
	data = appendPart(data, b.Type)
	return appendPart(data, b.ID)
}

// hashInput is what a keyed hash is made of; the value is last and needs no length.
func hashInput(purpose string, value []byte) []byte {
	data := make([]byte, 0, len(hashDomain)+4+len(purpose)+len(value))
	data = append(data, hashDomain...)
	data = appendPart(data, purpose)
	return append(data, value...)
}

func appendPart(data []byte, part string) []byte {
	data = binary.BigEndian.AppendUint32(data, uint32(len(part))) //nolint:gosec // ids and names, far from 4 GiB
	return append(data, part...)
}
