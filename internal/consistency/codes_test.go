package consistency_test

import (
	"testing"

	"github.com/domicile-api/domicile/internal/consistency"
)

// TestCodes accepts a code for what it was made for, and nothing else.
func TestCodes(t *testing.T) {
	t.Parallel()
	k := newKeys(1, 2)
	codes := consistency.NewCodes(k)
	id, mac, err := codes.MAC("page", []byte("after usr_1"))
	if err != nil || id != 2 {
		t.Fatalf("key %d, %v", id, err)
	}
	if !codes.Check("page", []byte("after usr_1"), id, mac) {
		t.Error("the code is refused")
	}
	forged := mac
	forged[0] ^= 1
	for name, ok := range map[string]bool{
		"another purpose": codes.Check("other", []byte("after usr_1"), id, mac),
		"other data":      codes.Check("page", []byte("after usr_2"), id, mac),
		"another key":     codes.Check("page", []byte("after usr_1"), 1, mac),
		"an unknown key":  codes.Check("page", []byte("after usr_1"), 3, mac),
		"another code":    codes.Check("page", []byte("after usr_1"), id, forged),
	} {
		if ok {
			t.Errorf("%s is accepted", name)
		}
	}
	k.states[2] = consistency.KeyRetired
	if codes.Check("page", []byte("after usr_1"), 2, mac) {
		t.Error("a code under a retired key is accepted")
	}
	if _, _, err := consistency.NewCodes(newKeys()).MAC("page", nil); err == nil {
		t.Error("a code without a key")
	}
}
