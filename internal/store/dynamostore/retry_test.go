package dynamostore

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/dynamostore/dynamotest"
)

// failures are the answers after which nothing took effect, and those after which that is not known.
func failures() (nothing, unknown map[string]*dynamotest.Answer) {
	nothing = map[string]*dynamotest.Answer{
		"refused connection": {Lost: &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}},
		"name not found":     {Lost: &net.DNSError{Err: "no such host", Name: "dynamodb"}},
	}
	for _, code := range []string{
		"ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded", "TransactionConflictException",
		"ReplicatedWriteConflictException",
	} {
		nothing[code] = &dynamotest.Answer{Code: code}
	}
	for _, reason := range []string{"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"} {
		nothing["canceled: "+reason] = dynamotest.Canceled("None", reason)
		nothing["canceled: "+reason+" and a condition"] = dynamotest.Canceled("ConditionalCheckFailed", reason)
	}
	unknown = map[string]*dynamotest.Answer{
		"InternalServerError":            {Code: "InternalServerError"},
		"TransactionInProgressException": {Code: "TransactionInProgressException"},
		"bad gateway":                    {Code: "Whatever", Status: 502},
		"lost connection":                {Lost: io.ErrUnexpectedEOF},
		"reset connection":               {Lost: &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}},
		"no answer":                      {Hang: true},
	}
	return nothing, unknown
}

// failing answers the first n requests of each operation with a failure, and then with success.
func failing(failure *dynamotest.Answer, n int) *dynamotest.Transport {
	return &dynamotest.Transport{Answer: func(c dynamotest.Call) *dynamotest.Answer {
		if c.N < n {
			return failure
		}
		return &dynamotest.Answer{}
	}}
}

// Whatever fails for a while is tried again, the same to the byte and with the same token.
func TestFailuresPass(t *testing.T) {
	t.Parallel()
	nothing, unknown := failures()
	all := nothing
	maps.Copy(all, unknown)
	for name, failure := range all {
		for what, c := range map[string]store.Commit{
			"a transaction":              commit("", put(item("a", 2), store.VersionIs(version(1))), put(item("b", 1), store.Always())),
			"a transaction with a token": commit("token", put(item("a", 1), store.Absent())),
			"a put":                      commit("", put(item("a", 1), store.Absent())),
			"a put that ends":            commit("", put(ending("a", 1, noon+60), store.Absent())),
			"a delete":                   commit("", remove(item("a", 1), store.VersionIs(version(1)))),
			"a check":                    commit("", check(item("a", 1), store.Absent())),
		} {
			t.Run(what+"/"+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					transport := failing(failure, 3)
					if err := stubbed(t, transport).Commit(t.Context(), c); err != nil {
						t.Fatal(err)
					}
					calls := transport.Calls()
					if len(calls) != 4 {
						t.Fatalf("%d calls; want 4: %s", len(calls), ops(transport))
					}
					for _, call := range calls[1:] {
						if call.Body != calls[0].Body && (call.Op == "TransactWriteItems" || !sameJSON(t, call.Body, calls[0].Body)) {
							t.Errorf("another request:\n%s\nfirst:\n%s", call.Body, calls[0].Body)
						}
					}
				})
			})
		}
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal([]byte(a), &x), json.Unmarshal([]byte(b), &y)); err != nil {
		t.Fatal(err)
	}
	return cmp.Equal(x, y)
}

// A write that could take effect twice, over what another put there meanwhile, is not sent again when its outcome is open.
func TestUnconditionalWriteIsNotSentAgain(t *testing.T) {
	t.Parallel()
	nothing, unknown := failures()
	for what, op := range map[string]store.Op{
		"put":                       put(item("a", 1), store.Always()),
		"put older than newer":      put(item("a", 1), store.OlderThan(version(2))),
		"put that has ended":        put(ending("a", 1, noon), store.Absent()),
		"put of the same version":   put(item("a", 1), store.VersionIs(version(1))),
		"delete":                    remove(item("a", 1), store.Always()),
		"delete if older or absent": remove(item("a", 1), store.OlderThan(version(2))),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			for name, failure := range unknown {
				synctest.Test(t, func(t *testing.T) {
					transport := failing(failure, 1)
					err := stubbed(t, transport).Commit(t.Context(), commit("", op))
					unavailable, ok := errors.AsType[*UnavailableError](err)
					if !ok || !unavailable.OutcomeUnknown || len(transport.Calls()) != 1 {
						t.Errorf("%s: %v after %d calls", name, err, len(transport.Calls()))
					}
				})
			}
			for name, failure := range nothing {
				synctest.Test(t, func(t *testing.T) {
					if err := stubbed(t, failing(failure, 1)).Commit(t.Context(), commit("", op)); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				})
			}
		})
	}
}

