package dynamostore

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/dynamostore/dynamotest"
)

// pages answers queries and scans with a page an element, in which "-" is an item that has ended.
func pages(t *testing.T, elements ...string) *dynamotest.Transport {
	t.Helper()
	return &dynamotest.Transport{Answer: func(c dynamotest.Call) *dynamotest.Answer {
		items := make([]string, 0, 4)
		for name := range strings.FieldsSeq(elements[c.N]) {
			it := item(name, 1)
			if name == "-" {
				it = ending(name, 1, noon+10)
			}
			items = append(items, wire(t, marshalItem(it)))
		}
		body := `{"Items":[` + strings.Join(items, ",") + `]`
		if c.N+1 < len(elements) {
			body += `,"LastEvaluatedKey":` + wire(t, marshalKey(store.Key{Partition: "p", Sort: fmt.Sprintf("after page %d", c.N)}))
		}
		return &dynamotest.Answer{Body: body + `}`}
	}}
}

// DynamoDB's own pages are followed until there is enough, whatever they hold.
func TestQueryFollowsPages(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pages []string
		limit int
		want  string
		more  bool
		calls int
	}{
		{[]string{"a b c"}, 10, "a b c", false, 1},
		{[]string{"a b", "", "c"}, 10, "a b c", false, 3},
		{[]string{"- -", "- -", "a -"}, 10, "a", false, 3},
		{[]string{"a -", "b c", "d"}, 2, "a b", true, 2},
		{[]string{"a b", "- -", "-"}, 2, "a b", false, 3},
		{[]string{"a b c"}, 2, "a b", true, 1},
		{[]string{"-"}, 2, "", false, 1},
	} {
		transport := pages(t, tt.pages...)
		page, err := stubbed(t, transport).Query(t.Context(), store.Query{Partition: "p", Limit: tt.limit})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, it := range page.Items {
			got = append(got, it.Key.Sort)
		}
		calls := transport.Calls()
		if strings.Join(got, " ") != tt.want || page.More != tt.more || len(calls) != tt.calls {
			t.Errorf("%q, limit %d: %q, more %v, %d calls; want %q, %v, %d", tt.pages, tt.limit, got, page.More, len(calls), tt.want, tt.more, tt.calls)
		}
		for i := 1; i < len(calls); i++ {
			var asked struct {
				Start map[string]map[string][]byte `json:"ExclusiveStartKey"` //nolint:tagliatelle // DynamoDB's name.
			}
			if err := json.Unmarshal([]byte(calls[i].Body), &asked); err != nil {
				t.Fatal(err)
			}
			if got, want := string(asked.Start[attrSort]["B"]), fmt.Sprintf("\x01after page %d", i-1); got != want {
				t.Errorf("page %d was asked for from %q; want %q", i, got, want)
			}
		}
	}
}

// A walk goes through all pages, consistently, and past what has ended.
func TestWalkFollowsPages(t *testing.T) {
	t.Parallel()
	transport := pages(t, "a -", "", "b")
	var got []string
	err := stubbed(t, transport).Walk(t.Context(), func(it store.Item) error {
		got = append(got, it.Key.Sort)
		return nil
	})
	if err != nil || strings.Join(got, " ") != "a b" || ops(transport) != strings.Repeat("Scan ", 3) {
		t.Errorf("%v, %v with %s", got, err, ops(transport))
	}
	for _, c := range transport.Calls() {
		if !strings.Contains(c.Body, `"ConsistentRead":true`) {
			t.Errorf("a scan that may be stale: %s", c.Body)
		}
	}
}

// What another program wrote into the table is told, not shown.
func TestForeignItem(t *testing.T) {
	t.Parallel()
	foreign := wire(t, attributes{attrPartition: bytesValue([]byte("p")), attrSort: bytesValue([]byte("x"))})
	transport := &dynamotest.Transport{Answer: func(c dynamotest.Call) *dynamotest.Answer {
		if c.Op == "GetItem" {
			return &dynamotest.Answer{Body: `{"Item":` + foreign + `}`}
		}
		return &dynamotest.Answer{Body: `{"Items":[` + foreign + `]}`}
	}}
	s := stubbed(t, transport)
	_, getErr := s.Get(t.Context(), item("x", 1).Key)
	_, queryErr := s.Query(t.Context(), store.Query{Partition: "p"})
	walkErr := s.Walk(t.Context(), func(store.Item) error { return nil })
	for name, err := range map[string]error{"get": getErr, "query": queryErr, "walk": walkErr} {
		if !errors.Is(err, errItem) {
			t.Errorf("%s: %v; want %v", name, err, errItem)
		}
	}
}
