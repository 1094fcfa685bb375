package dynamostore

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/dynamostore/dynamotest"
)

// A while is long enough for each reader to read twice.
func aWhile() { time.Sleep(5 * time.Second) }

func told(t *testing.T, want, got string) {
	t.Helper()
	if diff := cmp.Diff(strings.Fields(want), strings.Fields(got)); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// Children are read after their parent's end, through any number of splits, and nothing is told twice.
func TestFollowSplits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStream("a", "old")
		f.write("a", "before")
		f.write("old", "before")
		f.split("old")
		l := follow(t, streaming(t, f), Positions{})
		aWhile()
		f.write("a", "1", "2", "3", "4", "5", "6", "7")
		f.split("a", "b", "c")
		f.write("b", "1", "2")
		f.split("b", "d")
		f.write("d", "1")
		aWhile()
		aWhile()
		f.write("c", "1")
		aWhile()
		got, at := l.stop()
		told(t, "missed a1 a2 a3 a4 a5 a6 a7 b1 b2 d1 c1", got)
		if diff := cmp.Diff(Positions{Stream: streamARN, Shards: map[string]string{
			"a": atEnd, "old": atEnd, "b": atEnd, "d": "112", "c": "113",
		}}, at); diff != "" {
			t.Errorf("positions (-want +got):\n%s", diff)
		}
	})
}

// What is written once the first batch was given is told, however long it takes to enter the shards.
func TestFollowFromNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStream("a", "b")
		f.write("a", "before")
		f.delay = time.Second
		l := follow(t, streaming(t, f), Positions{})
		for begun := false; !begun; time.Sleep(time.Millisecond) {
			l.mu.Lock()
			begun = len(l.told) > 0
			l.mu.Unlock()
		}
		f.write("a", "1")
		aWhile()
		f.write("b", "1")
		aWhile()
		got, _ := l.stop()
		told(t, "missed a1 b1", got)
	})
}

// Children that are listed late are found all the same, and a shard that ends for good is not asked for without end.
func TestFollowLateChildren(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStream("a")
		lists := 0
		f.fail = func(op string) error {
			if op == "DescribeStream" {
				lists++
			}
			return nil
		}
		l := follow(t, streaming(t, f), Positions{})
		aWhile()
		f.write("a", "1")
		f.split("a")
		time.Sleep(time.Hour)
		f.mu.Lock()
		if lists > 90 {
			t.Errorf("the shards were listed %d times in an hour without any", lists)
		}
		f.mu.Unlock()
		f.split("a", "b")
		f.write("b", "1")
		time.Sleep(2 * time.Minute)
		got, _ := l.stop()
		told(t, "missed a1 b1", got)
	})
}

// Positions that were kept are resumed without a gap, also across a split that came meanwhile.
func TestFollowResumes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStream("a", "b")
		s := streaming(t, f)
		l := follow(t, s, Positions{})
		aWhile()
		f.write("a", "1", "2")
		f.write("b", "1")
		aWhile()
		_, at := l.stop()
		f.write("a", "3")
		f.split("a", "c")
		f.write("c", "1")
		f.write("b", "2")
		kept, err := json.Marshal(at)
		if err != nil {
			t.Fatal(err)
		}
		var back Positions
		if err := json.Unmarshal(kept, &back); err != nil {
			t.Fatal(err)
		}
		l = follow(t, s, back)
		aWhile()
		got, at := l.stop()
		for _, want := range []string{"a3", "b2", "c1"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s was not told, only %s", want, got)
			}
		}
		if len(strings.Fields(got)) != 3 || strings.Index(got, "c1") < strings.Index(got, "a3") {
			t.Errorf("told %s; want a3 before c1, b2, and nothing else", got)
		}
		// Resumed again, there is nothing to tell.
		l = follow(t, s, at)
		aWhile()
		got, _ = l.stop()
		told(t, "", got)
	})
}

