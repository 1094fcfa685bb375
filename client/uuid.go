package client

import (
	"time"

	"github.com/gofrs/uuid/v5"
)

// newKey makes an idempotency key: a UUIDv7 (RFC 9562, section 5.7), whose date lets the platform judge old keys after a failover. Its
// generator is its own, so that no other's clock moves the date.
func newKey(now time.Time) string {
	return uuid.Must(uuid.NewGen().NewV7AtTime(now)).String() // crypto/rand never fails.
}
