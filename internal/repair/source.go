package repair

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/topology"
)

const (
	// maxFetch is how many entities are fetched at a time.
	maxFetch = 100
	// maxAnswer is the size at which an answer of Fetch takes no more states, in bytes. One more state is at most 160 KiB.
	maxAnswer = 1 << 20
)

// Maker makes what a region may hold of entities. replication.Maker is one.
type Maker interface {
	// State makes what a region may get, under its grant and in a feed, of an entity of the given type as it is stored at home; nil when
	// that is nothing.
	State(
		ctx context.Context, tenant ident.TenantID, feed replicationv1.Feed, grant replication.Grant, entity string, item store.Item,
	) (*replicationv1.State, error)
}

// Fitter says which projection a region gets. residency.Catalog is one.
type Fitter interface {
	// Fitting returns the scope of the projection that a region with a grant gets of an entity; SCOPE_UNSPECIFIED when there is none.
	Fitting(entity string, granted policyv1.Scope) policyv1.Scope
}

// Directory is what is read of the directory.
type Directory interface {
	// Tenant returns a tenant's record; false when the directory here does not have it.
	Tenant(id ident.TenantID) (routing.Tenant, bool)
}

// SourceConfig is what a Source needs. All of it is required.
type SourceConfig struct {
	// Region is the home whose table this is; Topology has it and those who ask.
	Region   ident.RegionID
	Topology *topology.Topology
	// Table is the regional table.
	Table store.Store
	// Directory has the tenants.
	Directory Directory
	// Entities are the entities of the release.
	Entities []protoreflect.MessageDescriptor
	// Fitter and Maker say and make what a region gets of them.
	Fitter Fitter
	Maker  Maker
}

// Source answers what the repairs of other regions ask of a home. It reads, and changes nothing. It is safe for concurrent use, and its
// memory does not grow with the lane.
type Source struct {
	cfg SourceConfig
	// names are the entities' full message names by the prefix of their ids.
	names map[string]string
	self  topology.Index
}

// NewSource returns the source of a region.
func NewSource(cfg SourceConfig) (*Source, error) {
	if cfg.Topology == nil || cfg.Table == nil || cfg.Directory == nil || cfg.Fitter == nil || cfg.Maker == nil {
		return nil, errors.New("repair: Topology, Table, Directory, Fitter and Maker are required")
	}
	self, ok := cfg.Topology.Index(cfg.Region)
	if !ok {
		return nil, errors.New("repair: the region is not in the topology")
	}
	s := &Source{cfg: cfg, self: self, names: make(map[string]string, len(cfg.Entities))}
	for _, md := range cfg.Entities {
		options, ok := residency.EntityOf(md)
		if !ok {
			return nil, fmt.Errorf("repair: %s is not marked as an entity", md.FullName())
		}
		s.names[options.GetIdPrefix()] = string(md.FullName())
	}
	return s, nil
}

// request is one that was let in.
type request struct {
	stream *replicationv1.Stream
	tenant ident.TenantID
	lane   ident.Lane
	grant  replication.Grant
	// q is the position that the lane had before anything else of it was read.
	q ident.Version
}

// admit lets a region in that is granted the stream, and reads the lane's position. It fails with MISROUTED when the tenant is not
// at home here, and with PERMISSION_DENIED when the region may not have the stream.
func (s *Source) admit(ctx context.Context, caller ident.RegionID, stream *replicationv1.Stream) (*request, error) {
	if stream.GetLane() >= ident.Lanes {
		return nil, fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "there is no such lane")
	}
	r := &request{stream: stream, tenant: ident.TenantID(stream.GetTenant()), lane: ident.Lane(stream.GetLane())} //nolint:gosec // checked above
	tenant, known := s.cfg.Directory.Tenant(r.tenant)
	region, in := s.cfg.Topology.Index(caller)
	switch {
	case !known, tenant.Home != s.self, stream.GetOrigin() != string(s.cfg.Region):
		return nil, fault.New(errorsv1.Reason_REASON_MISROUTED, "the tenant is not at home in this region")
	case !in:
		return nil, fault.New(errorsv1.Reason_REASON_PERMISSION_DENIED, "the caller is not a region of the topology")
	}
	if r.grant = replication.GrantOf(s.cfg.Topology, tenant, region); !r.grant.Has(stream.GetFeed()) {
		return nil, fault.New(errorsv1.Reason_REASON_PERMISSION_DENIED, "the region may not have that of the tenant")
	}
	counter, err := s.cfg.Table.Get(ctx, keyspace.Counter(r.tenant, r.lane))
	switch {
	case errors.Is(err, store.ErrNotFound):
		r.q = ident.Version{Epoch: tenant.Epoch} // Nothing was written yet.
	case err != nil:
		return nil, fmt.Errorf("reading the lane's counter: %w", err)
	default:
		r.q = counter.Version
	}
	return r, nil
}

