package idempotency

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/store"
)

// sealType is what a stored answer is bound to besides its tenant and key.
const sealType = "domicile.storage.v1.IdempotencyRecord"

// Config is what Records need.
type Config struct {
	// Store is the region's regional table.
	Store store.Store
	// Sealer seals the stored answers.
	Sealer seal.Sealer
	// Jurisdiction is the region's; each record is tagged with it.
	Jurisdiction ident.Jurisdiction
	// Clock says when a record was made and so when it expires.
	Clock func() time.Time
}

// Records are the idempotency records of one region. All methods are safe for concurrent use.
type Records struct {
	cfg Config
}

var _ Replayer = (*Records)(nil)

// New returns the records of a region. All fields of the configuration are required.
func New(cfg Config) *Records { return &Records{cfg: cfg} }

// Replay implements Replayer. It reads one item, and opens the answer only when the request is the same.
func (r *Records) Replay(ctx context.Context, c *call.Call) (answer []byte, found bool, err error) {
	if c == nil || c.Operation == nil || c.Tenant == "" {
		return nil, false, nil
	}
	item, err := r.cfg.Store.Get(ctx, Key(c.Tenant, c.Operation.KeyHash))
	if errors.Is(err, store.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading the idempotency record: %w", err)
	}
	var rec storagev1.IdempotencyRecord
	if err := proto.Unmarshal(item.Value, &rec); err != nil {
		return nil, false, fmt.Errorf("decoding the idempotency record: %w", err)
	}
	if string(rec.GetRequestHash()) != string(c.Operation.RequestHash[:]) {
		return nil, false, fault.New(errorsv1.Reason_REASON_IDEMPOTENCY_MISMATCH, "the idempotency key was used for another request")
	}
	answer, err = r.cfg.Sealer.Open(ctx, bind(c.Tenant, c.Operation.KeyHash), rec.GetSealedAnswer())
	if err != nil {
		return nil, false, fmt.Errorf("opening the stored answer: %w", err)
	}
	c.Replayed = true
	c.Committed = &call.Write{
		Epoch: ident.Epoch(rec.GetEpoch()), Seq: ident.Seq(rec.GetSeq()),
		Lane: ident.Lane(rec.GetLane()), //nolint:gosec // a lane is below 8
	}
	return answer, true, nil
}

// Op returns the operation that stores an answer, to be committed together with the write that it answers for. It fails its
// condition when another call with the key has committed. The answer must have no SECRET fields.
func (r *Records) Op(ctx context.Context, tenant ident.TenantID, o call.Operation, w call.Write, answer []byte) (store.Op, error) {
	sealed, err := r.cfg.Sealer.Seal(ctx, bind(tenant, o.KeyHash), answer)
	if err != nil {
		return store.Op{}, fmt.Errorf("sealing the answer: %w", err)
	}
	now := r.cfg.Clock()
	value, err := proto.Marshal(&storagev1.IdempotencyRecord{
		RequestHash: o.RequestHash[:], Epoch: uint64(w.Epoch), Lane: uint32(w.Lane), Seq: uint64(w.Seq),
		SealedAnswer: sealed, CreateTime: timestamppb.New(now),
	})
	if err != nil {
		return store.Op{}, fmt.Errorf("encoding the idempotency record: %w", err)
	}
	return store.Op{Kind: store.Put, If: store.Absent(), Item: store.Item{
		Key:     Key(tenant, o.KeyHash),
		Version: ident.Version{Epoch: w.Epoch, Seq: w.Seq},
		Tag:     store.Tag{Tenant: tenant, Class: store.ClassPII, Jurisdiction: r.cfg.Jurisdiction},
		Expires: now.Add(Lifetime),
		Value:   value,
	}}, nil
}

// Copy returns the item of a record that another region made, for the region that is to replay it one day. version is that of the
// write which the record answers for, jurisdiction that of the tenant's home.
func Copy(
	tenant ident.TenantID, keyHash [32]byte, version ident.Version, jurisdiction ident.Jurisdiction, expires time.Time, record []byte,
) store.Item {
	return store.Item{
		Key: Key(tenant, keyHash), Version: version, Expires: expires, Value: record,
		Tag: store.Tag{Tenant: tenant, Class: store.ClassPII, Jurisdiction: jurisdiction},
	}
}

func bind(tenant ident.TenantID, keyHash [32]byte) seal.Bind {
	return seal.Bind{Tenant: tenant, Type: sealType, ID: hex.EncodeToString(keyHash[:])}
}
