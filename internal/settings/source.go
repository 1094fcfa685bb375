package settings

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
)

const (
	// maxListed is how many namespaces an answer lists.
	maxListed = 500
	// maxFetched is the size at which an answer takes no more namespaces, in bytes. One more is at most MaxMergedBytes.
	maxFetched = 1 << 20
)

// Source answers what Menders of other regions ask of this one: the digests of a tenant's namespaces, and their states. It reads, and changes
// nothing. It is safe for concurrent use.
type Source struct {
	settings *Settings
	tenants  Tenants
}

// NewSource returns the source of a region.
func NewSource(s *Settings, tenants Tenants) *Source { return &Source{s, tenants} }

// admit refuses what is not asked of this region, or of a tenant that the region keeps nothing of.
func (s *Source) admit(stream *replicationv1.Stream) (ident.TenantID, error) {
	tenant := ident.TenantID(stream.GetTenant())
	switch {
	case stream.GetOrigin() != string(s.settings.cfg.Region) || stream.GetLane() != 0:
		return "", fault.New(errorsv1.Reason_REASON_MISROUTED, "the stream is another region's")
	case !s.tenants.Kept(tenant):
		return "", fault.New(errorsv1.Reason_REASON_TENANT_UNKNOWN, "no such tenant is known in this region")
	}
	return tenant, nil
}

// Digest answers one digest of all namespaces, or the digests of those in a range of names when a list is asked for. Namespaces without
// entries count for nothing. The position is that of the region's stream before the first was read.
func (s *Source) Digest(ctx context.Context, _ ident.RegionID, r *peerv1.DigestRequest) (*peerv1.DigestResponse, error) {
	tenant, err := s.admit(r.GetStream())
	if err != nil {
		return nil, err
	}
	end, err := s.settings.end(ctx, tenant, nil)
	if err != nil {
		return nil, err
	}
	out := &peerv1.DigestResponse{Epoch: uint64(Epoch), Seq: uint64(end.version.Seq)}
	if r.GetList() == 0 {
		sum, count, err := s.settings.digestAll(ctx, tenant, nil)
		if err != nil {
			return nil, err
		}
		out.Ranges = []*peerv1.RangeDigest{{Count: count, Digest: sum}}
		return out, nil
	}
	// A list goes on after a name that was listed: from the first string that follows it.
	after, goesOn := strings.CutSuffix(r.GetFrom(), "\x00")
	if r.GetFrom() != "" && !goesOn || r.GetTo() != "" {
		return nil, fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "a list of namespaces begins at the first or goes on after one")
	}
	most := min(int(r.GetList()), maxListed)
	out.More, err = s.settings.each(ctx, tenant, after, func(n *namespace) (bool, error) {
		if len(n.stored.GetState().GetEntries()) == 0 {
			return true, nil
		}
		if len(out.GetEntities()) == most {
			return false, nil
		}
		digest, err := digestOf(n.stored.GetState())
		out.Entities = append(out.GetEntities(), &peerv1.EntityDigest{Id: n.name, Digest: digest})
		return true, err
	})
	return out, err
}

// Fetch answers the states of namespaces. One that is not there is answered too: as empty.
func (s *Source) Fetch(ctx context.Context, _ ident.RegionID, r *peerv1.FetchRequest) (*peerv1.FetchResponse, error) {
	tenant, err := s.admit(r.GetStream())
	if err != nil {
		return nil, err
	}
	end, err := s.settings.end(ctx, tenant, nil)
	if err != nil {
		return nil, err
	}
	out, size := &peerv1.FetchResponse{Epoch: uint64(Epoch), Seq: uint64(end.version.Seq)}, 0
	for _, name := range r.GetIds() {
		if err := checkName(name); err != nil {
			return nil, err
		}
		state, err := s.settings.Tell(ctx, tenant, name)
		if err != nil {
			return nil, err
		}
		value, err := encode(state)
		if err != nil {
			return nil, err
		}
		out.States = append(out.GetStates(), &replicationv1.State{Entity: Entity, Id: name, Clear: value})
		out.Answered++
		if size += len(value); size >= maxFetched {
			break
		}
	}
	return out, nil
}

// digestOf is the digest of what a namespace shows and of what its merges need. What a region knows to be gone does not count: regions that
// agree may remember it differently.
func digestOf(state *settingsv1.State) ([]byte, error) {
	value, err := encode(&settingsv1.State{Entries: state.GetEntries()})
	sum := sha256.Sum256(value)
	return sum[:], err
}

// digestAll returns the digest of all namespaces that have entries, and how many there are; each, if given, gets theirs.
func (s *Settings) digestAll(
	ctx context.Context, tenant ident.TenantID, each func(name string, digest []byte),
) (sum []byte, count uint64, err error) {
	h := sha256.New()
	_, err = s.each(ctx, tenant, "", func(n *namespace) (bool, error) {
		if len(n.stored.GetState().GetEntries()) == 0 {
			return true, nil
		}
		digest, err := digestOf(n.stored.GetState())
		if err != nil {
			return false, err
		}
		count++
		// A hash never fails.
		_, _ = h.Write(binary.AppendUvarint(nil, uint64(len(n.name))))
		_, _ = h.Write([]byte(n.name))
		_, _ = h.Write(digest)
		if each != nil {
			each(n.name, digest)
		}
		return true, nil
	})
	return h.Sum(nil), count, err
}

// decode reads a state that another region has told.
func decode(value []byte) (*settingsv1.State, error) {
	state := &settingsv1.State{}
	if proto.Unmarshal(value, state) != nil {
		return nil, ErrInvalid // The parser's own words could show content.
	}
	return state, nil
}
