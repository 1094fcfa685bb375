package kms_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/domicile-api/domicile/internal/seal/kms"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		field string
		value any
		want  kms.Reason
		says  string
	}{
		"good":                 {"KeyState", "Enabled", "", ""},
		"disabled":             {"KeyState", "Disabled", kms.Disabled, "enable it"},
		"pending deletion":     {"KeyState", "PendingDeletion", kms.PendingDeletion, "cancel the deletion"},
		"pending import":       {"KeyState", "PendingImport", kms.BadState, "PendingImport"},
		"for signing":          {"KeyUsage", "SIGN_VERIFY", kms.Unsuitable, "SIGN_VERIFY"},
		"asymmetric":           {"KeySpec", "RSA_4096", kms.Unsuitable, "RSA_4096"},
		"multi-Region":         {"MultiRegion", true, kms.Unsuitable, "multi-Region"},
		"another region's":     {"Arn", "arn:aws:kms:us-east-1:111122223333:key/1", kms.Unsuitable, "us-east-1"},
		"of an unclear region": {"Arn", "", kms.Unsuitable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeKMS()
			k := f.add(home, "alias/domicile-tenants")
			k.describe[test.field] = test.value
			w, err := kms.Open(t.Context(), f.config(home, k.alias))
			if f.total() != 1 || f.count(home, "DescribeKey") != 1 {
				t.Errorf("calls: %v", f.calls)
			}
			if test.want == "" {
				if err != nil || w == nil {
					t.Error(err)
				}
				return
			}
			got, ok := errors.AsType[*kms.KeyError](err)
			if !ok || got.Reason != test.want || !strings.Contains(err.Error(), test.says) || w != nil {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

func TestOpenNothing(t *testing.T) {
	t.Parallel()
	_, err := kms.Open(t.Context(), newFakeKMS().config(home, "alias/domicile-tenants"))
	if got, ok := errors.AsType[*kms.KeyError](err); !ok || got.Reason != kms.NotFound {
		t.Error(err)
	}
}
