package repair

import (
	"encoding/hex"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// recordPrefix begins the ids under which idempotency records are compared: no entity's id begins like that, and all are before it. The
// hash of the record's key follows in hexadecimal. A record is compared with the lane that has the number of its partition, whatever
// lane its write was of, so that each lane reads an eighth of them.
const recordPrefix = "~"

// recordMargin is how long before its end a record is compared no more, and how long after its beginning it is not yet verified: more than
// the clocks of two regions differ, or an event takes.
const recordMargin = 15 * time.Minute

// isRecord tells whether an id is a record's, and not an entity's.
func isRecord(id string) bool { return strings.HasPrefix(id, recordPrefix) }

// hashOf returns the key hash that a record's id has; false when it has none.
func hashOf(id string) (hash [32]byte, ok bool) {
	if len(id) != len(recordPrefix)+2*len(hash) || !isRecord(id) || id != strings.ToLower(id) {
		return hash, false
	}
	_, err := hex.Decode(hash[:], []byte(id[len(recordPrefix):]))
	return hash, err == nil
}

// keyOf is where an entity or an idempotency record lies.
func keyOf(tenant ident.TenantID, id string) store.Key {
	if hash, ok := hashOf(id); ok {
		return idempotency.Key(tenant, hash)
	}
	return keyspace.Entity(tenant, id)
}

// asOf tells whether an answer of q speaks of what is here. It speaks of all records: their versions are of any lane.
func (h *held) asOf(q ident.Version) bool { return isRecord(h.id) || h.version.Compare(q) <= 0 }

// comparedIn tells whether an id is one that is compared with a lane.
func comparedIn(id string, lane ident.Lane) bool {
	if !isRecord(id) {
		return keyspace.LaneOf(id) == lane
	}
	hash, ok := hashOf(id)
	return ok && idempotency.ShardOf(hash) == int(lane)
}

// window says which idempotency records are compared: those that expire after one time and, unless that is zero, before another. The one
// who asks names it, so that both sides count the same although their clocks differ.
type window struct {
	after, before time.Time
}

// has tells whether a record is compared. Stored times are to the second.
func (w *window) has(expires time.Time) bool {
	return expires.After(w.after) && (w.before.IsZero() || expires.Before(w.before))
}

// windowAt is what a standby compares at a time: in a verification not the newest records, which may be on their way, by streams of
// other lanes than this one.
func windowAt(now time.Time, repairing bool) *window {
	w := &window{after: now.Add(recordMargin)}
	if !repairing {
		w.before = now.Add(idempotency.Lifetime - recordMargin)
	}
	return w
}

// put names the window in a question.
func (w *window) put(in *peerv1.DigestRequest) {
	if w == nil {
		return
	}
	in.RecordsAfter = timestamppb.New(w.after)
	if !w.before.IsZero() {
		in.RecordsBefore = timestamppb.New(w.before)
	}
}

// windowOf is the window that a question names; nil when it names none.
func windowOf(in *peerv1.DigestRequest) *window {
	if in.GetRecordsAfter() == nil {
		return nil
	}
	w := &window{after: in.GetRecordsAfter().AsTime()}
	if in.GetRecordsBefore() != nil {
		w.before = in.GetRecordsBefore().AsTime()
	}
	return w
}

// records is the span of a range that has the idempotency records of a lane; false when the range has none.
func records(tenant ident.TenantID, lane ident.Lane, from, to string) (span, bool) {
	s := span{partition: idempotency.Partitions(tenant)[lane], record: true}
	if to != "" && to <= recordPrefix || from >= recordPrefix+"g" {
		return s, false
	}
	s.from, s.to = boundOf(from), boundOf(to)
	return s, s.to == "" || s.from < s.to
}

// boundOf makes a bound of sort keys of a bound of ids, which is an id or follows one at once; an empty one of any other: the cursor holds
// each id against the bounds too.
func boundOf(id string) string {
	id, next := strings.CutSuffix(id, "\x00")
	hash, ok := hashOf(id)
	switch {
	case !ok:
		return ""
	case next:
		return string(hash[:]) + "\x00"
	default:
		return string(hash[:])
	}
}

// recordID is the id of the record under a key; empty when that is none.
func recordID(key store.Key) string {
	if len(key.Sort) != 32 {
		return ""
	}
	return recordPrefix + hex.EncodeToString([]byte(key.Sort))
}
