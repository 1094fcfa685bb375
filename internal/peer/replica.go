package peer

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/types/known/timestamppb"

	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// maxItemsBytes bounds what one Replicate carries, an item that is larger by itself apart.
const maxItemsBytes = 512 << 10

// replicated is any type that is made as Replicated is. So a Replica takes an adapter's own type, and neither package knows
// the other.
type replicated interface {
	~struct {
		Item    store.Item
		Deleted bool
		Time    int64
		Writer  ident.RegionID
	}
}

// Replica is another region's replica of the directory's table: the receiving end of a globaltable.Link, with
// T = globaltable.Replicated.
type Replica[T replicated] struct {
	network Network
	to      ident.RegionID
}

// NewReplica returns the replica of region to.
func NewReplica[T replicated](network Network, to ident.RegionID) *Replica[T] {
	return &Replica[T]{network, to}
}

// Apply returns when the state of an item is durable there.
func (r *Replica[T]) Apply(ctx context.Context, item T) error { return r.ApplyAll(ctx, []T{item}) }

// ApplyAll returns when the states of all items are durable there. When it fails, some may be.
func (r *Replica[T]) ApplyAll(ctx context.Context, items []T) error {
	request, size := &peerv1.ReplicateRequest{}, 0
	for _, item := range items {
		message := replicatedItem(Replicated(item))
		bytes := len(message.GetValue()) + len(message.GetPartition()) + len(message.GetSort())
		if n := len(request.GetItems()); n == MaxItems || n > 0 && size+bytes > maxItemsBytes {
			if err := r.replicate(ctx, request); err != nil {
				return err
			}
			request, size = &peerv1.ReplicateRequest{}, 0
		}
		request.Items = append(request.Items, message)
		size += bytes
	}
	if len(request.GetItems()) == 0 {
		return nil
	}
	return r.replicate(ctx, request)
}

func (r *Replica[T]) replicate(ctx context.Context, request *peerv1.ReplicateRequest) error {
	if _, err := r.network.To(r.to).Replicate(ctx, request); err != nil {
		return fmt.Errorf("telling %s of the directory: %w", r.to, err)
	}
	return nil
}

func replicatedItem(r Replicated) *peerv1.ReplicatedItem {
	out := &peerv1.ReplicatedItem{
		Partition: []byte(r.Item.Key.Partition), Sort: []byte(r.Item.Key.Sort),
		Epoch: uint64(r.Item.Version.Epoch), Seq: uint64(r.Item.Version.Seq),
		Tenant: string(r.Item.Tag.Tenant), Jurisdiction: string(r.Item.Tag.Jurisdiction),
		Value: r.Item.Value, Deleted: r.Deleted, WriteNanos: r.Time, Writer: string(r.Writer),
	}
	if !r.Item.Expires.IsZero() {
		out.ExpireTime = timestamppb.New(r.Item.Expires)
	}
	return out
}