// A condition that fails after a lost answer may have met the commit's own effect.
func TestRefusalAfterALostAnswer(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]string{"a refused condition": "ConditionalCheckFailedException", "refused access": "AccessDeniedException"} {
		synctest.Test(t, func(t *testing.T) {
			transport := &dynamotest.Transport{Answer: func(c dynamotest.Call) *dynamotest.Answer {
				if c.N == 0 {
					return &dynamotest.Answer{Lost: io.ErrUnexpectedEOF}
				}
				return &dynamotest.Answer{Code: refusal}
			}}
			s := stubbed(t, transport)
			err := s.Commit(t.Context(), commit("", put(item("a", 1), store.Absent())))
			unavailable, ok := errors.AsType[*UnavailableError](err)
			if !ok || !unavailable.OutcomeUnknown || unavailable.Attempts != 2 || errors.As(err, new(*store.ConditionError)) {
				t.Errorf("%s: %v; want an open outcome", name, err)
			}
		})
	}
}

// When the time is up, the error says what it was and what is known.
func TestRetriesEnd(t *testing.T) {
	t.Parallel()
	nothing, unknown := failures()
	c := commit("token", put(item("a", 1), store.Absent()))
	for name, failure := range nothing {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			retriesEnd(t, failure, c, false)
		})
	}
	for name, failure := range unknown {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			retriesEnd(t, failure, c, true)
		})
	}
}

func retriesEnd(t *testing.T, failure *dynamotest.Answer, c store.Commit, open bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := stubbed(t, failing(failure, 1_000_000))
		for _, deadline := range []time.Duration{0, 3 * time.Second} {
			ctx, within := t.Context(), s.cfg.RetryFor
			if deadline > 0 {
				limited, cancel := context.WithTimeout(ctx, deadline)
				defer cancel()
				ctx, within = limited, deadline
			}
			start := time.Now()
			err := s.Commit(ctx, c)
			took := time.Since(start)
			unavailable, ok := errors.AsType[*UnavailableError](err)
			if !ok {
				t.Fatalf("%v; want an UnavailableError", err)
			}
			if unavailable.OutcomeUnknown != open {
				t.Errorf("outcome unknown: %v; want %v: %v", unavailable.OutcomeUnknown, open, err)
			}
			if failure.Code != "" && !strings.Contains(err.Error(), failure.Code) {
				t.Errorf("the error does not say what it was: %v", err)
			}
			// An attempt may hang for a while beyond what was left when it began, if the context allows.
			if took > within+s.cfg.AttemptTimeout || deadline > 0 && took > within {
				t.Errorf("gave up after %v; want %v", took, within)
			}
			if unavailable.Attempts < 2 && !failure.Hang {
				t.Errorf("%d attempts", unavailable.Attempts)
			}
			_, getErr := s.Get(ctx, item("a", 1).Key)
			if unavailable, ok := errors.AsType[*UnavailableError](getErr); deadline == 0 && (!ok || unavailable.OutcomeUnknown) {
				t.Errorf("get: %v; want an UnavailableError without an outcome", getErr)
			}
		}
	})
}

// The caller goes away between two attempts, and within one.
func TestCanceledWhileRetrying(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]*dynamotest.Answer{"between": {Code: "ThrottlingException"}, "within": {Hang: true}} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(2*time.Second, cancel)
			err := stubbed(t, failing(failure, 1_000_000)).Commit(ctx, commit("token", put(item("a", 1), store.Absent())))
			unavailable, ok := errors.AsType[*UnavailableError](err)
			if !ok || !errors.Is(err, context.Canceled) || unavailable.OutcomeUnknown != failure.Hang {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// Pauses have full jitter: each is anywhere from nothing to a bound, which doubles up to a limit.
func TestPauses(t *testing.T) {
	t.Parallel()
	s := stubbed(t, &dynamotest.Transport{})
	for n, ms := range map[int]int64{1: 25, 2: 50, 3: 100, 6: 800, 7: 1000, 50: 1000, 1000: 1000} {
		bound := time.Duration(ms) * time.Millisecond
		var least, most time.Duration = time.Hour, 0
		for range 1000 {
			p := s.pause(n)
			least, most = min(least, p), max(most, p)
		}
		if least <= 0 || least > bound/10 || most > bound || most < bound*9/10 {
			t.Errorf("pauses after attempt %d are %v to %v; want up to %v", n, least, most, bound)
		}
	}
}
