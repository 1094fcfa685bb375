//go:build aws

package dynamostore_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/dynamostore"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// control and home are regions of the default topology, each with a replica in these tests.
const (
	control = ident.RegionID("us-east-1")
	home    = ident.RegionID("eu-central-1")
)

func newWriter(table directory.Table, region ident.RegionID) *directory.Writer {
	return directory.NewWriter(directory.WriterConfig{
		Table: table, Region: region, Control: control, Clock: time.Now, Random: rand.Reader,
	})
}

func tenantNamed(id string, hosts ...string) *directoryv1.Record {
	return &directoryv1.Record{Subject: &directoryv1.Record_Tenant{Tenant: &tenancyv1.Tenant{
		Id: id, Home: string(home), Epoch: 1, Hosts: hosts, State: tenancyv1.TenantState_TENANT_STATE_ACTIVE,
	}}}
}

func keyOfTenant(id, keyID string) *directoryv1.Record {
	hash := sha256.Sum256([]byte(id + keyID))
	return &directoryv1.Record{Subject: &directoryv1.Record_ApiKey{ApiKey: &directoryv1.ApiKeyVerifier{
		Key: &tenancyv1.ApiKey{Id: keyID, Tenant: id}, Verifier: hash[:],
	}}}
}

func revocation(id, keyID string) *directoryv1.Record {
	return &directoryv1.Record{Subject: &directoryv1.Record_Revocation{Revocation: &directoryv1.Revocation{
		Tenant: id, KeyId: keyID, RevokeTime: timestamppb.Now(),
	}}}
}

func write(t *testing.T, w *directory.Writer, r *directoryv1.Record) *directoryv1.Record {
	t.Helper()
	written, err := w.Write(t.Context(), func(context.Context, directory.View) (*directoryv1.Record, error) { return r, nil })
	if err != nil {
		t.Fatalf("writing %v: %v", r, err)
	}
	return written
}

// follow returns a follower that has read all there is.
func follow(t *testing.T, table directory.Table, sink directory.Sink) *directory.Follower {
	t.Helper()
	f := directory.NewFollower(directory.FollowerConfig{
		Table: table, Writers: topologyfile.Default().IDs(), Control: control, Sink: sink, Interval: dynamostore.DirectoryInterval,
	})
	if err := f.Poll(t.Context()); err != nil {
		t.Fatalf("following: %v", err)
	}
	return f
}

func newIndex() *directory.Index {
	return directory.NewIndex(directory.IndexConfig{Topology: topologyfile.Default()})
}

func readLog(t *testing.T, table directory.Table, writer ident.RegionID) []*directoryv1.Record {
	t.Helper()
	page, err := table.Query(t.Context(), store.Query{Partition: "w/" + string(writer)})
	if err != nil || page.More {
		t.Fatalf("reading the log: %v, more: %v", err, page.More)
	}
	log := make([]*directoryv1.Record, 0, len(page.Items))
	for _, item := range page.Items {
		r := new(directoryv1.Record)
		if err := proto.Unmarshal(item.Value, r); err != nil {
			t.Fatal(err)
		}
		log = append(log, r)
	}
	return log
}

