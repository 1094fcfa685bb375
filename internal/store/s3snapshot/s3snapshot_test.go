package s3snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/store/s3snapshot"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// tenants makes records of so many tenants.
func tenants(n int) iter.Seq[*directoryv1.Record] {
	return func(yield func(*directoryv1.Record) bool) {
		for i := range n {
			if !yield(&directoryv1.Record{Writer: "us-east-1", Wseq: uint64(i + 1), Subject: &directoryv1.Record_Tenant{Tenant: &tenancyv1.Tenant{
				Id: fmt.Sprintf("customer-%d", i), Home: "eu-central-1", Epoch: 1, State: tenancyv1.TenantState_TENANT_STATE_ACTIVE,
			}}}) {
				return
			}
		}
	}
}

// at are positions: us-east-1's and eu-central-1's.
func at(us, eu uint64) []*directoryv1.Position {
	return []*directoryv1.Position{{Writer: "us-east-1", Wseq: us}, {Writer: "eu-central-1", Wseq: eu}}
}

type collector struct{ records []*directoryv1.Record }

func (c *collector) Apply(records []*directoryv1.Record) {
	for _, r := range records {
		c.records = append(c.records, proto.CloneOf(r))
	}
}

func load(t *testing.T, c directory.Copy) (directory.Loaded, []*directoryv1.Record) {
	t.Helper()
	var got collector
	loaded, err := c.Load(t.Context(), &got)
	if err != nil {
		t.Fatalf("loading: %v", err)
	}
	return loaded, got.records
}

func save(t *testing.T, c directory.Copy, us, eu uint64, n int) {
	t.Helper()
	if err := c.Save(t.Context(), at(us, eu), tenants(n)); err != nil {
		t.Fatalf("saving: %v", err)
	}
}

// checkKept checks what a copy has.
func checkKept(t *testing.T, c directory.Copy, us, eu uint64, n int) {
	t.Helper()
	loaded, got := load(t, c)
	want := slices.Collect(tenants(n))
	if diff := cmp.Diff(at(us, eu), loaded.Positions, protocmp.Transform()); diff != "" {
		t.Errorf("positions (-want +got):\n%s", diff)
	}
	if loaded.Records != n || !slices.EqualFunc(want, got, func(a, b *directoryv1.Record) bool { return proto.Equal(a, b) }) {
		t.Errorf("%d records, %d counted; want %d, the same", len(got), loaded.Records, n)
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	s := &smallS3{saved: time.Unix(1_700_000_000, 0)}
	c := newCopy(t, s)
	for i, n := range []int{0, 1, 10_000} {
		save(t, c, uint64(i+1), 5, n)
		checkKept(t, c, uint64(i+1), 5, n)
	}
	if loaded, _ := load(t, c); !loaded.Saved.Equal(s.saved) {
		t.Errorf("saved at %v, want %v", loaded.Saved, s.saved)
	}
}

// TestLeavesNothing checks that no file is left where snapshots pass through.
func TestLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newCopyIn(t, &smallS3{}, dir)
	save(t, c, 1, 1, 10)
	load(t, c)
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestOnlyNewer saves what goes less far than what is kept, or as far, or further for one writer and less for another: it stays.
func TestOnlyNewer(t *testing.T) {
	t.Parallel()
	s := &smallS3{}
	c := newCopy(t, s)
	save(t, c, 10, 10, 3)
	for _, other := range [][2]uint64{{9, 10}, {10, 9}, {10, 10}, {20, 9}, {0, 0}} {
		before := len(s.asked())
		if err := c.Save(t.Context(), at(other[0], other[1]), tenants(5)); !errors.Is(err, directory.ErrNotNewer) {
			t.Errorf("%v: %v; want ErrNotNewer", other, err)
		}
		if got := s.asked()[before:]; !slices.Equal(got, []string{http.MethodHead}) {
			t.Errorf("%v: requests %v; want one look", other, got)
		}
	}
	checkKept(t, c, 10, 10, 3)
	if err := c.Save(t.Context(), at(11, 10)[:1], tenants(5)); !errors.Is(err, directory.ErrNotNewer) {
		t.Errorf("a writer missing: %v; want ErrNotNewer", err)
	}
	save(t, c, 10, 11, 4)
	checkKept(t, c, 10, 11, 4)
}

// TestForeignMetadata replaces an object that says nothing readable of how far it goes, and one of a release with other contracts that
// goes as far.
func TestForeignMetadata(t *testing.T) {
	t.Parallel()
	for name, metadata := range map[string]http.Header{
		"none":            {},
		"not a number":    {"X-Amz-Meta-Positions": {"us-east-1=x"}},
		"other contracts": {"X-Amz-Meta-Positions": {"us-east-1=10,eu-central-1=10"}, "X-Amz-Meta-Contracts": {"0000"}},
		"no positions":    {"X-Amz-Meta-Positions": {""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCopy(t, &smallS3{object: []byte("something"), metadata: metadata})
			save(t, c, 10, 10, 3)
			checkKept(t, c, 10, 10, 3)
		})
	}
}

// TestRace lets another process save between the look and the put: the newer one stays, whoever was first.
func TestRace(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		rival uint64
		want  error
	}{"an older rival": {5, nil}, "a newer rival": {20, directory.ErrNotNewer}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &smallS3{}
			c := newCopy(t, s)
			save(t, c, 1, 1, 1)
			rival := &smallS3{}
			save(t, newCopy(t, rival), tc.rival, 1, 2)
			once := true
			s.before = func(r *http.Request) {
				if r.Method == http.MethodPut && once {
					once = false
					s.mu.Lock()
					s.object, s.metadata = rival.object, rival.metadata
					s.mu.Unlock()
				}
			}
			if err := c.Save(t.Context(), at(10, 1), tenants(3)); !errors.Is(err, tc.want) {
				t.Errorf("saving: %v; want %v", err, tc.want)
			}
			if tc.want == nil {
				checkKept(t, c, 10, 1, 3)
			} else {
				checkKept(t, c, tc.rival, 1, 2)
			}
		})
	}
}

