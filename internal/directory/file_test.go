package directory_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	"github.com/domicile-api/domicile/internal/directory"
)

// collector is a sink that keeps what it got.
type collector struct{ records []*directoryv1.Record }

func (c *collector) Apply(records []*directoryv1.Record) {
	for _, r := range records {
		c.records = append(c.records, proto.CloneOf(r))
	}
}

func positions(n uint64) []*directoryv1.Position {
	return []*directoryv1.Position{{Writer: string(control), Wseq: n}}
}

func save(t testing.TB, path string, n uint64, records ...*directoryv1.Record) {
	t.Helper()
	if err := directory.SaveSnapshot(path, positions(n), slices.Values(records)); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSnapshotFileRoundTrip(t *testing.T) {
	t.Parallel()
	for _, count := range []int{0, 1, 4096, 4097} {
		t.Run(strconv.Itoa(count), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "directory")
			want := make([]*directoryv1.Record, 0, count)
			for i := range count {
				want = append(want, tenantRecord(uint64(i+1), tenant(fmt.Sprintf("t%d", i), fmt.Sprintf("h%d.example", i))))
			}
			save(t, path, uint64(count), want...)
			var got collector
			loaded, err := directory.LoadSnapshot(path, &got)
			if err != nil {
				t.Fatal(err)
			}
			wantLoaded := directory.Loaded{Positions: positions(uint64(count)), Records: count}
			if loaded.Saved.IsZero() {
				t.Error("nobody knows when it was saved")
			}
			if diff := cmp.Diff(wantLoaded, loaded, protocmp.Transform(), cmpopts.IgnoreFields(directory.Loaded{}, "Saved")); diff != "" {
				t.Errorf("loaded (-want +got):\n%s", diff)
			}
			if !slices.EqualFunc(want, got.records, func(a, b *directoryv1.Record) bool { return proto.Equal(a, b) }) {
				t.Errorf("%d records came back as %d, or changed", len(want), len(got.records))
			}
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
			}
			if _, err := os.Stat(path + ".tmp"); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the temporary file is left: %v", err)
			}
		})
	}
}

// refuses checks that a damaged file gives nothing to the sink, and that the previous one is used in its stead.
func refuses(t *testing.T, path, what string, data []byte) {
	t.Helper()
	write(t, path, data)
	var got collector
	loaded, err := directory.LoadSnapshot(path, &got)
	if err != nil {
		t.Fatalf("%s: the previous file was not used: %v", what, err)
	}
	if !errors.Is(loaded.Refused, directory.ErrTornFile) && !errors.Is(loaded.Refused, directory.ErrForeignFile) {
		t.Fatalf("%s: accepted, or refused with %v", what, loaded.Refused)
	}
	if len(got.records) != 1 || got.records[0].GetTenant().GetId() != "before" || loaded.Positions[0].GetWseq() != 1 {
		t.Fatalf("%s: the sink got %v as of %v, want the previous file's tenant", what, got.records, loaded.Positions)
	}
}

// TestSnapshotFileDamage cuts a file at every byte, flips a bit of every byte, and puts other things in its place.
func TestSnapshotFileDamage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "directory")
	save(t, path, 1, tenantRecord(1, tenant("before")))
	save(t, path, 2, tenantRecord(1, tenant("before")), tenantRecord(2, tenant("after", "after.example")))
	whole := read(t, path)
	for n := range whole {
		refuses(t, path, fmt.Sprintf("cut to %d bytes", n), whole[:n])
	}
	for n := range whole {
		flipped := slices.Clone(whole)
		flipped[n] ^= 1 << (n % 8)
		refuses(t, path, fmt.Sprintf("a bit of byte %d flipped", n), flipped)
	}
	refuses(t, path, "grown", append(slices.Clone(whole), 0))
	refuses(t, path, "zeros", make([]byte, len(whole)))
	refuses(t, path, "text", []byte("regions:\n- id: eu-central-1\n  place: Frankfurt\n  jurisdiction: EU\n"))
	write(t, path, whole)
	if loaded, err := directory.LoadSnapshot(path, new(collector)); err != nil || loaded.Refused != nil {
		t.Fatalf("the whole file: %v, %v", loaded.Refused, err)
	}
}

