package dynamostore

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/dynamostore/dynamotest"
)

// The number of requests is what a region pays and waits for.
func TestCalls(t *testing.T) {
	t.Parallel()
	a, b := item("a", 2), item("b", 1)
	stored := wire(t, marshalItem(a))
	tests := []struct {
		name string
		do   func(t *testing.T, s *Store) error
		want string
	}{
		{"get", func(t *testing.T, s *Store) error {
			t.Helper()
			got, err := s.Get(t.Context(), a.Key)
			if diff := cmp.Diff(a, got); diff != "" {
				t.Errorf("item (-want +got):\n%s", diff)
			}
			return err
		}, "GetItem "},
		{"put", func(t *testing.T, s *Store) error {
			t.Helper()
			return s.Commit(t.Context(), commit("", put(a, store.VersionIs(version(1)))))
		}, "PutItem "},
		{"put whatever there is", func(t *testing.T, s *Store) error {
			t.Helper()
			return s.Commit(t.Context(), commit("", put(a, store.Always())))
		}, "PutItem "},
		{"delete", func(t *testing.T, s *Store) error {
			t.Helper()
			return s.Commit(t.Context(), commit("", remove(a, store.VersionIs(version(1)))))
		}, "DeleteItem "},
		{"check", func(t *testing.T, s *Store) error {
			t.Helper()
			return s.Commit(t.Context(), commit("", check(a, store.VersionIs(version(2)))))
		}, "GetItem "},
		{"one operation with a token", func(t *testing.T, s *Store) error {
			t.Helper()
			return s.Commit(t.Context(), commit("token", put(a, store.Absent())))
		}, "TransactWriteItems "},
		{"several operations", func(t *testing.T, s *Store) error {
			t.Helper()
			return s.Commit(t.Context(), commit("", put(a, store.Absent()), remove(b, store.Always())))
		}, "TransactWriteItems "},
		{"several operations with a token", func(t *testing.T, s *Store) error {
			t.Helper()
			return s.Commit(t.Context(), commit("token", put(a, store.VersionIs(version(1))), check(b, store.OlderThan(version(2)))))
		}, "TransactWriteItems "},
		{"query", func(t *testing.T, s *Store) error {
			t.Helper()
			page, err := s.Query(t.Context(), store.Query{Partition: "p", From: "a", To: "b"})
			if len(page.Items) != 1 || page.More {
				t.Errorf("page: %+v", page)
			}
			return err
		}, "Query "},
		{"a query whose bounds leave nothing", func(t *testing.T, s *Store) error {
			t.Helper()
			_, err := s.Query(t.Context(), store.Query{Partition: "p", From: "b", To: "b"})
			return err
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			transport := &dynamotest.Transport{Answer: func(c dynamotest.Call) *dynamotest.Answer {
				switch c.Op {
				case "GetItem":
					return &dynamotest.Answer{Body: `{"Item":` + stored + `}`}
				case "Query":
					return &dynamotest.Answer{Body: `{"Items":[` + stored + `]}`}
				}
				return &dynamotest.Answer{}
			}}
			if err := tt.do(t, stubbed(t, transport)); err != nil {
				t.Fatal(err)
			}
			if got := ops(transport); got != tt.want {
				t.Errorf("calls: %s; want %s", got, tt.want)
			}
			t.Logf("%s: %d call", tt.name, len(transport.Calls()))
			for _, c := range transport.Calls() {
				if (c.Op == "GetItem" || c.Op == "Query") && !strings.Contains(c.Body, `"ConsistentRead":true`) {
					t.Errorf("a read that may be stale: %s", c.Body)
				}
			}
		})
	}
}

// A refusal costs no more than a success.
func TestRefusalIsOneCall(t *testing.T) {
	t.Parallel()
	stored := item("a", 7)
	old := wire(t, marshalItem(stored))
	transport := &dynamotest.Transport{Answer: func(c dynamotest.Call) *dynamotest.Answer {
		switch c.Op {
		case "GetItem":
			return &dynamotest.Answer{Body: `{"Item":` + old + `}`}
		case "TransactWriteItems":
			return dynamotest.Canceled("ConditionalCheckFailed "+old, "None", "ConditionalCheckFailed")
		}
		return &dynamotest.Answer{Code: "ConditionalCheckFailedException", Body: `{"Item":` + old + `}`}
	}}
	s := stubbed(t, transport)
	one := store.ConditionError{Failed: []bool{true}, Stored: []ident.Version{version(7)}}
	three := store.ConditionError{Failed: []bool{true, false, true}, Stored: []ident.Version{version(7), {}, {}}}
	several := []store.Op{
		put(item("a", 8), store.Absent()), put(item("b", 1), store.Always()), remove(item("c", 1), store.VersionIs(version(1))),
	}
	for _, tt := range []struct {
		c    store.Commit
		want store.ConditionError
	}{
		{commit("", put(item("a", 8), store.Absent())), one},
		{commit("", remove(stored, store.VersionIs(version(1)))), one},
		{commit("", check(stored, store.Absent())), one},
		{commit("", several...), three},
		{commit("token", several...), three},
	} {
		before := len(transport.Calls())
		var got *store.ConditionError
		if err := s.Commit(t.Context(), tt.c); !errors.As(err, &got) {
			t.Errorf("%v; want a ConditionError", err)
			continue
		}
		if diff := cmp.Diff(tt.want, *got); diff != "" {
			t.Errorf("reasons (-want +got):\n%s", diff)
		}
		if n := len(transport.Calls()) - before; n != 1 {
			t.Errorf("%d calls; want 1", n)
		}
	}
}
