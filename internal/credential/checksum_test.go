package credential

import (
	"strings"
	"testing"
)

// TestChecksumAloneIsNotEnough: a text with the right checksum and a secret of another form is not well formed.
func TestChecksumAloneIsNotEnough(t *testing.T) {
	t.Parallel()
	head := "dk_acme-eu_" + strings.Repeat("0", idLength) + "_"
	for secret, want := range map[string]bool{
		strings.Repeat("a", randomLength):   true,
		strings.Repeat("a", randomLength-1): false,
		strings.Repeat("a", randomLength+1): false,
		strings.Repeat("_", randomLength):   false,
		strings.Repeat(" ", randomLength):   false,
		"":                                  false,
	} {
		sum := checksum(head + secret)
		key, err := Parse(head + secret + string(sum[:]))
		if err != nil || key.Wellformed() != want {
			t.Errorf("a secret of %q: well formed %t, %v; want %t", secret, key.Wellformed(), err, want)
		}
	}
}