// TestDirectoryWriterRaces lets two processes of the control region race for the numbers of its log, and for one host, while each other
// region writes a log of its own. Nothing is lost, nothing is there twice, and every region's follower comes to the end of all.
func TestDirectoryWriterRaces(t *testing.T) {
	t.Parallel()
	tables := openDirectories(t, nil)
	const writes = 8
	errTaken := errors.New("the host is another's")
	var mu sync.Mutex
	acknowledged, taken := make(map[uint64]string), 0
	var all sync.WaitGroup
	for p := range 2 {
		all.Go(func() {
			w := newWriter(tables[0], control) // One of its own: they share nothing but the table.
			for n := range writes {
				host := fmt.Sprintf("h%d.example", n)
				r, err := w.Write(t.Context(), func(ctx context.Context, v directory.View) (*directoryv1.Record, error) {
					if owner, err := v.HostOwner(ctx, host); err != nil || owner != "" {
						return nil, errors.Join(err, errTaken)
					}
					return tenantNamed(fmt.Sprintf("t%d-%d", p, n), host), nil
				})
				mu.Lock()
				switch {
				case errors.Is(err, errTaken):
					taken++
				case err != nil:
					t.Errorf("process %d, write %d: %v", p, n, err)
				default:
					acknowledged[r.GetWseq()] = r.GetTenant().GetId()
				}
				mu.Unlock()
			}
		})
	}
	for i, region := range directoryRegions()[1:] {
		all.Go(func() {
			w := newWriter(tables[i+1], ident.RegionID(region))
			for n := range writes {
				write(t, w, revocation("acme", fmt.Sprintf("k%d-%d", i, n)))
			}
		})
	}
	all.Wait()
	log := readLog(t, tables[1], control)
	if len(log) != writes || taken != writes {
		t.Errorf("%d records, %d refused; want %d of each", len(log), taken, writes)
	}
	for i, r := range log {
		if r.GetWseq() != uint64(i+1) || acknowledged[r.GetWseq()] != r.GetTenant().GetId() {
			t.Errorf("record %d of the log has number %d and is %s, acknowledged as %s", i+1, r.GetWseq(), r.GetTenant().GetId(), acknowledged[r.GetWseq()])
		}
	}
	for i, region := range directoryRegions() {
		x := newIndex()
		f := follow(t, tables[i], x)
		for _, writer := range directoryRegions() {
			if got := f.Position(ident.RegionID(writer)); got != writes {
				t.Errorf("%s has come to %d of %s, want %d", region, got, writer, writes)
			}
		}
		for n := range writes {
			id, _, ok := x.Host(fmt.Sprintf("h%d.example", n))
			if !ok || !slices.Contains([]ident.TenantID{ident.TenantID(fmt.Sprintf("t0-%d", n)), ident.TenantID(fmt.Sprintf("t1-%d", n))}, id) {
				t.Errorf("%s: host %d is %q's, %v", region, n, id, ok)
			}
		}
	}
}

// dyingTable is one that a process dies at after a number of commits.
type dyingTable struct {
	directory.Table

	commits int
}

var errDead = errors.New("the process is dead")

func (d *dyingTable) Commit(ctx context.Context, c store.Commit) error {
	if d.commits--; d.commits < 0 {
		return errDead
	}
	return d.Table.Commit(ctx, c)
}

// TestDirectoryWriterCrash lets a writer die after each of its commits: when the record is in the log and no state item, some, or all are
// there. The next writer of the region, or its sweeper, does the rest.
func TestDirectoryWriterCrash(t *testing.T) {
	t.Parallel()
	tables := openDirectories(t, nil)
	const commits = 4 // The record, two hosts, the tenant.
	for died := 1; died <= commits; died++ {
		id := fmt.Sprintf("t%d", died)
		hosts := []string{"a." + id + ".example", "b." + id + ".example"}
		dying := newWriter(&dyingTable{Table: tables[0], commits: died}, control)
		if got := write(t, dying, tenantNamed(id, hosts...)); got.GetWseq() != uint64(2*died-1) {
			t.Fatalf("after %d commits: number %d", died, got.GetWseq())
		}
		reader := directory.NewReader(directory.ReaderConfig{Table: tables[2], Control: control, Regions: topologyfile.Default().IDs()})
		if before, err := reader.GetTenant(t.Context(), ident.TenantID(id)); err != nil || (before != nil) != (died == commits) {
			t.Errorf("after %d commits the tenant is %v, %v", died, before, err)
		}
		if died%2 == 0 {
			if _, err := newWriter(tables[0], control).Sweep(t.Context(), 1000); err != nil {
				t.Fatal(err)
			}
			write(t, newWriter(tables[0], control), tenantNamed("other"))
		} else {
			write(t, newWriter(tables[0], control), tenantNamed("other"))
		}
		after, err := reader.GetTenant(t.Context(), ident.TenantID(id))
		if err != nil || after.GetId() != id {
			t.Errorf("after %d commits and another writer the tenant is %v, %v", died, after, err)
		}
		for _, host := range hosts {
			if owner, err := reader.HostOwner(t.Context(), host); err != nil || owner != ident.TenantID(id) {
				t.Errorf("after %d commits and another writer the host %s is %q's, %v", died, host, owner, err)
			}
		}
	}
}

