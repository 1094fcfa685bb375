package directory_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/directory"
	faults "github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/residency"
)

// TestOnlyGlobal walks everything that a record or a snapshot can hold: the directory goes everywhere, so all of it is GLOBAL.
func TestOnlyGlobal(t *testing.T) {
	t.Parallel()
	seen := make(map[protoreflect.FullName]bool)
	var walk func(protoreflect.MessageDescriptor)
	walk = func(m protoreflect.MessageDescriptor) {
		if seen[m.FullName()] {
			return
		}
		seen[m.FullName()] = true
		if m.ParentFile().Package() == "google.protobuf" {
			if m.FullName() != "google.protobuf.Timestamp" {
				t.Errorf("the directory reaches %s, which can hold anything", m.FullName())
			}
			return
		}
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			if class := residency.ClassOf(f); class != policyv1.DataClass_DATA_CLASS_GLOBAL {
				t.Errorf("%s is %v", f.FullName(), class)
			}
			if f.Message() != nil {
				walk(f.Message())
			}
		}
	}
	walk((&directoryv1.Record{}).ProtoReflect().Descriptor())
	walk((&directoryv1.Snapshot{}).ProtoReflect().Descriptor())
	if !seen["domicile.tenancy.v1.Tenant"] || !seen["domicile.directory.v1.Repetition"] {
		t.Errorf("the walk saw only %v", seen)
	}
}

func open(t testing.TB, table directory.Table, path string) (*directory.Replica, error) {
	t.Helper()
	return directory.OpenReplica(t.Context(), directory.ReplicaConfig{
		Table: table, Topology: topo(), Path: path, HostSuffixes: []string{"localhost"}, Clock: clock,
	})
}

// TestReplicaKeepsItsCopy follows a table, lets the copy be saved, and starts again from the copy alone.
func TestReplicaKeepsItsCopy(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "directory")
	synctest.Test(t, func(t *testing.T) {
		table := openTable(t)
		replica, err := open(t, table, path)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- replica.Run(ctx) }()
		mustWrite(t, table, control, tenantRecord(0, tenant("acme-eu", "acme.example")))
		mustWrite(t, table, frankfurt, revocationRecord("", 0, "acme-eu", "k1"))
		if err := errors.Join(
			replica.Follower.WaitFor(ctx, control, 1), replica.Follower.WaitFor(ctx, frankfurt, 1),
		); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("saved before anything has settled: %v", err)
		}
		time.Sleep(2 * directory.DefaultSettle) // Of the bubble's clock.
		synctest.Wait()
		var got collector
		if loaded, err := directory.LoadSnapshot(path, &got); err != nil || len(loaded.Positions) != 2 || len(got.records) != 2 {
			t.Errorf("after settling: %+v, %v", loaded, err)
		}
		// A change just before the end is saved at the end.
		mustWrite(t, table, control, tenantRecord(0, tenant("bank-eu")))
		if err := replica.Follower.WaitFor(ctx, control, 2); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
	alone, err := open(t, nil, path)
	if err != nil {
		t.Fatal(err)
	}
	if id, _, ok, err := alone.Resolver.ResolveHost(t.Context(), "acme.example"); id != "acme-eu" || !ok || err != nil {
		t.Errorf("host from the copy: %q %v %v", id, ok, err)
	}
	if _, ok, err := alone.Resolver.ResolveTenant(t.Context(), "bank-eu"); !ok || err != nil {
		t.Errorf("tenant from the copy: %v %v", ok, err)
	}
	if _, _, err := alone.Resolver.ResolveTenant(t.Context(), "new"); !faults.Is(err, errorsv1.Reason_REASON_REGION_UNAVAILABLE) {
		t.Errorf("unknown tenant: %v, want REGION_UNAVAILABLE", err)
	}
}