// Where changes are lost, an empty batch says so, and what is left is told.
func TestFollowMissed(t *testing.T) {
	t.Parallel()
	at := func(shards map[string]string) Positions { return Positions{Stream: streamARN, Shards: shards} }
	for _, tt := range []struct {
		name string
		from func(f *fakeStream) Positions
		want string
	}{
		{"a position trimmed away", func(f *fakeStream) Positions {
			f.write("a", "1", "2", "3")
			f.trim(2)
			return at(map[string]string{"a": "101"})
		}, "missed a3"},
		{"a position still there", func(f *fakeStream) Positions {
			f.write("a", "1", "2", "3")
			f.trim(1)
			return at(map[string]string{"a": "101"})
		}, "a2 a3"},
		{"a shard gone before its end was read", func(f *fakeStream) Positions {
			f.write("a", "1", "2")
			f.split("a", "b")
			f.trim(2)
			f.write("b", "1")
			return at(map[string]string{"a": "101"})
		}, "missed b1"},
		{"a shard gone after its end", func(f *fakeStream) Positions {
			f.write("a", "1")
			f.split("a", "b")
			f.trim(1)
			f.write("b", "1")
			return at(map[string]string{"a": atEnd})
		}, "b1"},
		{"a shard of which nothing was read", func(f *fakeStream) Positions {
			f.write("a", "1")
			return at(map[string]string{"a": atNow})
		}, "missed"},
		{"another stream", func(f *fakeStream) Positions {
			f.write("a", "1")
			return Positions{Stream: "other", Shards: map[string]string{"a": "100"}}
		}, "missed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeStream("a")
				from := tt.from(f)
				l := follow(t, streaming(t, f), from)
				aWhile()
				got, _ := l.stop()
				if tt.name == "a shard gone before its end was read" && got == "b1 missed" {
					got = tt.want // A shard without a parent and the loss of another have no order.
				}
				told(t, tt.want, got)
			})
		})
	}
}

// A consumer that takes no batch for longer than iterators live, or than the stream keeps, goes on where it was, or is told.
func TestFollowSlowConsumer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		trim    int
		expired bool
		want    string
	}{
		{0, true, "missed a1 a2 a3 a4 a5 a6 a7 a8 a9"}, {0, false, "missed a1 a2 a3 a4 a5 a6 a7 a8 a9"},
		{8, true, "missed a1 a2 a3 a4 a5 a6 missed a9"}, {8, false, "missed a1 a2 a3 a4 a5 a6 missed a9"},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeStream("a")
			l := follow(t, streaming(t, f), Positions{})
			aWhile()
			patience := time.Now().Add(time.Hour)
			l.mu.Lock()
			l.refuse = func([]store.Change) error {
				if time.Now().Before(patience) {
					return errors.New("not now")
				}
				return nil
			}
			l.mu.Unlock()
			f.write("a", "1", "2", "3", "4", "5", "6", "7", "8", "9") // Six are read by the time that three are refused.
			time.Sleep(time.Hour - time.Minute)
			if tt.expired {
				f.mu.Lock()
				f.expire = f.made
				f.mu.Unlock()
			}
			f.trim(tt.trim)
			time.Sleep(2 * time.Minute)
			got, _ := l.stop()
			told(t, tt.want, got)
		})
	}
}

// An iterator at the newest record that expires before a record came has nothing to go on from.
func TestFollowExpiredAtNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStream("a")
		l := follow(t, streaming(t, f), Positions{})
		aWhile()
		f.mu.Lock()
		f.expire = f.made
		f.mu.Unlock()
		aWhile()
		f.write("a", "1")
		aWhile()
		got, _ := l.stop()
		told(t, strings.Repeat("missed ", 2)+"a1", got)
	})
}