// TestDirectorySweeper writes until snapshots were published and the log pruned. A follower that begins then, one that was far behind, and
// one that came along all come to the same state, in each region.
func TestDirectorySweeper(t *testing.T) {
	t.Parallel()
	tables := openDirectories(t, nil)
	regions := directoryRegions()
	along := make([]*directory.Index, len(regions))
	followers := make([]*directory.Follower, len(regions))
	w := newWriter(tables[0], control)
	const writes, every = 24, 8
	var published, pruned int
	for n := range writes {
		write(t, w, tenantNamed(fmt.Sprintf("t%d", n%7), fmt.Sprintf("h%d.example", n%5)))
		if n == 2 {
			for i := range regions {
				along[i] = newIndex()
				followers[i] = follow(t, tables[i], along[i]) // The first three records, and nothing more until the end.
			}
		}
		report, err := w.Sweep(t.Context(), every)
		if err != nil {
			t.Fatal(err)
		}
		pruned += report.Pruned
		if report.Published {
			published++
		}
	}
	if log := readLog(t, tables[0], control); published < 2 || pruned == 0 || log[0].GetWseq() <= 3 {
		t.Fatalf("%d published, %d pruned, the log begins at %d", published, pruned, log[0].GetWseq())
	}
	for i, region := range regions {
		fresh := newIndex()
		if got := follow(t, tables[i], fresh).Position(control); got != writes {
			t.Errorf("%s: a new follower comes to %d of %d", region, got, writes)
		}
		if err := followers[i].Poll(t.Context()); err != nil || followers[i].Position(control) != writes {
			t.Errorf("%s: a follower that was behind comes to %d of %d, %v", region, followers[i].Position(control), writes, err)
		}
		for n := range 5 {
			host := fmt.Sprintf("h%d.example", n)
			a, _, okA := fresh.Host(host)
			b, _, okB := along[i].Host(host)
			if a != b || okA != okB || fresh.Len() != 7 || along[i].Len() != 7 {
				t.Errorf("%s: host %s is %q's for a new follower, %q's for the other; %d and %d tenants", region, host, a, b, fresh.Len(), along[i].Len())
			}
		}
	}
}

// TestDirectoryRevocation revokes a key at its tenant's home: running followers in all regions, and a process without one, refuse it
// from then on. How long that took is logged; the emulator says nothing about replication.
func TestDirectoryRevocation(t *testing.T) {
	t.Parallel()
	tables := openDirectories(t, nil)
	w := newWriter(tables[0], control)
	write(t, w, tenantNamed("acme", "acme.example"))
	write(t, w, keyOfTenant("acme", "k1"))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	indexes := make([]*directory.Index, len(tables))
	followers := make([]*directory.Follower, len(tables))
	through := make([]*directory.ReadThrough, len(tables))
	for i, table := range tables {
		indexes[i] = newIndex()
		followers[i] = follow(t, table, indexes[i])
		running.Go(func() { _ = followers[i].Run(ctx) })
		through[i] = directory.NewReadThrough(directory.ReadThroughConfig{Table: table, Topology: topologyfile.Default(), Clock: time.Now})
		if v, ok, err := through[i].KeyVerifier(ctx, "acme", "k1"); err != nil || !ok || v.Revoked {
			t.Errorf("before, by reading through: %+v %v %v", v, ok, err)
		}
		if v, ok := indexes[i].KeyVerifier("acme", "k1"); !ok || v.Revoked {
			t.Errorf("before, by following: %+v %v", v, ok)
		}
	}
	begin := time.Now()
	write(t, newWriter(tables[1], home), revocation("acme", "k1"))
	for i, region := range directoryRegions() {
		if err := followers[i].WaitFor(ctx, home, 1); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: followed after %v", region, time.Since(begin).Round(time.Millisecond))
		if v, ok := indexes[i].KeyVerifier("acme", "k1"); !ok || !v.Revoked {
			t.Errorf("%s: by following: %+v %v; want revoked", region, v, ok)
		}
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i, region := range directoryRegions() {
		for {
			v, ok, err := through[i].KeyVerifier(ctx, "acme", "k1")
			if err != nil || !ok {
				t.Fatalf("%s: by reading through: %v %v", region, ok, err)
			}
			if v.Revoked {
				break
			}
			<-tick.C
		}
		t.Logf("%s: read through after %v", region, time.Since(begin).Round(time.Millisecond))
	}
}