// TestSnapshotFileOfOtherContracts loads a file of a release that knew other contracts: what it has counts, but how far it goes
// does not, since that release may have left out what this one would keep.
func TestSnapshotFileOfOtherContracts(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "directory")
	save(t, path, 1, tenantRecord(1, tenant("acme-eu")))
	data := read(t, path)
	data[15] ^= 1 // The last byte of the schema.
	sum := sha256.Sum256(data[:len(data)-sha256.Size])
	write(t, path, append(data[:len(data)-sha256.Size], sum[:]...))
	loaded, err := directory.LoadSnapshot(path, new(collector))
	if err != nil || loaded.Refused != nil || loaded.Records != 1 || loaded.Positions != nil {
		t.Fatalf("loaded %+v, %v; want one record and no positions", loaded, err)
	}
}

// TestSnapshotFileCrash leaves behind what a save that was cut short would, and loads.
func TestSnapshotFileCrash(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "directory")
	if _, err := directory.LoadSnapshot(path, new(collector)); !errors.Is(err, directory.ErrNoSnapshot) {
		t.Fatalf("no file: %v, want ErrNoSnapshot", err)
	}
	write(t, path+".tmp", []byte("half"))
	if _, err := directory.LoadSnapshot(path, new(collector)); !errors.Is(err, directory.ErrNoSnapshot) {
		t.Fatalf("a temporary file alone: %v, want ErrNoSnapshot", err)
	}
	save(t, path, 1, tenantRecord(1, tenant("first")))
	// Between the two renames of the next save.
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	var got collector
	loaded, err := directory.LoadSnapshot(path, &got)
	if err != nil || loaded.Records != 1 || !errors.Is(loaded.Refused, os.ErrNotExist) {
		t.Fatalf("between the renames: %+v, %v", loaded, err)
	}
	// Both damaged: an error that names each, and nothing given.
	save(t, path, 2, tenantRecord(2, tenant("second")))
	write(t, path, read(t, path)[:20])
	write(t, path+".1", nil)
	got = collector{}
	if _, err := directory.LoadSnapshot(path, &got); !errors.Is(err, directory.ErrTornFile) || len(got.records) > 0 {
		t.Fatalf("both damaged: %v, sink got %v", err, got.records)
	}
}

// TestSnapshotFileFailedSave checks that a save that cannot be finished leaves the file as it was.
func TestSnapshotFileFailedSave(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "directory")
	save(t, path, 1, tenantRecord(1, tenant("first")))
	bad := func() iter.Seq[*directoryv1.Record] {
		return slices.Values([]*directoryv1.Record{tenantRecord(2, tenant("\xff"))}) // Not UTF-8: it does not encode.
	}
	if err := directory.SaveSnapshot(path, positions(2), bad()); err == nil {
		t.Fatal("a record that does not encode was saved")
	}
	if loaded, err := directory.LoadSnapshot(path, new(collector)); err != nil || loaded.Refused != nil || loaded.Positions[0].GetWseq() != 1 {
		t.Fatalf("after a failed save: %+v, %v", loaded, err)
	}
	if err := directory.SaveSnapshot(filepath.Join(path, "no-folder"), nil, bad()); err == nil {
		t.Fatal("a save into no folder succeeded")
	}
}

// FuzzLoadSnapshot gives arbitrary files: they load whole or not at all, and nothing panics.
func FuzzLoadSnapshot(f *testing.F) {
	path := filepath.Join(f.TempDir(), "seed")
	save(f, path, 2, tenantRecord(1, tenant("acme-eu", "acme.example")), keyRecord(2, "acme-eu", "k1", true))
	f.Add(read(f, path))
	f.Add([]byte("DMCLDIR\x01"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "directory")
		write(t, path, data)
		var got collector
		loaded, err := directory.LoadSnapshot(path, &got)
		if err != nil && len(got.records) > 0 {
			t.Fatalf("refused with %v after %d records", err, len(got.records))
		}
		if err == nil && loaded.Records != len(got.records) {
			t.Fatalf("%d records given, %d counted", len(got.records), loaded.Records)
		}
	})
}
