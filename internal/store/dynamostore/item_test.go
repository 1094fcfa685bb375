package dynamostore

import (
	"bytes"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

func drawVersion(t *rapid.T, label string) ident.Version {
	return ident.Version{Epoch: ident.Epoch(rapid.Uint64().Draw(t, label)), Seq: ident.Seq(rapid.Uint64().Draw(t, label))}
}

// Whatever the port allows comes back as it was, expiry rounded up to the second.
func TestItemRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		it := store.Item{
			Key: store.Key{
				Partition: string(rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "partition")), Sort: string(rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "sort")),
			},
			Version: drawVersion(t, "version"),
			Tag: store.Tag{
				Tenant: ident.TenantID(rapid.String().Draw(t, "tenant")), Class: store.Class(rapid.IntRange(1, 3).Draw(t, "class")),
				Jurisdiction: ident.Jurisdiction(rapid.String().Draw(t, "jurisdiction")),
			},
			Value: rapid.SliceOf(rapid.Byte()).Draw(t, "value"),
		}
		want := it
		if rapid.Bool().Draw(t, "mortal") {
			nanos := rapid.Int64Range(0, 999_999_999).Draw(t, "nanos")
			second := rapid.Int64Range(1, 1<<33).Draw(t, "second")
			it.Expires, want.Expires = time.Unix(second, nanos), time.Unix(second, 0).UTC()
			if nanos > 0 {
				want.Expires = want.Expires.Add(time.Second)
			}
		}
		got, err := unmarshalItem(marshalItem(it))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("item (-want +got):\n%s", diff)
		}
	})
}

// DynamoDB compares bytes: their order must be that of versions.
func TestVersionOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v, w := drawVersion(t, "v"), drawVersion(t, "w")
		if rapid.Bool().Draw(t, "same epoch") {
			w.Epoch = v.Epoch
		}
		if got := bytes.Compare(encodeVersion(v), encodeVersion(w)); got != v.Compare(w) {
			t.Fatalf("%v and %v compare as %d; want %d", v, w, got, v.Compare(w))
		}
		if decodeVersion(encodeVersion(v)) != v {
			t.Fatal("a version does not come back")
		}
	})
}

// What others wrote is an error, never an item.
func TestMalformedItem(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(attributes){
		"no version":            func(a attributes) { delete(a, attrVersion) },
		"short version":         func(a attributes) { a[attrVersion] = bytesValue([]byte{1}) },
		"no value":              func(a attributes) { delete(a, attrValue) },
		"no class":              func(a attributes) { delete(a, attrClass) },
		"another class":         func(a attributes) { a[attrClass] = numberValue(4) },
		"expiry that is text":   func(a attributes) { a[attrTTL] = textValue("1") },
		"expiry in a fraction":  func(a attributes) { a[attrTTL] = &types.AttributeValueMemberN{Value: "1.5"} },
		"no partition":          func(a attributes) { delete(a, attrPartition) },
		"another kind of sort":  func(a attributes) { a[attrSort] = bytesValue([]byte{2, 'a'}) },
		"an empty sort":         func(a attributes) { a[attrSort] = bytesValue(nil) },
		"a sort that is a text": func(a attributes) { a[attrSort] = textValue("a") },
	} {
		attrs := marshalItem(item("a", 1))
		spoil(attrs)
		if it, err := unmarshalItem(attrs); err == nil {
			t.Errorf("%s: read as %+v", name, it)
		}
	}
}

// The bounds of a query, as DynamoDB takes them: no longer than a key, and both inclusive.
func TestBounds(t *testing.T) {
	t.Parallel()
	longest := bytes.Repeat([]byte{0xff}, store.MaxSortBytes)
	rapid.Check(t, func(t *rapid.T) {
		// Few bytes, so that keys are often neighbours; often as long as can be.
		draw := func(label string, most int) string {
			b := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0xfe, 0xff}), 0, 3).Draw(t, label)
			if rapid.Bool().Draw(t, label+" is long") {
				fill := rapid.SampledFrom([]byte{0, 1, 0xff}).Draw(t, label+" fill")
				b = append(bytes.Repeat([]byte{fill}, most-len(b)), b...)
			}
			return string(b)
		}
		key, from, to := draw("key", store.MaxSortBytes), draw("from", store.MaxSortBytes+1), draw("to", store.MaxSortBytes+1)
		stored := encodeSort(key)
		low, high := lowest(from), highest(to)
		if len(low) > maxSort || len(high) > maxSort {
			t.Fatalf("bounds of %d and %d bytes", len(low), len(high))
		}
		if got, want := low == nil || bytes.Compare(stored, low) >= 0, key >= from; got != want {
			t.Fatalf("%q is at or above %q: %v; want %v", key, from, got, want)
		}
		if got, want := high == nil || bytes.Compare(stored, high) <= 0, to == "" || key < to; got != want {
			t.Fatalf("%q is below %q: %v; want %v", key, to, got, want)
		}
	})
	if low := lowest(string(longest) + "\x00"); !bytes.Equal(low, []byte{sortPrefix + 1}) {
		t.Errorf("above the last key: %x", low)
	}
}

// The largest item and commit of the port are within DynamoDB's limits by its own measure: names, values, 21 bytes at most for a number.
func TestLargestFits(t *testing.T) {
	t.Parallel()
	measure := func(attrs attributes) (size int) {
		for name, v := range attrs {
			size += len(name)
			switch v := v.(type) {
			case *types.AttributeValueMemberB:
				size += len(v.Value)
			case *types.AttributeValueMemberS:
				size += len(v.Value)
			default:
				size += 21
			}
		}
		return size
	}
	it := item("s", 1)
	it.Expires = time.Unix(1, 0)
	it.Tag.Tenant = ident.TenantID(bytes.Repeat([]byte{'t'}, store.MaxTagBytes-2))
	beside := measure(marshalItem(it)) - len(it.Key.Partition) - len(it.Key.Sort) - len(it.Value)
	if size := store.MaxItemBytes + beside; size > 400<<10 {
		t.Errorf("the largest item has %d bytes, %d of them beside its key and value", size, beside)
	}
	if size := store.MaxCommitBytes + store.MaxOps*beside; size > 4<<20 {
		t.Errorf("the largest commit has %d bytes", size)
	}
	if n := len(marshalKey(store.Key{Partition: "p", Sort: string(make([]byte, store.MaxSortBytes))})[attrSort].(*types.AttributeValueMemberB).Value); n > 1024 {
		t.Errorf("the longest sort key has %d bytes", n)
	}
}
