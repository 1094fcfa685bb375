package dynamostore

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/dynamostore/dynamotest"
)

// noon is a whole minute.
const noon = int64(1_700_000_040)

// stubbed is a store whose requests a transport answers. Its time is noon and ten seconds.
func stubbed(t *testing.T, transport *dynamotest.Transport) *Store {
	t.Helper()
	return stubbedAt(t, transport, func() time.Time { return time.Unix(noon+10, 5) })
}

func stubbedAt(t *testing.T, transport *dynamotest.Transport, clock func() time.Time) *Store {
	t.Helper()
	s, err := New(Config{Table: "table", Client: transport.Client(), Streams: transport.Streams(), Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func item(sort string, v int) store.Item {
	return store.Item{
		Key: store.Key{Partition: "p", Sort: sort}, Version: ident.Version{Epoch: 1, Seq: ident.Seq(v)},
		Tag: store.Tag{Tenant: "acme", Class: store.ClassPII, Jurisdiction: "EU"}, Value: []byte("v"),
	}
}

// ending is an item that ends at a time.
func ending(sort string, v int, at int64) store.Item {
	it := item(sort, v)
	it.Expires = time.Unix(at, 0).UTC()
	return it
}

func put(it store.Item, cond store.Condition) store.Op {
	return store.Op{Kind: store.Put, Item: it, If: cond}
}

func remove(it store.Item, cond store.Condition) store.Op {
	return store.Op{Kind: store.Delete, Item: store.Item{Key: it.Key}, If: cond}
}

func check(it store.Item, cond store.Condition) store.Op {
	return store.Op{Kind: store.Check, Item: store.Item{Key: it.Key}, If: cond}
}

func version(n int) ident.Version { return ident.Version{Epoch: 1, Seq: ident.Seq(n)} }

// commit is a commit of operations.
func commit(token string, ops ...store.Op) store.Commit { return store.Commit{Ops: ops, Token: token} }

// wire is attributes in DynamoDB's JSON.
func wire(t *testing.T, attrs attributes) string {
	t.Helper()
	out := map[string]map[string]any{}
	for name, v := range attrs {
		switch v := v.(type) {
		case *types.AttributeValueMemberB:
			out[name] = map[string]any{"B": v.Value}
		case *types.AttributeValueMemberS:
			out[name] = map[string]any{"S": v.Value}
		case *types.AttributeValueMemberN:
			out[name] = map[string]any{"N": v.Value}
		default:
			t.Fatalf("an attribute of the type %T", v)
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// ops are the names of the operations that were called, in order, each with a space behind it.
func ops(transport *dynamotest.Transport) string {
	var names strings.Builder
	for _, c := range transport.Calls() {
		names.WriteString(c.Op + " ")
	}
	return names.String()
}