// TestReplicaStartsInSpiteOfItsCopy damages the copy: with a table it is made up for, without one it is refused.
func TestReplicaStartsInSpiteOfItsCopy(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "directory")
	table := openTable(t)
	mustWrite(t, table, control, tenantRecord(0, tenant("acme-eu")))
	if _, err := open(t, nil, path); !errors.Is(err, directory.ErrNoSnapshot) {
		t.Errorf("neither table nor copy: %v", err)
	}
	write(t, path, []byte("DMCLDIR\x01 torn"))
	if _, err := open(t, nil, path); !errors.Is(err, directory.ErrTornFile) {
		t.Errorf("a torn copy and no table: %v", err)
	}
	replica, err := open(t, table, path)
	if err != nil {
		t.Fatal(err)
	}
	if err := replica.Follower.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := replica.Index.Tenant("acme-eu"); !ok {
		t.Error("the table does not make up for the torn copy")
	}
}

// TestReplicaGoesOnFromItsCopy checks that a start from the copy reads only what came since.
func TestReplicaGoesOnFromItsCopy(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "directory")
	table := openTable(t)
	mustWrite(t, table, control, tenantRecord(0, tenant("acme-eu")))
	save(t, path, 1, tenantRecord(1, tenant("acme-eu")))
	mustWrite(t, table, control, tenantRecord(0, tenant("bank-eu")))
	var also collector
	replica, err := directory.OpenReplica(t.Context(), directory.ReplicaConfig{
		Table: table, Topology: topo(), Path: path, Clock: clock, Also: &also,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := replica.Follower.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(also.records) != 1 || also.records[0].GetTenant().GetId() != "bank-eu" || replica.Index.Len() != 2 {
		t.Fatalf("applied %v, %d tenants; want bank-eu alone, 2 tenants", also.records, replica.Index.Len())
	}
}

// TestReplicaSavesWhenTold polls and saves by steps, as a process does that is woken now and then. One that may only read the copy
// starts from it and keeps none.
func TestReplicaSavesWhenTold(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "directory")
	table := openTable(t)
	mustWrite(t, table, control, tenantRecord(0, tenant("acme-eu")))
	none, err := open(t, table, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := none.SaveCopy(t.Context()); err != nil {
		t.Errorf("without a copy: %v", err)
	}
	replica, err := open(t, table, path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(replica.Follower.Poll(t.Context()), replica.SaveCopy(t.Context())); err != nil {
		t.Fatal(err)
	}
	before := read(t, path)
	synctest.Test(t, func(t *testing.T) {
		table := openTable(t)
		reader, err := directory.OpenReplica(t.Context(), directory.ReplicaConfig{
			Table: table, Topology: topo(), Copy: directory.FileCopy{Path: path}, CopyReadOnly: true, Clock: clock,
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := reader.Index.Tenant("acme-eu"); !ok {
			t.Error("the copy was not read")
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- reader.Run(ctx) }()
		mustWrite(t, table, frankfurt, revocationRecord("", 0, "acme-eu", "k1"))
		if err := reader.Follower.WaitFor(ctx, frankfurt, 1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // Of the bubble's clock.
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
	if !bytes.Equal(before, read(t, path)) {
		t.Error("a process that may only read the copy has written it")
	}
}

// TestReplicaLateWriter checks the hook by which the region that writes need not wait for its own follower.
func TestReplicaLateWriter(t *testing.T) {
	t.Parallel()
	table := openTable(t)
	x := newIndex()
	w := directory.NewWriter(directory.WriterConfig{
		Table: table, Region: frankfurt, Control: control, Clock: clock, Random: zeros{},
		Applied: func(r *directoryv1.Record) { x.Apply([]*directoryv1.Record{r}) },
	})
	x.Apply([]*directoryv1.Record{keyRecord(1, "acme-eu", "k1", false)})
	if _, err := w.Write(t.Context(), always(revocationRecord("", 0, "acme-eu", "k1"))); err != nil {
		t.Fatal(err)
	}
	if v, ok := x.KeyVerifier("acme-eu", "k1"); !ok || !v.Revoked {
		t.Fatalf("key %+v %v, want revoked at once", v, ok)
	}
}

// zeros is not random.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