// Digest answers the digests of a range, or its list. It fails as admit does.
func (s *Source) Digest(ctx context.Context, caller ident.RegionID, in *peerv1.DigestRequest) (*peerv1.DigestResponse, error) {
	r, err := s.admit(ctx, caller, in.GetStream())
	if err != nil {
		return nil, err
	}
	if len(in.GetFrom()) > maxID || len(in.GetTo()) > maxID {
		return nil, fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "a bound of the range is too long")
	}
	out := &peerv1.DigestResponse{Epoch: uint64(r.q.Epoch), Seq: uint64(r.q.Seq)}
	var within *window
	if r.stream.GetFeed() == replicationv1.Feed_FEED_STANDBY {
		within = windowOf(in)
	}
	all := newCursor(s.cfg.Table, r.tenant, r.lane, in.GetFrom(), in.GetTo(), within)
	if in.GetList() > 0 {
		return out, s.list(ctx, r, all, out, int(min(in.GetList(), maxList)))
	}
	split := &splitter{feed: r.stream.GetFeed()}
	for {
		h, err := s.next(ctx, r, all)
		if err != nil {
			return nil, err
		}
		if h == nil {
			split.fill(out)
			return out, nil
		}
		split.add(h)
	}
}

// list lists the first entities of a range.
func (s *Source) list(ctx context.Context, r *request, all *cursor, out *peerv1.DigestResponse, limit int) error {
	for {
		h, err := s.next(ctx, r, all)
		switch {
		case err != nil || h == nil:
			return err
		case len(out.GetEntities()) == limit:
			out.More = true
			return nil
		}
		out.Entities = append(out.Entities, listed(h, h.digest(r.stream.GetFeed())))
	}
}

// next returns what the region is to have of the next entity that it may have anything of; nil at the end.
func (s *Source) next(ctx context.Context, r *request, all *cursor) (*held, error) {
	for {
		item, id, ok, err := all.next(ctx)
		if err != nil || !ok {
			return nil, err
		}
		h := &held{id: id, version: item.Version}
		if r.stream.GetFeed() == replicationv1.Feed_FEED_STANDBY {
			return h, nil
		}
		if h.scope = s.cfg.Fitter.Fitting(s.names[keyspace.IDPrefix(id)], r.grant.Scope); h.scope != policyv1.Scope_SCOPE_UNSPECIFIED {
			return h, nil
		}
	}
}

// Fetch answers the states of entities, for the first of the ids alone when all would be too much. It fails as admit does.
func (s *Source) Fetch(ctx context.Context, caller ident.RegionID, in *peerv1.FetchRequest) (*peerv1.FetchResponse, error) {
	r, err := s.admit(ctx, caller, in.GetStream())
	if err != nil {
		return nil, err
	}
	if len(in.GetIds()) == 0 || len(in.GetIds()) > maxFetch {
		return nil, fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "there are no ids, or too many")
	}
	out := &peerv1.FetchResponse{Epoch: uint64(r.q.Epoch), Seq: uint64(r.q.Seq)}
	for size := 0; size < maxAnswer && int(out.GetAnswered()) < len(in.GetIds()); out.Answered++ {
		more, err := s.answer(ctx, r, in.GetIds()[out.GetAnswered()], out)
		if err != nil {
			return nil, err
		}
		size += more
	}
	return out, nil
}

// answer adds what the region is to have under an id to an answer, if there is anything, and returns its size.
func (s *Source) answer(ctx context.Context, r *request, id string, out *peerv1.FetchResponse) (size int, err error) {
	if isRecord(id) {
		record, err := s.record(ctx, r, id)
		if err != nil || record == nil {
			return 0, err
		}
		out.Records = append(out.Records, record)
		return proto.Size(record), nil
	}
	state, err := s.state(ctx, r, id)
	if err != nil || state == nil {
		return 0, err
	}
	out.States = append(out.States, state)
	return proto.Size(state), nil
}

// record reads an idempotency record; nil when there is none.
func (s *Source) record(ctx context.Context, r *request, id string) (*replicationv1.Idempotency, error) {
	if !comparedIn(id, r.lane) || r.stream.GetFeed() != replicationv1.Feed_FEED_STANDBY {
		return nil, fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "an id is not one of the stream")
	}
	hash, _ := hashOf(id)
	item, err := s.cfg.Table.Get(ctx, idempotency.Key(r.tenant, hash))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil //nolint:nilnil // said above
	}
	if err != nil {
		return nil, fmt.Errorf("reading an idempotency record: %w", err)
	}
	return &replicationv1.Idempotency{KeyHash: hash[:], Record: item.Value, ExpireTime: timestamppb.New(item.Expires)}, nil
}

// state makes what the region is to have of an entity; nil when that is nothing.
func (s *Source) state(ctx context.Context, r *request, id string) (*replicationv1.State, error) {
	if id == "" || len(id) > maxID || keyspace.LaneOf(id) != r.lane {
		return nil, fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "an id is not one of the lane")
	}
	item, err := s.cfg.Table.Get(ctx, keyspace.Entity(r.tenant, id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil //nolint:nilnil // said above
	}
	if err != nil {
		return nil, fmt.Errorf("reading an entity: %w", err)
	}
	name, known := s.names[keyspace.IDPrefix(id)]
	if !known && r.stream.GetFeed() == replicationv1.Feed_FEED_STANDBY {
		// Without a state the standby would remove its copy.
		return nil, errors.New("repair: an entity of a type that this release does not know")
	}
	state, err := s.cfg.Maker.State(ctx, r.tenant, r.stream.GetFeed(), r.grant, name, item)
	if err != nil {
		return nil, fmt.Errorf("making a state: %w", err)
	}
	return state, nil
}
