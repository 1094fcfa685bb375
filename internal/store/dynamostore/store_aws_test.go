//go:build aws

package dynamostore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/dynamostore"
	"github.com/domicile-api/domicile/internal/store/dynamostore/dynamotest"
)

func item(sort, value string, v int) store.Item {
	return store.Item{
		Key: store.Key{Partition: "p", Sort: sort}, Version: ident.Version{Epoch: 1, Seq: ident.Seq(v)},
		Tag: store.Tag{Tenant: "acme", Class: store.ClassPII, Jurisdiction: "EU"}, Value: []byte(value),
	}
}

func put(it store.Item, cond store.Condition) store.Op {
	return store.Op{Kind: store.Put, Item: it, If: cond}
}

func version(n int) ident.Version { return ident.Version{Epoch: 1, Seq: ident.Seq(n)} }

func TestOpenRefusesAnotherTable(t *testing.T) {
	t.Parallel()
	for problem, o := range map[string]dynamotest.Options{
		"other keys": {Sort: "sort"}, "expired": {NoTTL: true}, "no tag": {NoSchema: true}, "no stream": {NoStream: true},
	} {
		_, err := dynamostore.Open(t.Context(), config(dynamotest.NewTable(t, o)))
		if schema, ok := errors.AsType[*dynamostore.SchemaError](err); !ok || !strings.Contains(schema.Problem, problem) {
			t.Errorf("%v; want: %s", err, problem)
		}
	}
	missing := config(dynamotest.Clients(t, ""))
	missing.Table = "missing"
	if _, err := dynamostore.Open(t.Context(), missing); !errors.As(err, new(*dynamostore.SchemaError)) {
		t.Errorf("%v; want a SchemaError", err)
	}
	s, err := dynamostore.New(missing)
	if err != nil {
		t.Fatal(err)
	}
	_, getErr := s.Get(t.Context(), item("a", "", 1).Key)
	commitErr := s.Commit(t.Context(), store.Commit{Ops: []store.Op{put(item("a", "v", 1), store.Absent())}, Token: "token"})
	feedErr := s.Changes(t.Context(), func([]store.Change) error { return nil })
	for name, err := range map[string]error{"get": getErr, "commit": commitErr, "changes": feedErr} {
		if !errors.As(err, new(*dynamostore.SchemaError)) {
			t.Errorf("%s: %v; want a SchemaError", name, err)
		}
	}
}

// Answers are lost on the way back, so that each commit's first sending took effect and nobody knows.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	table := dynamotest.NewTable(t, dynamotest.Options{})
	transport := &dynamotest.Transport{Answer: func(c dynamotest.Call) *dynamotest.Answer {
		if (c.Op == "TransactWriteItems" || c.Op == "PutItem") && c.N%2 == 0 {
			return &dynamotest.Answer{Lost: io.ErrUnexpectedEOF, Reached: true}
		}
		return nil
	}}
	s := open(t, config(transport.Over(table)))
	for i := range 5 {
		commit := store.Commit{Ops: []store.Op{put(item("counter", strconv.Itoa(i), i+1), store.OlderThan(version(i+1))), put(item(strconv.Itoa(i), "v", 1), store.Absent())}}
		if i > 0 {
			commit.Ops[0].If = store.VersionIs(version(i))
		}
		if i%2 == 0 {
			commit.Token = fmt.Sprint("token ", i)
		}
		if err := s.Commit(t.Context(), commit); err != nil {
			t.Fatalf("commit %d: %v", i, err)
		}
	}
	err := s.Commit(t.Context(), store.Commit{Ops: []store.Op{put(item("single", "v", 1), store.Absent())}})
	if unavailable, ok := errors.AsType[*dynamostore.UnavailableError](err); !ok || !unavailable.OutcomeUnknown {
		t.Errorf("a single put: %v; want an open outcome", err)
	}
	if it, err := s.Get(t.Context(), item("single", "", 0).Key); err != nil || string(it.Value) != "v" {
		t.Errorf("the single put: %+v, %v", it, err)
	}
}

// Values are as large as they may be, so that DynamoDB answers in pages of its own.
func TestLargePages(t *testing.T) {
	t.Parallel()
	table := dynamotest.NewTable(t, dynamotest.Options{})
	transport := &dynamotest.Transport{}
	s := open(t, config(transport.Over(table)))
	value := strings.Repeat("v", store.MaxItemBytes-10)
	for i := range 7 {
		if err := s.Commit(t.Context(), store.Commit{Ops: []store.Op{put(item(strconv.Itoa(i), value, 1), store.Absent())}}); err != nil {
			t.Fatal(err)
		}
	}
	before := len(transport.Calls())
	page, err := s.Query(t.Context(), store.Query{Partition: "p"})
	if err != nil || len(page.Items) != 7 || page.More {
		t.Errorf("%d items, more %v, %v", len(page.Items), page.More, err)
	}
	if n := len(transport.Calls()) - before; n < 3 || n > 4 {
		t.Errorf("%d calls for 2.8 MB; want one a megabyte", n)
	}
	n := 0
	if err := s.Walk(t.Context(), func(it store.Item) error {
		if n++; len(it.Value) != len(value) {
			t.Errorf("a value of %d bytes", len(it.Value))
		}
		return nil
	}); err != nil || n != 7 {
		t.Errorf("%d items, %v", n, err)
	}
}

