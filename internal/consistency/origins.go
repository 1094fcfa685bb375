package consistency

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/domicile-api/domicile/internal/ident"
)

// Regions stand in tokens as codes of 24 bits: a hash of the id, so that a code means the same whatever the topology's order is and
// however it grows. A region that a token names and the topology here does not have is kept under a name made of its code: what a
// newer topology knows is not lost on the way through an older one.

// strangePrefix begins such names; no region's id has it.
const strangePrefix = "#"

func codeOf(region ident.RegionID) uint32 {
	if digits, ok := strings.CutPrefix(string(region), strangePrefix); ok {
		if code, err := strconv.ParseUint(digits, 16, 8*codeBytes); err == nil {
			return uint32(code)
		}
	}
	return uint32(xxhash.Sum64String(string(region)) & (1<<(8*codeBytes) - 1))
}

// regionOf is the inverse of codeOf.
func (c *Codec) regionOf(code uint32) ident.RegionID {
	if region, ok := c.byCode[code]; ok {
		return region
	}
	return ident.RegionID(fmt.Sprintf("%s%06x", strangePrefix, code))
}

// origin is an origin's position as a token has it.
type origin struct {
	code uint32
	seq  ident.Seq
}

func (o origin) append(b []byte) []byte {
	b = append(b, byte(o.code>>16), byte(o.code>>8), byte(o.code)) //nolint:gosec // 24 bits.
	return binary.AppendUvarint(b, uint64(o.seq))
}

// appendOrigins appends as many origins as fit, by falling position; they stand in the order of their codes.
func appendOrigins(b []byte, origins map[ident.RegionID]ident.Seq) []byte {
	if len(origins) == 0 {
		return append(b, 0)
	}
	all := make([]origin, 0, len(origins))
	for region, seq := range origins {
		if seq > 0 {
			all = append(all, origin{code: codeOf(region), seq: seq})
		}
	}
	slices.SortFunc(all, func(a, b origin) int { return cmp.Or(cmp.Compare(b.seq, a.seq), cmp.Compare(a.code, b.code)) })
	room := maxBodyBytes - len(b) - 1 // One byte says how many: there are never 128.
	kept := all[:0]
	var space [codeBytes + binary.MaxVarintLen64]byte
	for _, o := range all {
		if size := len(o.append(space[:0])); size <= room {
			room -= size
			kept = append(kept, o)
		}
	}
	slices.SortFunc(kept, func(a, b origin) int { return cmp.Compare(a.code, b.code) })
	b = append(b, byte(len(kept))) //nolint:gosec // At most maxBodyBytes / 4.
	for _, o := range kept {
		b = o.append(b)
	}
	return b
}

func (c *Codec) readOrigins(r *reader, p *ident.Positions) {
	for range r.uvarint() {
		code, seq := r.code(), r.uvarint()
		if r.failed {
			return
		}
		p.RaiseOrigin(c.regionOf(code), ident.Seq(seq))
	}
}
