package directory

import (
	"bufio"
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
)

// FuzzParseBody reads arbitrary bytes behind the checksum: what is read field by field is what protobuf reads at once.
func FuzzParseBody(f *testing.F) {
	seed, err := proto.Marshal(&directoryv1.Snapshot{
		Positions: []*directoryv1.Position{{Writer: "us-east-1", Wseq: 2}},
		Records: []*directoryv1.Record{{
			Writer: "us-east-1", Wseq: 2,
			Subject: &directoryv1.Record_Revocation{Revocation: &directoryv1.Revocation{Tenant: "acme-eu", KeyId: "k1"}},
		}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{0x0a})
	f.Add([]byte{0x1a, 0x00})
	f.Add([]byte("\xe2\xe2\xe1\xff0\x0200")) // A field number beyond the largest.
	f.Fuzz(func(t *testing.T, body []byte) {
		got := new(directoryv1.Snapshot)
		var err error
		got.Positions, err = parseBody(bufio.NewReader(bytes.NewReader(body)), func(records []*directoryv1.Record) { got.Records = append(got.Records, records...) })
		if err != nil {
			return
		}
		want := new(directoryv1.Snapshot)
		if err := proto.Unmarshal(body, want); err != nil {
			t.Fatalf("parseBody reads what protobuf refuses: %v", err)
		}
		want.ProtoReflect().SetUnknown(nil)
		if !proto.Equal(want, got) {
			t.Fatalf("parseBody reads %v, protobuf %v", got, want)
		}
	})
}
