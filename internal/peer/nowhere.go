package peer

import (
	"context"
	"fmt"

	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	"github.com/domicile-api/domicile/gen/domicile/peer/v1/peerv1connect"
)

// nowhere is the client of a region that the topology does not have.
type nowhere struct{}

var (
	_ peerv1connect.PeerServiceClient = nowhere{}

	errNowhere = fmt.Errorf("%w: the topology does not have it", ErrUnreachable)
)

// Replicate implements PeerServiceClient.
func (nowhere) Replicate(context.Context, *peerv1.ReplicateRequest) (*peerv1.ReplicateResponse, error) {
	return nil, errNowhere
}

// Send implements PeerServiceClient.
func (nowhere) Send(context.Context, *peerv1.SendRequest) (*peerv1.SendResponse, error) {
	return nil, errNowhere
}

// DeliverKey implements PeerServiceClient.
func (nowhere) DeliverKey(context.Context, *peerv1.DeliverKeyRequest) (*peerv1.DeliverKeyResponse, error) {
	return nil, errNowhere
}

// Digest implements PeerServiceClient.
func (nowhere) Digest(context.Context, *peerv1.DigestRequest) (*peerv1.DigestResponse, error) {
	return nil, errNowhere
}

// Fetch implements PeerServiceClient.
func (nowhere) Fetch(context.Context, *peerv1.FetchRequest) (*peerv1.FetchResponse, error) {
	return nil, errNowhere
}

// Operate implements PeerServiceClient.
func (nowhere) Operate(context.Context, *peerv1.OperateRequest) (*peerv1.OperateResponse, error) {
	return nil, errNowhere
}
