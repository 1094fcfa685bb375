// Package repair compares a region's copy of a tenant's lane with its home and brings it to what the home has: after a message was
// lost, when a region is new or was away for too long, and on a schedule, in case.
//
// It is range-based set reconciliation (A. Meyer, Range-Based Set Reconciliation, SRDS 2023), the idea of Merkle trees between replicas
// (DeCandia et al., Dynamo, SOSP 2007) without a tree to maintain: the home answers the digests of some ranges of ids, and the region asks
// again only for those that differ, until a range is short enough to be listed.
//
// It promises:
//
//   - Every answer of the home names a position q that the home had reached before it read what it answers. A repair never replaces,
//     removes or creates anything on the word of an older q than the Target allows, so that writers go on meanwhile and nothing is
//     lost or comes back.
//   - A repair that ends without an error has compared the whole lane: the copy is complete as of the q of its first answer.
//   - A repair that is interrupted has done no harm, and what it did stays done: the next one finds fewer differences.
//   - What a verification reports was different, and was still so when the stream had passed the position at which it was found, or
//     had not passed it in the time that it was given.
//   - An answer that cannot be a home's is refused before anything of it is used.
//
// DESIGN.md beside this file has the failure modes and the designs that were rejected.
package repair

import (
	"context"
	"errors"

	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/replication"
)

// Home is what a repair asks of a home. A client of domicile.peer.v1.PeerService is one.
type Home interface {
	// Digest answers the digest of a range of a lane.
	Digest(ctx context.Context, r *peerv1.DigestRequest) (*peerv1.DigestResponse, error)
	// Fetch answers the present state of entities.
	Fetch(ctx context.Context, r *peerv1.FetchRequest) (*peerv1.FetchResponse, error)
}

// Target takes in what a repair found. replication.Applier is one. Its methods may be called by several goroutines.
type Target interface {
	// ApplyStates applies what the home had at position q or later. A state replaces what is here in an older version, in the same
	// version if the grant or the judgement has changed since, and in any version that is not later than q and that the home does not
	// have. It creates nothing if the watermark is beyond q, and says so. Absence removes what is here of an entity in a version
	// that is not later than q, at which the home did not have it. It returns the fate of each change.
	ApplyStates(ctx context.Context, s *replicationv1.Stream, changes []replication.Change, q ident.Version) ([]replication.Fate, error)
	// Began returns what Complete is to be given at the end of a repair of a tenant's lane that begins now.
	Began(tenant ident.TenantID) uint64
	// Complete notes that the copy of the lane is complete as of q: the watermark is at least that. replication.ErrRefused says that the
	// region may not have the lane, or that copies of the tenant were removed since the repair began.
	Complete(ctx context.Context, s *replicationv1.Stream, q ident.Version, began uint64) error
}

// Kind is how an entity differs from its home.
type Kind string

// The kinds, as domicile.operations.v1.Difference names them.
const (
	// Missing: the home has it, the copy does not.
	Missing Kind = "missing"
	// Surplus: the copy has it, the home does not.
	Surplus Kind = "surplus"
	// Different: the copy has it in another version or to another extent.
	Different Kind = "different"
	// NotCompared: the lane could not be compared.
	NotCompared Kind = "not compared"
)

// Difference is an entity that is not the same in the copy as at its home.
type Difference struct {
	ID   string
	Kind Kind

	// remote is the entity's listing at home; nil when it is not there.
	remote *peerv1.EntityDigest
	// q is the position of that answer.
	q ident.Version
}

// Result is what a comparison or a repair of a lane found.
type Result struct {
	// Q is the position that the lane was compared as of.
	Q ident.Version
	// Differences are the first of them, in the order of their ids, and Count how many there are.
	Differences []Difference
	Count       uint64
	// Repaired is how many of them a repair settled.
	Repaired uint64
	// Entities is how many the copy had in the lane, with idempotency records; Bytes what was received from the home, Requests how often it was asked.
	Entities, Bytes, Requests uint64
	// Complete, of a verification, says that the region answered for the lane as of Q when that was asked: it has heard of it, no repair is
	// owed, and the stream has come as far.
	Complete bool
}

var (
	// ErrNonsense says that a home answered what no home answers. Nothing of that answer was used.
	ErrNonsense = errors.New("repair: the home's answer makes no sense")
	// ErrUnfinished says that a repair did what it could and is not complete: writers were faster, or the region has to learn
	// something else first. To try again later helps.
	ErrUnfinished = errors.New("repair: not complete yet")
	// ErrNotHome says that the directory here names another home than the stream's origin, or an older ownership than the answer.
	ErrNotHome = errors.New("repair: the directory does not have that home, or not yet")
)

// maxID bounds the id of an entity, in bytes.
const maxID = 256
