package app

import (
	"context"
	"crypto/rand"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
)

// purges counts what was asked to be purged.
type purges int

func (p *purges) Purge(context.Context, ident.TenantID) error {
	*p++
	return nil
}

// Where keys have backups, a tenant's keys and rows are gone at once, and it is called erased when the backups have ended.
func TestErasedWhenBackupsHaveEnded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	db, err := pebblestore.OpenMemory(pebblestore.Config{Clock: clock, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	const region = ident.RegionID("us-east-1")
	table := db.Table(DirectoryTable)
	writer := directory.NewWriter(directory.WriterConfig{
		Table: table, Region: region, Control: region, Clock: clock, Random: rand.Reader, Logger: slog.New(slog.DiscardHandler),
	})
	_, err = writer.Write(t.Context(), func(context.Context, directory.View) (*directoryv1.Record, error) {
		return &directoryv1.Record{Subject: &directoryv1.Record_Tenant{Tenant: &tenancyv1.Tenant{
			Id: "gone", Home: string(region), Epoch: 1, State: tenancyv1.TenantState_TENANT_STATE_PURGED, UpdateTime: timestamppb.New(now),
		}}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var keys, rows purges
	reader := directory.NewReader(directory.ReaderConfig{Table: table, Control: region, Regions: []ident.RegionID{region}})
	e := newEraser(region, clock, slog.New(slog.DiscardHandler))
	e.reader, e.writer, e.keys, e.rows, e.backups = reader, writer, &keys, &rows, 24*time.Hour
	e.add("gone")
	erased := func() bool {
		t.Helper()
		e.eraseWaiting(t.Context())
		done, err := reader.Erasures(t.Context(), "gone")
		if err != nil {
			t.Fatal(err)
		}
		return len(done) > 0
	}
	if erased() || keys != 1 || rows != 1 {
		t.Errorf("right after the purge: keys purged %d times, rows %d", keys, rows)
	}
	now = now.Add(23 * time.Hour)
	if erased() || keys != 1 {
		t.Errorf("before the backups end: keys purged %d times", keys)
	}
	now = now.Add(time.Hour)
	if !erased() {
		t.Error("the backups have ended, and the tenant is not erased")
	}
}
