package rpc

import "strings"

// Bearer returns the token of an Authorization header's value (RFC 6750); the scheme's case does not matter.
func Bearer(value string) (string, bool) {
	const scheme = "bearer "
	if len(value) <= len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return "", false
	}
	return strings.TrimSpace(value[len(scheme):]), true
}
