package peer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	"github.com/domicile-api/domicile/gen/domicile/peer/v1/peerv1connect"
	"github.com/domicile-api/domicile/internal/ident"
)

// maxOvertaken is how many messages of one direction wait to be overtaken; beyond it the oldest is lost.
const maxOvertaken = 64

// InProcess is the network between regions of one process. It is safe for concurrent use. It starts no goroutine and, where the Faults
// have neither distance nor lag, waits for nothing: calls run in the caller's goroutine.
//
// A partition shows at once, as ErrUnreachable, where a real network would be silent until the caller's time is over. If it begins
// while a call is on its way, the call may have taken effect.
type InProcess struct {
	faults *Faults

	mu      sync.Mutex
	members map[ident.RegionID]*member
	// left has the regions that have crashed: what still runs of them reaches nobody.
	left      map[ident.RegionID]bool
	overtaken map[route][]func(context.Context)
}

// member is one incarnation of a region.
type member struct {
	handler peerv1connect.PeerServiceHandler
}

// NewInProcess returns a network that nobody has joined.
func NewInProcess(faults *Faults) *InProcess {
	return &InProcess{
		faults: faults, members: make(map[ident.RegionID]*member), left: make(map[ident.RegionID]bool),
		overtaken: make(map[route][]func(context.Context)),
	}
}

// Join makes a region reachable, in place of what it was before.
func (n *InProcess) Join(region ident.RegionID, handler peerv1connect.PeerServiceHandler) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.members[region] = &member{handler}
	delete(n.left, region)
}

// Leave is the crash of a region: it is not reached any more, reaches nobody until it joins again, and calls that are on their way get
// no answer.
func (n *InProcess) Leave(region ident.RegionID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.members, region)
	n.left[region] = true
}

// From returns what a region sees of the network. Calls to itself meet no fault.
func (n *InProcess) From(region ident.RegionID) Network { return view{n, region} }

// find returns the handler of a region, and nil if there is none or the source has left.
func (n *InProcess) find(r route) *member {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.left[r.source] {
		return nil
	}
	return n.members[r.destination]
}

// hold keeps a message until it is overtaken.
func (n *InProcess) hold(r route, deliver func(context.Context)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.overtaken[r] = append(n.overtaken[r], deliver)
	n.overtaken[r] = n.overtaken[r][max(0, len(n.overtaken[r])-maxOvertaken):]
}

// release delivers what has been overtaken.
func (n *InProcess) release(ctx context.Context, r route) {
	n.mu.Lock()
	held := n.overtaken[r]
	delete(n.overtaken, r)
	n.mu.Unlock()
	for _, deliver := range held {
		deliver(ctx)
	}
}

type view struct {
	net  *InProcess
	from ident.RegionID
}

// To implements Network.
func (v view) To(region ident.RegionID) peerv1connect.PeerServiceClient {
	return &link{net: v.net, route: route{v.from, region}}
}

// link is the client of one region in another.
type link struct {
	net   *InProcess
	route route
}

var _ peerv1connect.PeerServiceClient = (*link)(nil)

// Replicate implements PeerServiceClient.
func (l *link) Replicate(ctx context.Context, r *peerv1.ReplicateRequest) (*peerv1.ReplicateResponse, error) {
	return exchange(ctx, l, r, peerv1connect.PeerServiceHandler.Replicate)
}

// Send implements PeerServiceClient.
func (l *link) Send(ctx context.Context, r *peerv1.SendRequest) (*peerv1.SendResponse, error) {
	return exchange(ctx, l, r, peerv1connect.PeerServiceHandler.Send)
}

// DeliverKey implements PeerServiceClient.
func (l *link) DeliverKey(ctx context.Context, r *peerv1.DeliverKeyRequest) (*peerv1.DeliverKeyResponse, error) {
	return exchange(ctx, l, r, peerv1connect.PeerServiceHandler.DeliverKey)
}

// Digest implements PeerServiceClient.
func (l *link) Digest(ctx context.Context, r *peerv1.DigestRequest) (*peerv1.DigestResponse, error) {
	return exchange(ctx, l, r, peerv1connect.PeerServiceHandler.Digest)
}

// Fetch implements PeerServiceClient.
func (l *link) Fetch(ctx context.Context, r *peerv1.FetchRequest) (*peerv1.FetchResponse, error) {
	return exchange(ctx, l, r, peerv1connect.PeerServiceHandler.Fetch)
}

// Operate implements PeerServiceClient.
func (l *link) Operate(ctx context.Context, r *peerv1.OperateRequest) (*peerv1.OperateResponse, error) {
	return exchange(ctx, l, r, peerv1connect.PeerServiceHandler.Operate)
}

// exchange takes a message there and its answer back.
func exchange[Req, Res proto.Message](
	ctx context.Context, l *link, request Req, method func(peerv1connect.PeerServiceHandler, context.Context, Req) (Res, error),
) (answer Res, err error) {
	sent := proto.CloneOf(request) // The caller may change its own, also while this one waits to be overtaken.
	deliver := func(ctx context.Context) (*member, Res, error) {
		m := l.net.find(l.route)
		if m == nil {
			var none Res
			return nil, none, nil
		}
		answer, err := method(m.handler, WithCaller(ctx, l.route.source), proto.CloneOf(sent))
		return m, answer, err
	}

	there := l.net.faults.draw(l.route.source, l.route.destination)
	if there.lost {
		return answer, l.unreachable()
	}
	if err := l.travel(ctx, there, l.route); err != nil {
		return answer, err
	}
	if there.overtaken {
		l.net.hold(l.route, func(ctx context.Context) { _, _, _ = deliver(ctx) }) // Its caller has given it up.
		return answer, l.unreachable()
	}
	remote, cancel := apart(ctx)
	defer cancel()
	m, answer, err := deliver(remote)
	if there.twice {
		_, _, _ = deliver(remote) // The answer to a copy reaches nobody.
	}
	l.net.release(remote, l.route)

	back := route{l.route.destination, l.route.source}
	fate := l.net.faults.draw(back.source, back.destination)
	var none Res
	if m == nil || fate.lost {
		return none, l.unreachable()
	}
	if err := l.travel(ctx, fate, back); err != nil {
		return none, err
	}
	if l.net.find(l.route) != m {
		return none, l.unreachable()
	}
	if err != nil {
		return none, carry(err)
	}
	return proto.CloneOf(answer), nil
}

// travel takes as long as a message does; it fails when the caller's time is over, or a partition has begun.
func (l *link) travel(ctx context.Context, f fate, r route) error {
	if pause(ctx, f.delay) != nil {
		return ended(ctx)
	}
	if blocked, _ := l.net.faults.blocked(r.source, r.destination); blocked {
		return l.unreachable()
	}
	return nil
}

func (l *link) unreachable() error {
	return fmt.Errorf("%w: %s from %s", ErrUnreachable, l.route.destination, l.route.source)
}

// apart returns a context that ends with the caller's, has its deadline, and has none of its values: those are of another region.
func apart(caller context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	stop := context.AfterFunc(caller, cancel)
	return remote{ctx, caller}, func() {
		stop()
		cancel()
	}
}

// remote has the caller's deadline without a timer of its own, which could end it before the caller's.
type remote struct {
	context.Context //nolint:containedctx // it is a context

	caller context.Context //nolint:containedctx // see above
}

// Deadline implements context.Context.
func (r remote) Deadline() (time.Time, bool) { return r.caller.Deadline() }
