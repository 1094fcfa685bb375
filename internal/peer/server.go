package peer

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	"github.com/domicile-api/domicile/gen/domicile/peer/v1/peerv1connect"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/topology"
)

// Replicated is the state of one item of the directory's table as its writer has it.
type Replicated struct {
	// Item is the item; only its Key counts if it was deleted.
	Item store.Item
	// Deleted says that there is none.
	Deleted bool
	// Time is when it was written, in nanoseconds since 1970 by the clock of Writer.
	Time   int64
	Writer ident.RegionID
}

// Inbox is a queue that other regions may send to.
type Inbox struct {
	// Queue takes the messages.
	Queue queue.Queue
	// AnyRegion says that any region may send, since what the queue holds is GLOBAL. Otherwise only those of the same jurisdiction may.
	AnyRegion bool
	// From says which region a message's own words are from; empty when they do not say. What names another region than the caller is
	// refused: whatever reads the message later believes it. Nil: messages do not say.
	From func(body []byte) ident.RegionID
}

// KeyAcceptor takes tenants' keys; seal.Keyring is one.
type KeyAcceptor interface {
	// Accept takes a key that another region of the jurisdiction delivers.
	Accept(ctx context.Context, d seal.Delivery) error
}

// Source answers what repairs ask of a home. The request is well formed and the caller known; whether it may have the stream is for the
// Source to say.
type Source interface {
	// Digest answers the digest of a range of a lane.
	Digest(ctx context.Context, caller ident.RegionID, r *peerv1.DigestRequest) (*peerv1.DigestResponse, error)
	// Fetch answers the present state of entities, for the first of the ids alone when all would be beyond MaxAnswerBytes.
	Fetch(ctx context.Context, caller ident.RegionID, r *peerv1.FetchRequest) (*peerv1.FetchResponse, error)
}

// Operator does what an operator asks of a region through another.
type Operator interface {
	// Operate does it; the request is not empty. It is called at least once for what the operator asks once.
	Operate(ctx context.Context, caller ident.RegionID, r *peerv1.OperateRequest) (*peerv1.OperateResponse, error)
}

// ServerConfig is what a region does for others. A nil part is UNSUPPORTED.
type ServerConfig struct {
	// Region is the one that answers; Topology has it. Required.
	Region   ident.RegionID
	Topology *topology.Topology
	// Replica takes items of the directory and returns when they are durable. It is called by several goroutines.
	Replica func(ctx context.Context, r Replicated) error
	// Queues are those that others may send to, by name.
	Queues map[string]Inbox
	// Keys takes tenants' keys.
	Keys KeyAcceptor
	// Source answers repairs.
	Source Source
	// Operator serves operators.
	Operator Operator
	// Clock is what others compare their clocks with; nil: they are not told.
	Clock func() time.Time
}

// Server is what a region does for others. Whatever is not well formed, and whatever the caller may not do, is refused before anything
// is done:
//
//   - A queue is reached by its name in Queues; one whose content is above GLOBAL by regions of the same jurisdiction.
//   - Keys are taken from regions of the same jurisdiction. Digests and states of the standby's feed go to them alone.
//
// A caller that is not in the topology is refused.
type Server struct {
	cfg  ServerConfig
	here topology.Index
}

var _ peerv1connect.PeerServiceHandler = (*Server)(nil)

// concurrentItems is how many items of a Replicate are applied at once, so that the store's syncs are shared.
const concurrentItems = 16

// NewServer returns a server.
func NewServer(cfg ServerConfig) (*Server, error) {
	if cfg.Topology == nil {
		return nil, errConfig
	}
	here, ok := cfg.Topology.Index(cfg.Region)
	if !ok {
		return nil, errConfig
	}
	return &Server{cfg: cfg, here: here}, nil
}