// Each failure that passes is waited out, wherever it happens, and nothing is lost by it.
func TestFollowFailuresPass(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{
		"throttled": &types.LimitExceededException{}, "internal": &types.InternalServerError{}, "lost": &smithyhttp.RequestSendError{Err: io.EOF},
	} {
		for _, op := range []string{"DescribeStream", "GetShardIterator", "GetRecords"} {
			synctest.Test(t, func(t *testing.T) {
				f, n := newFakeStream("a"), 0
				f.fail = func(called string) error {
					if n++; called == op && n%20 != 0 {
						return failure
					}
					return nil
				}
				l := follow(t, streaming(t, f), Positions{})
				time.Sleep(5 * time.Minute)
				f.write("a", "1", "2", "3", "4")
				f.split("a", "b")
				f.write("b", "1")
				time.Sleep(5 * time.Minute)
				got, _ := l.stop()
				if got != "missed a1 a2 a3 a4 b1" {
					t.Errorf("%s at %s: told %s", name, op, got)
				}
			})
		}
	}
}

// A feed that begins while DynamoDB is away begins when it is back.
func TestFollowBeginsLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		back := time.Now().Add(time.Hour)
		transport := &dynamotest.Transport{Answer: func(dynamotest.Call) *dynamotest.Answer {
			if time.Now().Before(back) {
				return &dynamotest.Answer{Lost: io.EOF}
			}
			return &dynamotest.Answer{Body: `{"Table":{"LatestStreamArn":"` + streamARN + `"}}`}
		}}
		s := stubbed(t, transport)
		s.cfg.Streams = newFakeStream("a")
		l := follow(t, s, Positions{})
		time.Sleep(2 * time.Hour)
		got, _ := l.stop()
		told(t, "missed", got)
		if n := len(transport.Calls()); n > 10_000 {
			t.Errorf("%d calls while it was away", n)
		}
	})
}

// A failure that does not pass ends the feed, wherever it happens.
func TestFollowFinalErrors(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"DescribeStream", "GetShardIterator", "GetRecords"} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeStream("a", "b")
			f.fail = func(called string) error {
				if called == op {
					return &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"}
				}
				return nil
			}
			err := streaming(t, f).Changes(t.Context(), func([]store.Change) error { return nil })
			if _, ok := errors.AsType[*AccessError](err); !ok {
				t.Errorf("%s: %v; want an AccessError", op, err)
			}
		})
	}
	transport := &dynamotest.Transport{Answer: func(dynamotest.Call) *dynamotest.Answer { return &dynamotest.Answer{Body: `{"Table":{}}`} }}
	s := stubbed(t, transport)
	err := s.Changes(t.Context(), func([]store.Change) error { return nil })
	if _, ok := errors.AsType[*SchemaError](err); !ok {
		t.Errorf("without a stream: %v; want a SchemaError", err)
	}
	s.cfg.Streams = nil
	if err := s.Changes(t.Context(), func([]store.Change) error { return nil }); err == nil {
		t.Error("without a client of streams: no error")
	}
}

// Idle shards are read about once a second, busy ones at most four times; a split does not change that.
func TestFollowPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStream("idle", "busy")
		l := follow(t, streaming(t, f), Positions{})
		aWhile()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		for n := 0; ctx.Err() == nil; n++ {
			f.write("busy", strconv.Itoa(n))
			time.Sleep(100 * time.Millisecond)
		}
		_, _ = l.stop()
		f.mu.Lock()
		defer f.mu.Unlock()
		if n := len(f.reads["idle"]); n < 3500 || n > 3700 {
			t.Errorf("%d reads of an idle shard in an hour", n)
		}
		if n := len(f.reads["busy"]); n < 4*3500 || n > 4*3605 {
			t.Errorf("%d reads of a busy shard in an hour", n)
		}
		for i := 1; i < len(f.reads["busy"]); i++ {
			if d := f.reads["busy"][i].Sub(f.reads["busy"][i-1]); d < 250*time.Millisecond {
				t.Fatalf("two reads of a shard in %v", d)
			}
		}
	})
}
