package client

import (
	"crypto/rand"
	"encoding/hex"
	"time"
)

// newKey makes an idempotency key: a UUIDv7 (RFC 9562, section 5.7), whose date lets the platform judge old keys after a failover.
func newKey(now time.Time) string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // It never fails.
	ms := now.UnixMilli()
	for i := range 6 {
		u[i] = byte(ms >> (40 - 8*i)) //nolint:gosec // a byte of 48 bits
	}
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80
	text := hex.EncodeToString(u[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