// TestBusy gives up when another process saves each time.
func TestBusy(t *testing.T) {
	t.Parallel()
	s := &smallS3{}
	c := newCopy(t, s)
	n := 0
	s.before = func(r *http.Request) {
		if r.Method == http.MethodPut {
			s.mu.Lock()
			n++
			s.object, s.metadata = fmt.Appendf(nil, "other %d", n), http.Header{}
			s.mu.Unlock()
		}
	}
	if err := c.Save(t.Context(), at(1, 1), tenants(1)); err == nil || !strings.Contains(err.Error(), "at the same time") {
		t.Errorf("saving: %v", err)
	}
}

// TestLostAnswer loses the answer of a put: the error says so, and the next save finds that the snapshot is there.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	s := &smallS3{loseAnswer: true}
	c := newCopy(t, s)
	if err := c.Save(t.Context(), at(1, 1), tenants(2)); !errors.Is(err, errLost) {
		t.Errorf("saving: %v", err)
	}
	if err := c.Save(t.Context(), at(1, 1), tenants(2)); !errors.Is(err, directory.ErrNotNewer) {
		t.Errorf("saving again: %v; want ErrNotNewer", err)
	}
	checkKept(t, c, 1, 1, 2)
}

// TestTransferBreaksOff loads in spite of transfers that end half way, and fails if all do, having given nothing.
func TestTransferBreaksOff(t *testing.T) {
	t.Parallel()
	s := &smallS3{}
	c := newCopy(t, s)
	save(t, c, 1, 1, 100)
	s.cut = 2
	checkKept(t, c, 1, 1, 100)
	s.cut = 3
	var got collector
	if _, err := c.Load(t.Context(), &got); err == nil || len(got.records) > 0 {
		t.Errorf("loading: %v, and %d records", err, len(got.records))
	}
}

// TestDamage loads objects that were cut, altered, or are something else: a typed error, and not one record.
func TestDamage(t *testing.T) {
	t.Parallel()
	s := &smallS3{}
	c := newCopy(t, s)
	save(t, c, 1, 1, 3)
	whole := s.object
	flipped := slices.Clone(whole)
	flipped[len(whole)/2] ^= 1
	for name, tc := range map[string]struct {
		object []byte
		want   error
	}{
		"cut": {whole[:len(whole)-7], directory.ErrTornFile}, "cut to its head": {whole[:9], directory.ErrTornFile}, "empty": {[]byte{}, directory.ErrTornFile},
		"altered": {flipped, directory.ErrTornFile}, "grown": {append(slices.Clone(whole), 0), directory.ErrTornFile},
		"something else": {[]byte("<html>"), directory.ErrForeignFile},
	} {
		s.object = tc.object
		var got collector
		if _, err := c.Load(t.Context(), &got); !errors.Is(err, tc.want) || len(got.records) > 0 {
			t.Errorf("%s: %v, and %d records; want %v and none", name, err, len(got.records), tc.want)
		}
	}
}

