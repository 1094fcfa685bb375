package replication

import (
	"context"
	"errors"
	"fmt"
	"math/bits"

	"google.golang.org/protobuf/proto"

	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// maxAhead bounds the intervals of a watermark; a lane with more gaps is repaired.
const maxAhead = 1024

// maxParts is how many parts a position may have, so that a set of them is a uint64 of bits.
const maxParts = 64

// mark is a stream's watermark in a destination: its version is the end of the gapless prefix. The zero mark is that of a stream
// of which nothing is known. Every number in it is of the version's epoch.
type mark struct {
	storagev1.Watermark

	exists  bool
	version ident.Version
}

// readMark reads the watermark under a key.
func readMark(ctx context.Context, table store.Store, key store.Key) (*mark, error) {
	item, err := table.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return &mark{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading a watermark: %w", err)
	}
	m := &mark{exists: true, version: item.Version}
	if err := proto.Unmarshal(item.Value, &m.Watermark); err != nil {
		return nil, fmt.Errorf("decoding a watermark: %w", err)
	}
	return m, nil
}

// stale tells whether a position is of an ownership that has ended. What it says is dropped: it is either below the base of a
// later ownership, and so in the repair that opens that, or was lost.
func (m *mark) stale(p ident.Version) bool { return m.exists && p.Epoch < m.version.Epoch }

// enter makes the mark ready for a position that is not stale. A stream that was not opened is behind until it is, or is repaired;
// so is one whose ownership is new here, whatever was seen of it: of that, some may have been lost.
func (m *mark) enter(p ident.Version) {
	switch {
	case !m.exists:
		m.exists, m.version = true, ident.Version{Epoch: p.Epoch}
		m.owe(ident.Version{Epoch: p.Epoch})
		if p.Epoch > 1 { // Another origin's words, under an earlier ownership, may be here.
			m.owe(ident.Version{Epoch: p.Epoch, Seq: max(p.Seq, 1)})
		}
	case p.Epoch > m.version.Epoch:
		m.version = ident.Version{Epoch: p.Epoch}
		m.Ahead, m.Partial, m.Highest = nil, nil, 0
		m.owe(ident.Version{Epoch: p.Epoch, Seq: max(p.Seq, 1)})
	}
}

// owe notes that a repair as of a position or later is owed. Sequence number 0 says that the stream was not opened.
func (m *mark) owe(p ident.Version) {
	if m.Behind && m.GetBehindEpoch() == uint64(p.Epoch) {
		p.Seq = max(p.Seq, ident.Seq(m.GetBehindSeq()))
	}
	m.Behind, m.BehindEpoch, m.BehindSeq = true, uint64(p.Epoch), uint64(p.Seq)
}

// settle notes that no repair is owed.
func (m *mark) settle() { m.Behind, m.BehindEpoch, m.BehindSeq = false, 0, 0 }

// open applies the beginning of a stream after a position that is not stale: what was before it is owed, unless it is here.
func (m *mark) open(p ident.Version) {
	known, before := m.exists, m.version
	held := m.GetHighest() > 0 || m.version.Seq > 0 || m.GetBehind()
	if known && p.Epoch > before.Epoch && p.Seq == 0 && !held {
		m.version = p // The lane was empty here, and is at the source.
		return
	}
	m.enter(p)
	if m.version.Epoch != p.Epoch || known && p.Epoch > before.Epoch {
		return // enter said what is owed
	}
	switch unopened := m.GetBehind() && m.GetBehindSeq() == 0; {
	case p.Seq > m.version.Seq:
		m.owe(p)
	case unopened:
		m.settle()
	}
}

// add notes that a part of a position of the mark's epoch is applied, and moves the prefix over what is gapless. gapless false, for
// tests, makes it ignore gaps.
func (m *mark) add(seq ident.Seq, part, parts uint32, gapless bool) {
	m.raise(seq)
	if seq <= m.version.Seq || m.has(uint64(seq)) || !m.complete(uint64(seq), part, max(parts, 1)) {
		return
	}
	if !gapless {
		m.version.Seq = seq
		return
	}
	m.insert(uint64(seq))
	m.absorb()
	if len(m.GetAhead()) > maxAhead {
		m.owe(ident.Version{Epoch: m.version.Epoch, Seq: ident.Seq(m.GetHighest())})
		m.Ahead = m.GetAhead()[len(m.GetAhead())-maxAhead:]
	}
}

// raise notes that something of a position was applied.
func (m *mark) raise(seq ident.Seq) { m.Highest = max(m.GetHighest(), uint64(seq)) }

// has tells whether a position beyond the prefix is applied.
func (m *mark) has(seq uint64) bool {
	for _, i := range m.GetAhead() {
		if i.GetFirst() <= seq && seq <= i.GetLast() {
			return true
		}
	}
	return false
}

// complete notes a part of a position, and tells whether that was the last one.
func (m *mark) complete(seq uint64, part, parts uint32) bool {
	if parts == 1 {
		m.forget(seq)
		return true
	}
	for _, p := range m.GetPartial() {
		if p.GetSeq() != seq {
			continue
		}
		p.Parts |= 1 << part
		if bits.TrailingZeros64(^p.GetParts()) >= int(parts) {
			m.forget(seq)
			return true
		}
		return false
	}
	m.Partial = append(m.GetPartial(), &storagev1.Partial{Seq: seq, Parts: 1 << part})
	return false
}

// forget drops what was noted of the parts of a position.
func (m *mark) forget(seq uint64) {
	for i, p := range m.GetPartial() {
		if p.GetSeq() == seq {
			m.Partial = append(m.Partial[:i:i], m.Partial[i+1:]...)
			return
		}
	}
}

// insert adds a position to the intervals beyond the prefix, which stay disjoint, in order and with a gap between any two.
func (m *mark) insert(seq uint64) {
	at := 0
	for at < len(m.GetAhead()) && m.GetAhead()[at].GetLast()+1 < seq {
		at++
	}
	if at == len(m.GetAhead()) || m.GetAhead()[at].GetFirst() > seq+1 {
		rest := append([]*storagev1.Interval{{First: seq, Last: seq}}, m.Ahead[at:]...)
		m.Ahead = append(m.Ahead[:at:at], rest...)
		return
	}
	here := m.GetAhead()[at]
	here.First, here.Last = min(here.GetFirst(), seq), max(here.GetLast(), seq)
	if at+1 < len(m.GetAhead()) && m.GetAhead()[at+1].GetFirst() == here.GetLast()+1 {
		here.Last = m.GetAhead()[at+1].GetLast()
		m.Ahead = append(m.Ahead[:at+1:at+1], m.Ahead[at+2:]...)
	}
}

// absorb moves the prefix over the intervals that it touches and drops what lies below it.
func (m *mark) absorb() {
	for len(m.GetAhead()) > 0 && m.GetAhead()[0].GetFirst() <= uint64(m.version.Seq)+1 {
		m.version.Seq = max(m.version.Seq, ident.Seq(m.GetAhead()[0].GetLast()))
		m.Ahead = m.GetAhead()[1:]
	}
	kept := m.GetPartial()[:0]
	for _, p := range m.GetPartial() {
		if p.GetSeq() > uint64(m.version.Seq) {
			kept = append(kept, p)
		}
	}
	m.Partial = kept
	m.raise(m.version.Seq)
}

// finish raises the mark to a position that a whole repair was made as of. Nothing happens when that is of an ownership that has
// ended.
func (m *mark) finish(q ident.Version) {
	switch {
	case m.exists && q.Epoch < m.version.Epoch:
		return
	case !m.exists, q.Epoch > m.version.Epoch:
		m.exists, m.version = true, q
		m.Ahead, m.Partial, m.Highest = nil, nil, uint64(q.Seq)
		m.settle()
		return
	}
	m.version.Seq = max(m.version.Seq, q.Seq)
	m.absorb()
	owed := ident.Version{Epoch: ident.Epoch(m.GetBehindEpoch()), Seq: ident.Seq(m.GetBehindSeq())}
	if m.GetBehind() && q.Compare(owed) >= 0 {
		m.settle()
	}
}