// Versions of more than 38 decimal digits, and of all bits, keep their order in DynamoDB.
func TestLargeVersions(t *testing.T) {
	t.Parallel()
	s := open(t, config(dynamotest.NewTable(t, dynamotest.Options{})))
	most := ^uint64(0)
	versions := []ident.Version{
		{}, {Seq: 1}, {Seq: 255}, {Seq: 256}, {Seq: ident.Seq(most >> 1)}, {Seq: ident.Seq(most)}, {Epoch: 1}, {Epoch: ident.Epoch(most >> 1), Seq: 7},
		{Epoch: 1 << 63}, {Epoch: ident.Epoch(most), Seq: ident.Seq(most)},
	}
	it := item("a", "v", 0)
	for i, v := range versions {
		it.Version = v
		if err := s.Commit(t.Context(), store.Commit{Ops: []store.Op{put(it, store.OlderThan(v))}}); err != nil {
			t.Fatalf("%v over %v: %v", v, versions[max(i-1, 0)], err)
		}
		if i == 0 {
			continue
		}
		older := it
		older.Version = versions[i-1]
		err := s.Commit(t.Context(), store.Commit{Ops: []store.Op{put(older, store.OlderThan(older.Version))}})
		refused, ok := errors.AsType[*store.ConditionError](err)
		if !ok || refused.Stored[0] != v {
			t.Errorf("%v over %v: %v", older.Version, v, err)
		}
	}
}

// What is in DynamoDB can be read with any tool: the tag, the expiry, and no value that was not given.
func TestLayout(t *testing.T) {
	t.Parallel()
	table := dynamotest.NewTable(t, dynamotest.Options{})
	s := open(t, config(table))
	it := item("", "sealed", 3)
	it.Expires = time.Unix(4_000_000_000, 1)
	if err := s.Commit(t.Context(), store.Commit{Ops: []store.Op{put(it, store.Absent())}}); err != nil {
		t.Fatal(err)
	}
	out, err := table.Client.Scan(t.Context(), &dynamodb.ScanInput{TableName: &table.Name})
	if err != nil || len(out.Items) != 1 {
		t.Fatalf("%d items, %v", len(out.Items), err)
	}
	got := out.Items[0]
	if len(got) != 8 || got["tenant"].(*types.AttributeValueMemberS).Value != "acme" || got["jurisdiction"].(*types.AttributeValueMemberS).Value != "EU" ||
		got["class"].(*types.AttributeValueMemberN).Value != "3" || got["ttl"].(*types.AttributeValueMemberN).Value != "4000000001" ||
		string(got["sk"].(*types.AttributeValueMemberB).Value) != "\x01" || string(got["value"].(*types.AttributeValueMemberB).Value) != "sealed" {
		t.Errorf("%v", got)
	}
}

// Positions of a real stream are resumed without a gap and without an empty batch; what DynamoDB removes is told.
func TestFollowResumesOnDynamoDB(t *testing.T) {
	t.Parallel()
	table := dynamotest.NewTable(t, dynamotest.Options{})
	s := open(t, config(table))
	write := func(sort string) {
		t.Helper()
		if err := s.Commit(t.Context(), store.Commit{Ops: []store.Op{put(item(sort, "v", 1), store.Absent())}}); err != nil {
			t.Fatal(err)
		}
	}
	write("0")
	at := until(t, s, dynamostore.Positions{}, "", func() { write("1") }, "1")
	write("2")
	if _, err := table.Client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &table.Name, Key: map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberB{Value: []byte("p")}, "sk": &types.AttributeValueMemberB{Value: []byte("\x011")},
	}}); err != nil {
		t.Fatal(err)
	}
	at = until(t, s, at, "2", func() {}, "-1")
	lost := dynamostore.Positions{Stream: aws.ToString(&at.Stream) + "x", Shards: at.Shards}
	until(t, s, lost, "", func() { write("3") }, "3")
}

// until follows from positions until last is told ("-" before it if deleted). The first thing told must be first; "" is an empty batch, at
// which begun is called.
func until(t *testing.T, s *dynamostore.Store, from dynamostore.Positions, first string, begun func(), last string) dynamostore.Positions {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var told []string
	var at dynamostore.Positions
	begin := sync.OnceFunc(begun) // There may be more empty batches: the emulator calls an empty shard trimmed now and then.
	err := s.Follow(ctx, from, func(batch []store.Change, now dynamostore.Positions) error {
		at = now
		if len(batch) == 0 {
			told = append(told, "")
			begin()
		}
		for _, c := range batch {
			name := c.Key.Sort
			if c.Deleted {
				name = "-" + name
			}
			told = append(told, name)
			if name == last {
				cancel()
			}
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || len(told) == 0 || told[0] != first {
		t.Fatalf("told %q, %v; want first %q", told, err, first)
	}
	return at
}
