package edge

import (
	"net/http"
	"strconv"
	"time"
)

// grace is how much longer than the caller's own deadline the edge waits: the region that answers keeps that deadline too, and its word
// says more than a broken stream.
const grace = 500 * time.Millisecond

// maxCallerTimeout bounds what a caller may ask for, so that no arithmetic overflows.
const maxCallerTimeout = 24 * time.Hour

// callerTimeout returns how long the caller waits, if it says so: grpc-timeout ("100m"), Connect-Timeout-Ms ("100"), or over REST
// X-Server-Timeout in seconds ("0.1"). What does not parse is left to the region that answers to refuse.
func callerTimeout(h http.Header) (time.Duration, bool) {
	if values := h["Grpc-Timeout"]; len(values) > 0 {
		return grpcTimeout(values[0])
	}
	if values := h["Connect-Timeout-Ms"]; len(values) > 0 {
		return units(values[0], time.Millisecond)
	}
	if values := h["X-Server-Timeout"]; len(values) > 0 {
		seconds, err := strconv.ParseFloat(values[0], 64)
		if err != nil || !(seconds >= 0 && seconds <= maxCallerTimeout.Seconds()) {
			return 0, false
		}
		return time.Duration(seconds * float64(time.Second)), true
	}
	return 0, false
}

func grpcTimeout(s string) (time.Duration, bool) {
	if s == "" {
		return 0, false
	}
	unit, ok := map[byte]time.Duration{
		'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
	}[s[len(s)-1]]
	if !ok {
		return 0, false
	}
	return units(s[:len(s)-1], unit)
}

func units(s string, unit time.Duration) (time.Duration, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, false
	}
	if n > uint64(maxCallerTimeout/unit) { //nolint:gosec // both are positive
		return maxCallerTimeout, true
	}
	return time.Duration(n) * unit, true
}
