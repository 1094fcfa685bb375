package directory_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/ident"
)

// TestTokenKeysAndClassTables follows both kinds of subject through the table: from the writer to the state that a decision sees, the
// published snapshot, a follower that has nothing but it, and the questions that go to the table itself.
func TestTokenKeysAndClassTables(t *testing.T) {
	t.Parallel()
	table := openTable(t)
	w, home := newWriter(table, control), newWriter(table, frankfurt)
	for _, id := range []uint32{1, 2, 10} {
		if _, err := w.Write(t.Context(), always(tokenKeyRecord(0, id, "first"))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Write(t.Context(), always(tokenKeyRecord(0, 2, "second"))); err != nil {
		t.Fatal(err)
	}
	for _, writer := range []*directory.Writer{w, home} {
		if _, err := writer.Write(t.Context(), always(classTableRecord("", 0, "v1.0.0"))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := home.Write(t.Context(), always(wrappingRecord(frankfurt, 0, "public"))); err != nil {
		t.Fatal(err)
	}
	wantKeys := []*directoryv1.TokenKey{
		tokenKeyRecord(0, 10, "first").GetTokenKey(), tokenKeyRecord(0, 2, "second").GetTokenKey(), tokenKeyRecord(0, 1, "first").GetTokenKey(),
	}
	wantTable := classTableRecord("", 0, "v1.0.0").GetClassTable()
	same := func(what string, want, got any, err error) {
		t.Helper()
		if diff := cmp.Diff(want, got, protocmp.Transform()); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", what, err, diff)
		}
	}
	view(t, table, func(v directory.View) {
		keys, err := v.TokenKeys(t.Context())
		same("the view's token keys", wantKeys, keys, err)
		got, err := v.ClassTable(t.Context(), wantTable.GetFingerprint())
		same("the view's class table", wantTable, got, err)
	})
	reader := directory.NewReader(directory.ReaderConfig{Table: table, Control: control, Regions: regions()})
	keys, err := reader.TokenKeys(t.Context())
	same("the reader's token keys", wantKeys, keys, err)
	got, err := reader.ClassTable(t.Context(), wantTable.GetFingerprint())
	same("the reader's class table", wantTable, got, err)
	if unknown, err := reader.ClassTable(t.Context(), []byte("none")); unknown != nil || err != nil {
		t.Errorf("an unknown class table: %v, %v", unknown, err)
	}
	// Two published snapshots, and the logs pruned: a new follower gets everything from the snapshots.
	for _, writer := range []*directory.Writer{w, home} {
		for range 2 {
			if _, err := writer.Sweep(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			if _, err := writer.Write(t.Context(), always(classTableRecord("", 0, "v1.1.0"))); err != nil {
				t.Fatal(err)
			}
		}
		for more := true; more; {
			report, err := writer.Sweep(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			more = report.More
		}
	}
	x := newIndex()
	f := directory.NewFollower(directory.FollowerConfig{Table: table, Writers: []ident.RegionID{control, frankfurt}, Control: control, Sink: x})
	if err := f.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if log := readLog(t, table, control); log[0].GetWseq() == 1 {
		t.Fatal("the log was not pruned; the test shows nothing")
	}
	same("the index's token keys", wantKeys, x.TokenKeys(), nil)
	if got, ok := x.ClassTable(wantTable.GetFingerprint()); !ok {
		t.Error("the index has no class table")
	} else {
		same("the index's class table", wantTable, got, nil)
	}
	if key, ok := x.WrappingKey(frankfurt); !ok || string(key) != "public" {
		t.Errorf("wrapping key %q %v", key, ok)
	}
}

// TestLateTokenKeys keeps the newest record of a key, in whatever order they come.
func TestLateTokenKeys(t *testing.T) {
	t.Parallel()
	x := newIndex()
	newest := tokenKeyRecord(5, 1, "newest")
	x.Apply([]*directoryv1.Record{newest, tokenKeyRecord(4, 1, "older"), tokenKeyRecord(3, 2, "other")})
	before := x.TokenKeys()
	x.Apply([]*directoryv1.Record{tokenKeyRecord(2, 1, "oldest"), newest})
	if diff := cmp.Diff([]*directoryv1.TokenKey{tokenKeyRecord(3, 2, "other").GetTokenKey(), newest.GetTokenKey()}, x.TokenKeys(), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if &before[0] != &x.TokenKeys()[0] {
		t.Error("the slice changed though no key did")
	}
}