// Replicate implements PeerServiceHandler. When it fails, some of the items may have been applied.
func (s *Server) Replicate(ctx context.Context, r *peerv1.ReplicateRequest) (*peerv1.ReplicateResponse, error) {
	caller, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	if s.cfg.Replica == nil {
		return nil, unsupported()
	}
	items := make([]Replicated, 0, len(r.GetItems()))
	if len(r.GetItems()) == 0 || len(r.GetItems()) > MaxItems {
		return nil, invalid("there are no items, or too many")
	}
	for _, in := range r.GetItems() {
		item, err := s.replicated(s.cfg.Topology.ID(caller), in)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return &peerv1.ReplicateResponse{}, s.apply(ctx, items)
}

// apply returns the first item's failure, when all have ended.
func (s *Server) apply(ctx context.Context, items []Replicated) error {
	if len(items) == 1 {
		return s.cfg.Replica(ctx, items[0])
	}
	var wg sync.WaitGroup
	errs := make([]error, len(items))
	free := make(chan struct{}, concurrentItems)
	for i, item := range items {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			errs[i] = s.cfg.Replica(ctx, item)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Send implements PeerServiceHandler.
func (s *Server) Send(ctx context.Context, r *peerv1.SendRequest) (*peerv1.SendResponse, error) {
	caller, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	if r.GetQueue() == "" && len(r.GetMessages()) == 0 {
		return s.sendAnswer(nil), nil // It asks for the time.
	}
	inbox, ok := s.cfg.Queues[r.GetQueue()]
	switch {
	case !ok:
		return nil, fault.New(errorsv1.Reason_REASON_NOT_FOUND, "there is no such queue for other regions")
	case !inbox.AnyRegion && !s.cfg.Topology.SameJurisdiction(caller, s.here):
		return nil, fault.New(errorsv1.Reason_REASON_PERMISSION_DENIED, "the queue is for regions of the jurisdiction alone")
	}
	messages, err := outgoingMessages(r.GetMessages())
	if err != nil {
		return nil, err
	}
	if inbox.From != nil {
		for _, m := range messages {
			if from := inbox.From(m.Body); from != ident.NoRegion && from != s.cfg.Topology.ID(caller) {
				return nil, fault.New(errorsv1.Reason_REASON_PERMISSION_DENIED, "a message says that it is from another region")
			}
		}
	}
	for i := range messages {
		// Each region has groups of its own: what one sends that cannot be applied holds up nothing of another's.
		messages[i].Group = string(s.cfg.Topology.ID(caller)) + "/" + messages[i].Group
	}
	failed, err := inbox.Queue.Send(ctx, messages)
	if err != nil {
		return nil, err
	}
	results := make([]string, len(messages))
	for i, err := range failed {
		results[i] = nameOf(err)
	}
	return s.sendAnswer(results), nil
}

// sendAnswer says what became of messages, and the time here.
func (s *Server) sendAnswer(results []string) *peerv1.SendResponse {
	answer := &peerv1.SendResponse{Errors: results}
	if s.cfg.Clock != nil {
		answer.Now = timestamppb.New(s.cfg.Clock())
	}
	return answer
}

// DeliverKey implements PeerServiceHandler.
func (s *Server) DeliverKey(ctx context.Context, r *peerv1.DeliverKeyRequest) (*peerv1.DeliverKeyResponse, error) {
	caller, err := s.caller(ctx)
	switch {
	case err != nil:
		return nil, err
	case s.cfg.Keys == nil:
		return nil, unsupported()
	case !s.cfg.Topology.SameJurisdiction(caller, s.here):
		return nil, fault.New(errorsv1.Reason_REASON_PERMISSION_DENIED, "keys are taken from regions of the jurisdiction alone")
	}
	if err := checkKey(r); err != nil {
		return nil, err
	}
	return &peerv1.DeliverKeyResponse{}, s.cfg.Keys.Accept(ctx, seal.Delivery{
		Key: &storagev1.WrappedKey{
			Tenant: r.GetTenant(), Generation: r.GetGeneration(), Wrapped: r.GetWrapped(), CreateTime: r.GetCreateTime(),
		},
		Epoch: ident.Epoch(r.GetEpoch()), Ready: r.GetReady(),
	})
}

// Digest implements PeerServiceHandler.
func (s *Server) Digest(ctx context.Context, r *peerv1.DigestRequest) (*peerv1.DigestResponse, error) {
	caller, err := s.source(ctx, r.GetStream())
	if err != nil {
		return nil, err
	}
	if len(r.GetFrom()) > maxID || len(r.GetTo()) > maxID {
		return nil, invalid("a bound of the range is too long")
	}
	return s.cfg.Source.Digest(ctx, caller, r)
}

// Fetch implements PeerServiceHandler.
func (s *Server) Fetch(ctx context.Context, r *peerv1.FetchRequest) (*peerv1.FetchResponse, error) {
	caller, err := s.source(ctx, r.GetStream())
	if err != nil {
		return nil, err
	}
	if len(r.GetIds()) == 0 || len(r.GetIds()) > MaxFetch {
		return nil, invalid("there are no ids, or too many")
	}
	for _, id := range r.GetIds() {
		if id == "" || len(id) > maxID {
			return nil, invalid("an id is empty or too long")
		}
	}
	return s.cfg.Source.Fetch(ctx, caller, r)
}

// Operate implements PeerServiceHandler.
func (s *Server) Operate(ctx context.Context, r *peerv1.OperateRequest) (*peerv1.OperateResponse, error) {
	caller, err := s.caller(ctx)
	switch {
	case err != nil:
		return nil, err
	case s.cfg.Operator == nil:
		return nil, unsupported()
	case r.GetRequest() == nil:
		return nil, invalid("nothing is asked for, or what this release does not know")
	}
	return s.cfg.Operator.Operate(ctx, s.cfg.Topology.ID(caller), r)
}

// caller returns the region that calls.
func (s *Server) caller(ctx context.Context) (topology.Index, error) {
	region, ok := Caller(ctx)
	if !ok {
		return topology.NoRegion, fault.New(errorsv1.Reason_REASON_CREDENTIAL_MISSING, "nobody is proven to call")
	}
	i, ok := s.cfg.Topology.Index(region)
	if !ok {
		return topology.NoRegion, fault.New(errorsv1.Reason_REASON_CREDENTIAL_INVALID, "the caller is not a region of the topology")
	}
	return i, nil
}

func unsupported() error {
	return fault.New(errorsv1.Reason_REASON_UNSUPPORTED, "this process of the region does not do that")
}

func invalid(message string) error {
	return fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "%s", message)
}