// TestErrors checks the types of what S3 refuses.
func TestErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		s          *smallS3
		load, save error
		text       string
	}{
		"no object":      {&smallS3{}, directory.ErrNoSnapshot, nil, ""},
		"access denied":  {&smallS3{refuse: "AccessDenied", status: http.StatusForbidden}, directory.ErrCopyDenied, directory.ErrCopyDenied, "domicile-snapshots"},
		"expired":        {&smallS3{refuse: "ExpiredToken", status: http.StatusForbidden}, directory.ErrCopyDenied, directory.ErrCopyDenied, ""},
		"no such bucket": {&smallS3{refuse: "NoSuchBucket", status: http.StatusNotFound}, nil, nil, "bucket does not exist"},
		"failing":        {&smallS3{refuse: "InternalError", status: http.StatusInternalServerError}, nil, nil, "loading s3://domicile-snapshots/directory.snapshot"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCopy(t, tc.s)
			var got collector
			_, err := c.Load(t.Context(), &got)
			if err == nil || tc.load != nil && !errors.Is(err, tc.load) || !strings.Contains(err.Error(), tc.text) || len(got.records) > 0 {
				t.Errorf("loading: %v; want %v, with %q", err, tc.load, tc.text)
			}
			if err := c.Save(t.Context(), at(1, 1), tenants(1)); (err == nil) != (name == "no object") || tc.save != nil && !errors.Is(err, tc.save) {
				t.Errorf("saving: %v; want %v", err, tc.save)
			}
		})
	}
}

// TestEnds checks that an ended context ends both.
func TestEnds(t *testing.T) {
	t.Parallel()
	c := newCopy(t, &smallS3{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Load(ctx, new(collector)); !errors.Is(err, context.Canceled) {
		t.Errorf("loading: %v", err)
	}
	if err := c.Save(ctx, at(1, 1), tenants(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("saving: %v", err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if _, err := s3snapshot.New(s3snapshot.Config{Bucket: "b"}); err == nil {
		t.Error("made without a client")
	}
	if _, err := s3snapshot.New(s3snapshot.Config{Client: s3.New(s3.Options{})}); err == nil {
		t.Error("made without a bucket")
	}
}

// TestReplicaStarts starts a process from the copy in the bucket: without a table, from a stale one, from a damaged one with a table
// and without.
func TestReplicaStarts(t *testing.T) {
	t.Parallel()
	s := &smallS3{saved: time.Now().Add(-24 * time.Hour)}
	c := newCopy(t, s)
	save(t, c, 3, 1, 3)
	var log strings.Builder
	open := func(table directory.Table) (*directory.Replica, error) {
		return directory.OpenReplica(t.Context(), directory.ReplicaConfig{
			Table: table, Topology: topologyfile.Default(), Copy: c, CopyReadOnly: true, Clock: time.Now, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
	}
	replica, err := open(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, known, err := replica.Resolver.ResolveTenant(t.Context(), "customer-2"); !known || err != nil {
		t.Errorf("a tenant in the copy: %v %v", known, err)
	}
	if !strings.Contains(log.String(), "copy is old") {
		t.Errorf("nothing is said of a copy of yesterday: %s", log.String())
	}
	s.object = s.object[:len(s.object)-1]
	if _, err := open(nil); !errors.Is(err, directory.ErrTornFile) {
		t.Errorf("a damaged copy and no table: %v", err)
	}
	if _, err := open(noTable{}); err != nil || !strings.Contains(log.String(), "reading the table") {
		t.Errorf("a damaged copy and a table: %v, %s", err, log.String())
	}
}

// noTable is a table that nobody asks.
type noTable struct{ directory.Table }

// TestSpoolFolder fails clearly where there is no room for a snapshot.
func TestSpoolFolder(t *testing.T) {
	t.Parallel()
	c, err := s3snapshot.New(s3snapshot.Config{
		Bucket: "b", Client: s3.New(s3.Options{}), Dir: filepath.Join(t.TempDir(), "missing"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Load(t.Context(), new(collector)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("loading: %v", err)
	}
}
