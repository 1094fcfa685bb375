package repair

import (
	"encoding/hex"
	"fmt"

	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/replication"
)

// maxRanges bounds the ranges of an answer. More than fanOut, so that a later release may split further.
const maxRanges = 256

func nonsense(what string) error { return fmt.Errorf("%w: %s", ErrNonsense, what) }

// checkDigest holds the answer to a question about a range of ids against what a home can answer.
func checkDigest(lane ident.Lane, in *peerv1.DigestRequest, out *peerv1.DigestResponse) error {
	if len(out.GetRanges()) > 0 {
		if len(out.GetEntities()) > 0 || out.GetMore() {
			return nonsense("both ranges and a list")
		}
		return checkRanges(in, out.GetRanges())
	}
	if out.GetMore() && (in.GetList() == 0 || len(out.GetEntities()) == 0) {
		return nonsense("a list that is not whole")
	}
	if len(out.GetEntities()) > maxList {
		return nonsense("too long a list")
	}
	last := ""
	for _, e := range out.GetEntities() {
		switch id := e.GetId(); {
		case id == "", len(id) > maxID, id <= last, id < in.GetFrom(), in.GetTo() != "" && id >= in.GetTo():
			return nonsense("a list that is not in order, or not of the range")
		case !comparedIn(id, lane):
			return nonsense("an entity of another lane")
		case len(e.GetDigest()) != digestBytes, e.GetEpoch() == 0, e.GetSeq() == 0:
			return nonsense("an entity without a digest or a version")
		}
		last = e.GetId()
	}
	return nil
}

func checkRanges(in *peerv1.DigestRequest, ranges []*peerv1.RangeDigest) error {
	if len(ranges) < 2 || len(ranges) > maxRanges {
		return nonsense("too few or too many ranges")
	}
	last := in.GetFrom()
	for i, r := range ranges {
		end := i == len(ranges)-1
		switch {
		case len(r.GetTo()) > maxID, len(r.GetDigest()) != digestBytes:
			return nonsense("a range without a bound or a digest")
		case end && r.GetTo() != "" && r.GetTo() != in.GetTo():
			return nonsense("ranges that do not cover what was asked")
		case !end && (r.GetTo() <= last || in.GetTo() != "" && r.GetTo() >= in.GetTo()):
			return nonsense("ranges that are not in order")
		}
		last = r.GetTo()
	}
	return nil
}

// checkFetch holds the answer to a question for entities and idempotency records against what a home can answer, and returns what it
// has by id.
func checkFetch(ids []string, out *peerv1.FetchResponse) (map[string]replication.Change, error) {
	answered := int(min(out.GetAnswered(), maxFetch+1))
	if answered == 0 || answered > len(ids) {
		return nil, nonsense("an answer for nothing, or for more than was asked")
	}
	found := make(map[string]replication.Change, len(out.GetStates())+len(out.GetRecords()))
	ids = ids[:answered]
	at := 0
	for _, state := range out.GetStates() {
		if at = after(ids, at, state.GetId()); at < 0 || isRecord(state.GetId()) {
			return nil, nonsense("a state that was not asked for, or twice, or out of order")
		}
		if state.GetEpoch() == 0 || state.GetSeq() == 0 {
			return nil, nonsense("a state without a version")
		}
		found[state.GetId()] = replication.Change{State: state}
	}
	at = 0
	for _, record := range out.GetRecords() {
		id := recordPrefix + hex.EncodeToString(record.GetKeyHash())
		if at = after(ids, at, id); at < 0 {
			return nil, nonsense("a record that was not asked for, or twice, or out of order")
		}
		if record.GetExpireTime() == nil {
			return nil, nonsense("a record without an end")
		}
		found[id] = replication.Change{Record: record}
	}
	return found, nil
}

// after returns the place after that of an id, which is looked for from a place on; -1 when it is not there.
func after(ids []string, from int, id string) int {
	for i := from; i < len(ids); i++ {
		if ids[i] == id {
			return i + 1
		}
	}
	return -1
}
