package rpc

import (
	"strconv"
	"time"
)

// The headers of requests and answers.
const (
	// HeaderRegion names the region that answered.
	HeaderRegion = "Domicile-Region"
	// HeaderEdge names the region that the call came in at.
	HeaderEdge = "Domicile-Edge"
	// HeaderHome names the tenant's home region in an answer.
	HeaderHome = "Domicile-Home"
	// HeaderRelease names the build that answered.
	HeaderRelease = "Domicile-Release"
	// HeaderConsistency carries consistency tokens, both ways; it is consistency.Header.
	HeaderConsistency = "Domicile-Consistency"
	// HeaderIdempotencyKey names a mutation, so that repeating it does nothing more.
	HeaderIdempotencyKey = "Idempotency-Key"
	// HeaderReplayed says that an answer is that of an earlier call.
	HeaderReplayed = "Idempotency-Replayed"

	headerAuthenticate = "WWW-Authenticate"
	headerETag         = "ETag"
	headerRetryAfter   = "Retry-After"
	headerServerTiming = "Server-Timing"
)

// Timing returns an entry of a Server-Timing header; its unit is the millisecond.
func Timing(name string, d time.Duration) string {
	return name + ";dur=" + strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 3, 64)
}
