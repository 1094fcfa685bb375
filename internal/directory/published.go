package directory

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// A published snapshot says everything that a log said up to a number. It consists of pieces, items of their own, because items
// replicate one by one: only from a set of pieces that is whole can a reader elsewhere know that nothing is missing, and state
// items that change under way can never show that. A set is never changed; two publishers make two sets.
const (
	// pieceBytes is how much of records a piece holds, well below store.MaxItemBytes with its last record.
	pieceBytes = 256 << 10
	// piecesPerPage bounds what one query brings.
	piecesPerPage = 4
	setSortBytes  = 16
	pieceBytesKey = setSortBytes + 4 + 8
)

// setID names a set: the number that it is complete to, and a random number.
type setID struct {
	complete ident.Seq
	nonce    uint64
}

// sort is what the sort keys of the set's pieces begin with. Sets are in the order of their numbers.
func (s setID) sort() string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, setSortBytes), uint64(s.complete))
	return string(binary.BigEndian.AppendUint64(b, s.nonce))
}

// pieceID names a piece of a set. total is 0 except in the last piece, where it is the number of records of the set.
type pieceID struct {
	set   setID
	index uint32
	total uint64
}

func (p pieceID) sort() string {
	b := binary.BigEndian.AppendUint32([]byte(p.set.sort()), p.index)
	return string(binary.BigEndian.AppendUint64(b, p.total))
}

func parsePiece(sort string) (pieceID, error) {
	if len(sort) != pieceBytesKey {
		return pieceID{}, fmt.Errorf("a piece's key of %d bytes instead of %d", len(sort), pieceBytesKey)
	}
	b := []byte(sort)
	return pieceID{
		set:   setID{complete: ident.Seq(binary.BigEndian.Uint64(b)), nonce: binary.BigEndian.Uint64(b[8:])},
		index: binary.BigEndian.Uint32(b[setSortBytes:]), total: binary.BigEndian.Uint64(b[setSortBytes+4:]),
	}, nil
}

// publish makes a set of the writer's state items, which are at least as new as record n.
func publish(ctx context.Context, table Table, writer ident.RegionID, n ident.Seq, random io.Reader) error {
	var nonce [8]byte
	if _, err := io.ReadFull(random, nonce[:]); err != nil {
		return fmt.Errorf("naming a directory snapshot: %w", err)
	}
	p := &publisher{
		table: table, writer: writer,
		next:  pieceID{set: setID{complete: n, nonce: binary.BigEndian.Uint64(nonce[:])}},
		piece: newPiece(writer, n),
	}
	for _, kind := range publishedKinds() {
		q := store.Query{Partition: statePartition(writer), From: kind, To: afterPrefix(kind)}
		if err := eachItem(ctx, table, q, func(item store.Item) error { return p.add(ctx, item) }); err != nil {
			return err
		}
	}
	p.next.total = max(p.records, 1)
	return p.put(ctx)
}

// publishedKinds are the kinds of subject. Hosts follow from tenants, and repetitions concern the writer alone.
func publishedKinds() []string {
	return []string{
		kindAPIKey, kindClassTable, kindErasure, kindOperatorKey, kindRegionKeys, kindRevocation, kindTenant, kindTokenKey,
	}
}

type publisher struct {
	table   Table
	writer  ident.RegionID
	next    pieceID
	piece   *directoryv1.Snapshot
	bytes   int
	records uint64
}

func newPiece(writer ident.RegionID, n ident.Seq) *directoryv1.Snapshot {
	return &directoryv1.Snapshot{Positions: []*directoryv1.Position{{Writer: string(writer), Wseq: uint64(n)}}}
}

func (p *publisher) add(ctx context.Context, item store.Item) error {
	record, err := decodeState(item)
	if err != nil {
		return err
	}
	if p.bytes > 0 && p.bytes+len(item.Value) > pieceBytes {
		if err := p.put(ctx); err != nil {
			return err
		}
	}
	p.piece.Records = append(p.piece.Records, record)
	p.bytes += len(item.Value)
	p.records++
	return nil
}

// put writes the piece and begins the next.
func (p *publisher) put(ctx context.Context) error {
	data, err := encode(p.piece)
	if err != nil {
		return err
	}
	// The key is free, since the set is new. To say so lets the table send the put again when an answer is lost.
	err = p.table.Commit(ctx, store.Commit{Ops: []store.Op{{Kind: store.Put, If: store.Absent(), Item: store.Item{
		Key:     store.Key{Partition: publishedPartition(p.writer), Sort: p.next.sort()},
		Version: version(p.next.set.complete), Tag: tag(""), Value: data,
	}}}})
	if err != nil {
		return fmt.Errorf("publishing a piece of a directory snapshot: %w", err)
	}
	p.next.index++
	p.piece, p.bytes = newPiece(p.writer, p.next.set.complete), 0
	return nil
}

// newestSets calls fn with the last piece seen here of each set that is complete to a number greater than after, newest first,
// until fn returns false.
func newestSets(ctx context.Context, table Table, writer ident.RegionID, after ident.Seq, fn func(pieceID) (bool, error)) error {
	to := ""
	for {
		page, err := table.Query(ctx, store.Query{
			Partition: publishedPartition(writer), From: logSort(after + 1), To: to, Descending: true, Limit: 1,
		})
		if err != nil {
			return fmt.Errorf("looking for a directory snapshot: %w", err)
		}
		if len(page.Items) == 0 {
			return nil
		}
		piece, err := parsePiece(page.Items[0].Key.Sort)
		if err != nil {
			return err
		}
		if more, err := fn(piece); err != nil || !more {
			return err
		}
		to = piece.set.sort()
	}
}

// readSet gives the records of a set to fn, piece by piece, and tells whether the set was whole.
func readSet(
	ctx context.Context, table Table, writer ident.RegionID, last pieceID, fn func([]*directoryv1.Record) error,
) (whole bool, err error) {
	if last.total == 0 {
		return false, nil
	}
	var want uint32
	q := store.Query{
		Partition: publishedPartition(writer), From: last.set.sort(), To: last.sort() + "\x00", Limit: piecesPerPage,
	}
	err = eachItem(ctx, table, q, func(item store.Item) error {
		piece, err := parsePiece(item.Key.Sort)
		if err != nil {
			return err
		}
		if piece.index != want {
			return errEnough
		}
		want++
		part := new(directoryv1.Snapshot)
		if err := proto.Unmarshal(item.Value, part); err != nil {
			return fmt.Errorf("decoding a piece of a directory snapshot: %w", err)
		}
		return fn(part.GetRecords())
	})
	if errors.Is(err, errEnough) {
		return false, nil
	}
	return err == nil && want == last.index+1, err
}
