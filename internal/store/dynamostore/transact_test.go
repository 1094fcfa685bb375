package dynamostore

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/dynamostore/dynamotest"
)

// The same commit with the same token is the same request to the byte, whenever it is sent, unless it asks for a version.
func TestNamedCommitIsTheSameRequest(t *testing.T) {
	t.Parallel()
	now := time.Unix(noon, 0)
	transport := &dynamotest.Transport{Answer: func(dynamotest.Call) *dynamotest.Answer { return &dynamotest.Answer{} }}
	s := stubbedAt(t, transport, func() time.Time { return now })
	timeless := commit("token", put(ending("a", 1, noon+5), store.Absent()), remove(item("b", 1), store.OlderThan(version(3))), put(item("c", 1), store.Always()))
	timed := commit("token", put(item("a", 2), store.VersionIs(version(1))))
	bodies := func(c store.Commit, after ...time.Duration) map[string]bool {
		got := map[string]bool{}
		for _, d := range after {
			now = time.Unix(noon, 0).Add(d)
			before := len(transport.Calls())
			if err := s.Commit(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			got[transport.Calls()[before].Body] = true
		}
		return got
	}
	if n := len(bodies(timeless, 0, time.Second, 9*time.Minute, 48*time.Hour)); n != 1 {
		t.Errorf("%d requests; want one", n)
	}
	if n := len(bodies(timed, 0, 59*time.Second)); n != 1 {
		t.Errorf("%d requests within a minute; want one", n)
	}
	if n := len(bodies(timed, 0, time.Minute)); n != 2 {
		t.Errorf("%d requests in two minutes; want two", n)
	}
}

// A repetition in a later minute finds the request that DynamoDB knows; another commit under the token is refused.
func TestMismatchOfMinutes(t *testing.T) {
	t.Parallel()
	mismatch := &dynamotest.Answer{Code: "IdempotentParameterMismatchException"}
	for _, tt := range []struct {
		name  string
		first int64 // The minute of the first sending, relative to now; out of reach: 99.
		calls int
		ok    bool
	}{
		{"this minute", 0, 1, true}, {"the last", -1, 2, true}, {"ten minutes ago", -10, 11, true}, {"a clock ahead", 1, 12, true},
		{"never", 99, 12, false},
	} {
		known := strconv.FormatInt(noon+60*tt.first, 10)
		transport := &dynamotest.Transport{Answer: func(c dynamotest.Call) *dynamotest.Answer {
			if strings.Contains(c.Body, `":now":{"N":"`+known+`"}`) {
				return &dynamotest.Answer{}
			}
			return mismatch
		}}
		err := stubbed(t, transport).Commit(t.Context(), commit("token", put(item("a", 2), store.VersionIs(version(1)))))
		if tt.ok && err != nil || !tt.ok && !errors.Is(err, store.ErrInvalid) || len(transport.Calls()) != tt.calls {
			t.Errorf("%s: %v after %d calls; want %d", tt.name, err, len(transport.Calls()), tt.calls)
		}
	}
	transport := &dynamotest.Transport{Answer: func(dynamotest.Call) *dynamotest.Answer { return mismatch }}
	err := stubbed(t, transport).Commit(t.Context(), commit("token", put(item("a", 2), store.Absent())))
	if !errors.Is(err, store.ErrInvalid) || len(transport.Calls()) != 1 {
		t.Errorf("without a version: %v after %d calls; want ErrInvalid after one", err, len(transport.Calls()))
	}
}

// An item that has ended and is still there is removed, and the commit sent again as it was.
func TestNamedCommitMeetsAnEndedItem(t *testing.T) {
	t.Parallel()
	ended := wire(t, marshalItem(ending("a", 9, noon+10)))
	transport := &dynamotest.Transport{Answer: func(c dynamotest.Call) *dynamotest.Answer {
		if c.Op == "TransactWriteItems" && c.N == 0 {
			return dynamotest.Canceled("ConditionalCheckFailed "+ended, "None")
		}
		return &dynamotest.Answer{}
	}}
	c := commit("token", put(item("a", 1), store.Absent()), put(item("b", 1), store.Absent()))
	if err := stubbed(t, transport).Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("TransactWriteItems DeleteItem TransactWriteItems ", ops(transport)); diff != "" {
		t.Fatalf("calls (-want +got):\n%s", diff)
	}
	calls := transport.Calls()
	if calls[0].Body != calls[2].Body {
		t.Errorf("the commit was sent another way:\n%s\n%s", calls[0].Body, calls[2].Body)
	}
	var removal struct {
		Condition string `json:"ConditionExpression"` //nolint:tagliatelle // DynamoDB's name.
	}
	if err := json.Unmarshal([]byte(calls[1].Body), &removal); err != nil || removal.Condition != "#ttl <= :now" {
		t.Errorf("the removal is conditional on %q, %v", removal.Condition, err)
	}
}

// Of items that have ended and conditions that do not hold, only the latter are told, and nothing is removed.
func TestNamedCommitIsRefusedInSpiteOfAnEndedItem(t *testing.T) {
	t.Parallel()
	ended := wire(t, marshalItem(ending("a", 9, noon+10)))
	there := wire(t, marshalItem(ending("b", 4, noon+11)))
	transport := &dynamotest.Transport{Answer: func(dynamotest.Call) *dynamotest.Answer {
		return dynamotest.Canceled("ConditionalCheckFailed "+ended, "ConditionalCheckFailed "+there, "ConditionalCheckFailed "+ended)
	}}
	c := commit("token",
		put(item("a", 1), store.Absent()), put(item("b", 1), store.OlderThan(version(3))), put(item("c", 1), store.VersionIs(version(1))))
	var got *store.ConditionError
	if err := stubbed(t, transport).Commit(t.Context(), c); !errors.As(err, &got) {
		t.Fatalf("%v; want a ConditionError", err)
	}
	want := store.ConditionError{Failed: []bool{false, true, true}, Stored: []ident.Version{{}, version(4), {}}}
	if diff := cmp.Diff(want, *got); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
	if n := len(transport.Calls()); n != 1 {
		t.Errorf("%d calls; want 1", n)
	}
}

// A commit does not chase items that end again and again.
func TestEndedItemsWithoutEnd(t *testing.T) {
	t.Parallel()
	ended := wire(t, marshalItem(ending("a", 9, noon)))
	transport := &dynamotest.Transport{Answer: func(c dynamotest.Call) *dynamotest.Answer {
		if c.Op == "TransactWriteItems" {
			return dynamotest.Canceled("ConditionalCheckFailed " + ended)
		}
		return &dynamotest.Answer{Code: "ConditionalCheckFailedException"} // Somebody put another one.
	}}
	err := stubbed(t, transport).Commit(t.Context(), commit("token", put(item("a", 1), store.Absent())))
	if unavailable, ok := errors.AsType[*UnavailableError](err); !ok || unavailable.OutcomeUnknown {
		t.Errorf("%v; want an UnavailableError, nothing having taken effect", err)
	}
}

// DynamoDB's tokens are of an account, at most 36 characters of text; ours of a table, any bytes.
func TestRequestToken(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, table := range []string{"a", "b"} {
		s := &Store{cfg: Config{Table: table}}
		for _, token := range []string{"t", "\xff", "\xfe", strings.Repeat("t", store.MaxTokenBytes)} {
			got := s.requestToken(token)
			if len(got) != 36 || seen[got] != "" || s.requestToken(token) != got {
				t.Errorf("the token of %s and %q is %q, as of %q", table, token, got, seen[got])
			}
			seen[got] = table + " and " + token
		}
	}
}
