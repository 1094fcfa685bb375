package scenarios

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/topology"
)

// errNetwork says that a call got no answer: whether it arrived is not known.
var errNetwork = errors.New("no answer came")

// link is one direction between two regions.
type link struct{ from, to topology.Index }

// network is what lies between the regions. A call that gets no answer may have arrived, may never, or may arrive later: after others that were
// made after it, and once more.
type network struct {
	w *world
	// cut are the directions in which nothing passes.
	cut map[link]bool
	// bad is how often, out of 100, something happens to a call.
	bad int
	// flying are requests whose callers have given up waiting.
	flying []flight
}

// flight is a request on its way.
type flight struct {
	name    string
	to      *region
	arrive  func()
	arrived int
}

// passes tells whether a message gets from one region to another.
func (n *network) passes(from, to *region) bool {
	return from == to || !n.cut[link{from.index, to.index}]
}

// do makes a call from one region to another: arrive is the request's effect at the other side, which may take place any number of times.
func (n *network) do(name string, from, to *region, arrive func() error) error {
	if !n.passes(from, to) {
		return errNetwork
	}
	fate := 100
	if n.bad > 0 && from != to {
		fate = n.w.draw(100)
	}
	late := func() { _ = arrive() }
	switch {
	case fate < n.bad/3: // It never arrives.
		n.w.notef("%s %s to %s is lost", name, from.id, to.id)
		return errNetwork
	case fate < n.bad*2/3: // It arrives later.
		n.w.notef("%s %s to %s is late", name, from.id, to.id)
		n.flying = append(n.flying, flight{name: name, to: to, arrive: late})
		return errNetwork
	case fate < n.bad: // It arrives now, and the same once more later.
		n.flying = append(n.flying, flight{name: name, to: to, arrive: late})
	}
	if !to.up {
		return errNetwork
	}
	err := arrive()
	if !n.passes(to, from) || fate >= n.bad && n.bad > 0 && n.w.draw(100) < n.bad/3 {
		n.w.notef("the answer to %s %s to %s is lost", name, from.id, to.id)
		return errNetwork
	}
	return err
}

// land lets a request arrive that was late; it may fly on, to arrive again.
func (n *network) land(i int, again bool) {
	f := &n.flying[i]
	f.arrived++
	arrive, to, name := f.arrive, f.to, f.name
	if !again || f.arrived > 2 {
		n.flying = append(n.flying[:i:i], n.flying[i+1:]...)
	}
	if to.up {
		n.w.notef("%s arrives late at %s", name, to.id)
		arrive()
	}
}

// sender is what a region's relay and apply send with.
type sender struct {
	region *region
	// relay says that it is the relay's: other things may happen while a batch is on its way. Apply holds locks then.
	relay bool
}

// Send implements replication.Sender.
func (s sender) Send(ctx context.Context, id ident.RegionID, name string, messages []queue.Outgoing) (failed []error, err error) {
	from := s.region
	index, _ := theTopology().Index(id)
	to := from.w.regions[index]
	for i := range messages {
		messages[i].Body = from.spoken(to, messages[i].Body)
	}
	if s.relay {
		from.w.meanwhile()
	}
	crashed := from.fuse.effect(func() {
		err = from.w.net.do(fmt.Sprintf("a batch of %d for %s from", len(messages), name), from, to, func() error {
			q, known := to.queues[name]
			if !known {
				return errNetwork
			}
			var err error
			if failed, err = q.main.Send(ctx, messages); err == nil {
				to.remember(name, messages)
			}
			return err
		})
	})
	if crashed != nil {
		return nil, crashed
	}
	if err != nil {
		return nil, err
	}
	return failed, nil
}

// letter is a message that a region's queue had.
type letter struct {
	queue, group string
	body         []byte
}

// remember keeps some of the messages that came, for an operator to put back what he thinks is dead.
func (r *region) remember(name string, messages []queue.Outgoing) {
	for _, m := range messages {
		r.letters = append(r.letters, letter{name, m.Group, m.Body})
	}
}

// spoken is what a region says in a message: a newer release has more in its projections, a broken one has what is forbidden.
func (r *region) spoken(to *region, body []byte) []byte {
	if len(r.release.adds) == 0 && !r.broken {
		return body
	}
	var e replicationv1.Envelope
	if err := proto.Unmarshal(body, &e); err != nil {
		return body
	}
	if !r.speak(e.GetEvent().GetStream(), e.GetEvent().GetState(), true) {
		return body
	}
	if r.broken {
		r.w.notef("%s sends what is forbidden to %s: %s at %d", r.id, to.id, e.GetEvent().GetState().GetId(), e.GetEvent().GetState().GetSeq())
	}
	return encoded(&e)
}

// speak changes a state as the region's release says it.
func (r *region) speak(s *replicationv1.Stream, state *replicationv1.State, event bool) bool {
	if state == nil || s.GetFeed() != replicationv1.Feed_FEED_PROJECTIONS {
		return false
	}
	state.Clear = append(state.GetClear(), r.release.adds...)
	if event && r.broken {
		state.Clear = append(state.GetClear(), forbidden()...)
	}
	return true
}

func encoded(m proto.Message) []byte {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err)
	}
	return raw
}

// home is what a region's repairs ask another region with.
type home struct{ from, to *region }

// Digest implements repair.Home.
func (h home) Digest(ctx context.Context, in *peerv1.DigestRequest) (*peerv1.DigestResponse, error) {
	var out *peerv1.DigestResponse
	err := h.from.w.net.do("a digest for", h.from, h.to, func() (err error) {
		out, err = h.to.source.Digest(ctx, h.from.id, in)
		return err
	})
	h.from.w.meanwhile()
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Fetch implements repair.Home.
func (h home) Fetch(ctx context.Context, in *peerv1.FetchRequest) (*peerv1.FetchResponse, error) {
	var out *peerv1.FetchResponse
	err := h.from.w.net.do("a fetch for", h.from, h.to, func() (err error) {
		out, err = h.to.source.Fetch(ctx, h.from.id, in)
		for _, state := range out.GetStates() {
			h.to.speak(in.GetStream(), state, false)
		}
		return err
	})
	h.from.w.meanwhile()
	if err != nil {
		return nil, err
	}
	return out, nil
}
