package entity_test

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/domicile-api/domicile/entity"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
)

// No byte of a field that is not GLOBAL is in any row, key or file, whatever was done with it.
func TestNothingGuardedIsStoredInTheClear(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	db, err := pebblestore.OpenMemory(pebblestore.Config{Dir: "/data", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, db.Table, nil, entity.Tuning{})
	canary := func(n int, name string) string { return fmt.Sprintf("CaNaRy%s%d", name, n) }
	fill := func(n int) *profilev1.User {
		return &profilev1.User{
			GivenName: canary(n, "given"), FamilyName: canary(n, "family"), Email: canary(n, "mail") + "@example.org",
			Phone: "+4999988877" + strconv.Itoa(n), RegulatedNote: canary(n, "note"), Locale: "de-DE", Handle: "clear-handle",
			PostalAddress: &profilev1.PostalAddress{
				Lines: []string{canary(n, "line")}, Locality: canary(n, "city"), AdministrativeArea: canary(n, "area"),
				PostalCode: canary(n, "zip"), Country: "DE",
			},
		}
	}
	ctx, _ := keyed(acme, "create", "r")
	made := w.mustCreate(ctx, fill(1))
	ctx, _ = keyed(acme, "update", "r")
	if _, err := entity.Update(ctx, w.users, made.GetId(), entity.Change[*profilev1.User]{Apply: func(u *profilev1.User) error {
		u.ProtoReflect().SetUnknown(unknownField(98, canary(2, "unknown")))
		return entity.ApplyMask(u, fill(2), nil)
	}}, itself); err != nil {
		t.Fatal(err)
	}
	ctx, _ = keyed(acme, "delete", "r")
	if _, err := entity.Delete(ctx, w.users, w.mustCreate(as(acme), fill(3)).GetId(), "", itself); err != nil {
		t.Fatal(err)
	}
	if _, err := w.users.Lookup(as(acme), "email", fill(2).GetEmail()); err != nil {
		t.Fatal(err)
	}

	rows := read(t, w.table, acme)
	if len(rows.entities) != 1 || len(rows.records) != 3 || len(rows.lookups) != 1 {
		t.Fatalf("%d entities, %d records, %d lookups", len(rows.entities), len(rows.records), len(rows.lookups))
	}
	sawClear := false
	for _, item := range rows.items {
		all := []byte(item.Key.Partition + item.Key.Sort + string(item.Value))
		if found := leak(all); found != "" {
			t.Errorf("row %q holds %q", item.Key, found)
		}
		sawClear = sawClear || bytes.Contains(all, []byte("clear-handle"))
		if item.Tag.Tenant != acme || item.Tag.Jurisdiction != jurisdiction || item.Tag.Class < store.ClassGlobal {
			t.Errorf("row %q is tagged %+v", item.Key, item.Tag)
		}
	}
	if !sawClear {
		t.Error("not even a GLOBAL field is found: this test would find nothing")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	files := everyFile(t, fs, "/")
	if !bytes.Contains(files, []byte("clear-handle")) {
		t.Error("no file holds the GLOBAL field: this test would find nothing")
	}
	if found := leak(files); found != "" {
		t.Errorf("a file holds %q", found)
	}
}

// leak returns a canary in b, in any case of letters.
func leak(b []byte) string {
	lower := bytes.ToLower(b)
	for _, canary := range []string{"canary", "+4999988877", "example.org"} {
		if bytes.Contains(lower, []byte(canary)) {
			return canary
		}
	}
	return ""
}

// everyFile returns the bytes of all files below a folder.
func everyFile(t *testing.T, fs vfs.FS, dir string) []byte {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		info, err := fs.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			all = append(all, everyFile(t, fs, path)...)
			continue
		}
		f, err := fs.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		all = append(all, content...)
	}
	return all
}
