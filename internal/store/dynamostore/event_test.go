package dynamostore_test

import (
	"testing"

	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/dynamostore"
)

func TestChangeOfARecord(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		pk, sk string
		want   store.Key
		ok     bool
	}{
		"a key":             {"p", "\x01s", store.Key{Partition: "p", Sort: "s"}, true},
		"an empty sort key": {"p", "\x01", store.Key{Partition: "p"}, true},
		"another table's":   {"p", "s", store.Key{}, false},
		"nothing":           {"", "", store.Key{}, false},
	} {
		got, ok := dynamostore.ChangeOf([]byte(tt.pk), []byte(tt.sk), true)
		if ok != tt.ok || ok && (got.Key != tt.want || !got.Deleted) {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
}
