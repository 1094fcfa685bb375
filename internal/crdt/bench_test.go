package crdt_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	"github.com/domicile-api/domicile/internal/crdt"
)

// BenchmarkMerge is a merge of two states of so many entries, a quarter each of registers, maxima, counters and sets, of which every
// tenth was written in both regions since they met. It says how large a state is.
func BenchmarkMerge(b *testing.B) {
	for _, entries := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("entries=%d", entries), func(b *testing.B) {
			start := filled(b, &settingsv1.State{}, "eu-central-1", 1, entries, 1)
			here, there := filled(b, start, "eu-central-1", 2, entries, 10), filled(b, start, "us-east-1", 1, entries, 10)
			b.ReportAllocs()
			for b.Loop() {
				if merged := crdt.Merge(here, there); len(merged.GetEntries()) != entries {
					b.Fatal("entries were lost")
				}
			}
			b.ReportMetric(float64(proto.Size(here)), "state-bytes")
		})
	}
}

// filled is a state after a write of a region to every so many entries.
func filled(tb testing.TB, s *settingsv1.State, region string, seq uint64, entries, every int) *settingsv1.State {
	tb.Helper()
	e := crdt.NewEdit(s, region, seq)
	for i := 0; i < entries; i += every {
		key := fmt.Sprintf("entry-%04d", i)
		id := binary.BigEndian.AppendUint64([]byte(region), seq<<32|uint64(i))
		var err error
		switch i / 10 % 4 {
		case 0:
			err = e.Set(key, &settingsv1.Value{Kind: &settingsv1.Value_StringValue{StringValue: region}}, &settingsv1.Stamp{Wall: int64(seq)})
		case 1:
			err = e.Raise(key, int64(seq))
		case 2:
			err = e.Increment(key, 1, id, time.Unix(1_700_000_000, 0))
		default:
			err = e.Add(key, region)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	return e.State()
}
