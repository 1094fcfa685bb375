package directory

import (
	"encoding/binary"
	"iter"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/topology"
)

// The values that the index keeps, in few bytes. A value always fits its reader: both are here, and values never leave the
// process.

// tenantEntry is a tenant as the index has it: three bytes for home, standby and policies, varints of epoch and number, the
// hosts with their lengths.
type tenantEntry struct {
	home, standby regionCode
	policies      byte
	epoch         ident.Epoch
	wseq          ident.Seq
	// hosts are the rest of the value: for each host one byte of length and its bytes.
	hosts string
}

// The policies are two bits each. A number that does not fit is one that this release does not know; it becomes 0, which
// routing takes for the strictest.
const (
	policyMask       = 3
	projectionsShift = 2
	stateShift       = 4
)

func policyBits[E ~int32](e E) byte {
	if e < 0 || e > policyMask {
		return 0
	}
	return byte(e)
}

// maxHost is how long a host may be, which is DNS's bound.
const maxHost = 253

func encodeTenant(t *tenancyv1.Tenant, home, standby regionCode, n ident.Seq) string {
	b := make([]byte, 0, 64)
	b = append(b, byte(home), byte(standby),
		policyBits(t.GetTransit())|policyBits(t.GetProjections())<<projectionsShift|policyBits(t.GetState())<<stateShift)
	b = binary.AppendUvarint(b, t.GetEpoch())
	b = binary.AppendUvarint(b, uint64(n))
	for _, host := range hostsOf(t) {
		if len(host) > 0 && len(host) <= maxHost {
			b = append(b, byte(len(host))) //nolint:gosec // At most maxHost.
			b = append(b, host...)
		}
	}
	return string(b)
}

func decodeTenant(value string) tenantEntry {
	epoch, at := uvarint(value, 3)
	n, at := uvarint(value, at)
	return tenantEntry{
		home: regionCode(value[0]), standby: regionCode(value[1]), policies: value[2],
		epoch: ident.Epoch(epoch), wseq: ident.Seq(n), hosts: value[at:],
	}
}

// routing returns what routes the tenant's calls.
func (e tenantEntry) routing() routing.Tenant {
	return routing.Tenant{
		Home: e.home.index(), Standby: e.standby.index(),
		Transit:     e.policies & policyMask,
		Projections: e.policies >> projectionsShift & policyMask,
		State:       e.policies >> stateShift & policyMask,
		Epoch:       e.epoch,
	}
}

func (e tenantEntry) has(host string) bool {
	for rest := e.hosts; rest != ""; {
		end := 1 + int(rest[0])
		if rest[1:end] == host {
			return true
		}
		rest = rest[end:]
	}
	return false
}

func (e tenantEntry) eachHost() iter.Seq[string] {
	return func(yield func(string) bool) {
		for rest := e.hosts; rest != ""; {
			end := 1 + int(rest[0])
			if !yield(rest[1:end]) {
				return
			}
			rest = rest[end:]
		}
	}
}

// regionCode is a region in one byte: its index in the topology; or a number from firstStrange on for a region that a record
// names and the topology does not have; or noRegion.
type regionCode byte

const (
	firstStrange regionCode = topology.MaxRegions
	noRegion                = regionCode(topology.NoRegion)
	// NoStandby is how a tenant's record says that it has no standby.
	NoStandby = "none"
)

func (c regionCode) index() topology.Index {
	if c >= firstStrange {
		return topology.NoRegion
	}
	return topology.Index(c)
}

// Verifier is what proves a credential.
type Verifier struct {
	// Hash is SHA-256 of the whole key.
	Hash [32]byte
	// Expires is when the key ends; zero: never.
	Expires time.Time
	// Revoked says that the control region or the tenant's home has revoked the key.
	Revoked bool
}

// keyEntry is a key as the index has it: varints of number, expiry and revocation, then the verifier.
type keyEntry struct {
	wseq ident.Seq
	// expires and revoked are in Unix microseconds plus one; 0: not.
	expires, revoked uint64
	verifier         string
}

func micros(t *timestamppb.Timestamp) uint64 {
	if t == nil {
		return 0
	}
	return uint64(max(t.AsTime().UnixMicro(), 0)) + 1
}

func fromMicros(n uint64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(n - 1)).UTC() //nolint:gosec // What micros made.
}

func timestampOf(n uint64) *timestamppb.Timestamp {
	if n == 0 {
		return nil
	}
	return timestamppb.New(fromMicros(n))
}

func (e keyEntry) encode() string {
	b := make([]byte, 0, 64)
	b = binary.AppendUvarint(b, uint64(e.wseq))
	b = binary.AppendUvarint(b, e.expires)
	b = binary.AppendUvarint(b, e.revoked)
	return string(append(b, e.verifier...))
}

func decodeKey(value string) keyEntry {
	n, at := uvarint(value, 0)
	expires, at := uvarint(value, at)
	revoked, at := uvarint(value, at)
	return keyEntry{wseq: ident.Seq(n), expires: expires, revoked: revoked, verifier: value[at:]}
}

// proves returns what proves the key, as far as its own record says; false if the record has no verifier.
func (e keyEntry) proves() (Verifier, bool) {
	v := Verifier{Expires: fromMicros(e.expires), Revoked: e.revoked > 0}
	if copy(v.Hash[:], e.verifier) < len(v.Hash) {
		return Verifier{}, false
	}
	return v, true
}

// entryOfKey reads an API key's or operator's key's record.
func entryOfKey(r *directoryv1.Record) keyEntry {
	e := keyEntry{wseq: ident.Seq(r.GetWseq())}
	if k := r.GetOperatorKey(); k != nil {
		e.verifier = string(k.GetVerifier())
		return e
	}
	k := r.GetApiKey()
	e.expires, e.revoked = micros(k.GetKey().GetExpireTime()), micros(k.GetKey().GetRevokeTime())
	e.verifier = string(k.GetVerifier())
	return e
}

// revocationEntry is a home's revocation as the index has it: the region, varints of number and time.
type revocationEntry struct {
	writer  regionCode
	wseq    ident.Seq
	revoked uint64
}

func (e revocationEntry) encode() string {
	b := binary.AppendUvarint([]byte{byte(e.writer)}, uint64(e.wseq))
	return string(binary.AppendUvarint(b, e.revoked))
}

func decodeRevocation(value string) revocationEntry {
	n, at := uvarint(value, 1)
	revoked, _ := uvarint(value, at)
	return revocationEntry{writer: regionCode(value[0]), wseq: ident.Seq(n), revoked: revoked}
}
