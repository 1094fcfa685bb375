package directory

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// The partitions of a writer. The writer's id stands in each, so that a policy on leading keys keeps a region from writing
// another's items.
const (
	// logPartitions hold the records, by number.
	logPartitions = "w/"
	// statePartitions hold the newest record of each subject, and what makes hosts and idempotency keys unique.
	statePartitions = "s/"
	// publishedPartitions hold published snapshots, in pieces.
	publishedPartitions = "n/"
)

// The kinds of state item: the first part of a sort key. Within a kind the order is that of ids.
const (
	kindTenant      = "t/" // + tenant
	kindAPIKey      = "k/" // + tenant + "/" + key
	kindOperatorKey = "o/" // + key
	kindRevocation  = "v/" // + tenant + "/" + key
	kindRegionKeys  = "r/" // + region
	kindErasure     = "e/" // + tenant + "/" + region
	kindTokenKey    = "c/" // + id, ten digits
	kindClassTable  = "f/" // + fingerprint, in hex
	kindHost        = "h/" // + SHA-256 of the host
	kindRepetition  = "i/" // + hash of the idempotency key
)

// maxID bounds the parts of a state item's key, far above what the contracts allow.
const maxID = 255

var (
	// errNoSubject says that a record has no subject that this release knows.
	errNoSubject = errors.New("the record has no subject that this release knows")
	errBadID     = errors.New("an id in the record is empty, too long or has a slash")
)

func logPartition(writer ident.RegionID) string   { return logPartitions + string(writer) }
func statePartition(writer ident.RegionID) string { return statePartitions + string(writer) }
func publishedPartition(writer ident.RegionID) string {
	return publishedPartitions + string(writer)
}

// logSort is the sort key of a record: its number, big-endian, so that the order of bytes is the order of numbers.
func logSort(n ident.Seq) string {
	return string(binary.BigEndian.AppendUint64(nil, uint64(n)))
}

func logKey(writer ident.RegionID, n ident.Seq) store.Key {
	return store.Key{Partition: logPartition(writer), Sort: logSort(n)}
}

func stateKey(writer ident.RegionID, sort string) store.Key {
	return store.Key{Partition: statePartition(writer), Sort: sort}
}

// hostSort is the sort key of a host's item. The host itself is no part of any key.
func hostSort(host string) string {
	sum := sha256.Sum256([]byte(host))
	return kindHost + string(sum[:])
}

func repetitionSort(keyHash []byte) string { return kindRepetition + string(keyHash) }

// subject is what a record speaks of.
type subject struct {
	// sort is the sort key of the subject's state item, and the identity of the subject within its writer's log.
	sort string
	// tenant is whose it is; empty for what belongs to the platform.
	tenant ident.TenantID
}

// subjectOf returns what a record speaks of.
func subjectOf(r *directoryv1.Record) (subject, error) {
	var kind string
	var ids []string
	var tenant string
	switch s := r.GetSubject().(type) {
	case *directoryv1.Record_Tenant:
		tenant = s.Tenant.GetId()
		kind, ids = kindTenant, []string{tenant}
	case *directoryv1.Record_ApiKey:
		tenant = s.ApiKey.GetKey().GetTenant()
		kind, ids = kindAPIKey, []string{tenant, s.ApiKey.GetKey().GetId()}
	case *directoryv1.Record_OperatorKey:
		kind, ids = kindOperatorKey, []string{s.OperatorKey.GetId()}
	case *directoryv1.Record_Revocation:
		tenant = s.Revocation.GetTenant()
		kind, ids = kindRevocation, []string{tenant, s.Revocation.GetKeyId()}
	case *directoryv1.Record_RegionKeys:
		kind, ids = kindRegionKeys, []string{s.RegionKeys.GetRegion()}
	case *directoryv1.Record_Erasure:
		tenant = s.Erasure.GetTenant()
		kind, ids = kindErasure, []string{tenant, s.Erasure.GetRegion()}
	case *directoryv1.Record_TokenKey:
		kind, ids = kindTokenKey, []string{tokenKeyID(s.TokenKey.GetId())}
	case *directoryv1.Record_ClassTable:
		kind, ids = kindClassTable, []string{hex.EncodeToString(s.ClassTable.GetFingerprint())}
	default:
		return subject{}, errNoSubject
	}
	for _, id := range ids {
		if !validPart(id) {
			return subject{}, errBadID
		}
	}
	return subject{sort: kind + strings.Join(ids, "/"), tenant: ident.TenantID(tenant)}, nil
}

// tokenKeyID is a token key's id in a sort key: of one length, so that the order of texts is that of numbers. Ids begin at 1.
func tokenKeyID(id uint32) string {
	if id == 0 {
		return ""
	}
	return fmt.Sprintf("%010d", id)
}

func validPart(id string) bool {
	return id != "" && len(id) <= maxID && !strings.Contains(id, "/")
}

// authorized tells whether a record's writer may speak of its subject: of tenants, their keys, operators' keys and token keys the
// control region, of its own keys and erasures each region, of a revocation any, since a revocation only ever takes away, and of
// a class table any, since its fingerprint says what it is.
func authorized(r *directoryv1.Record, control ident.RegionID) bool {
	switch s := r.GetSubject().(type) {
	case *directoryv1.Record_Tenant, *directoryv1.Record_ApiKey, *directoryv1.Record_OperatorKey, *directoryv1.Record_TokenKey:
		return ident.RegionID(r.GetWriter()) == control
	case *directoryv1.Record_RegionKeys:
		return r.GetWriter() == s.RegionKeys.GetRegion()
	case *directoryv1.Record_Erasure:
		return r.GetWriter() == s.Erasure.GetRegion()
	case *directoryv1.Record_Revocation:
		return true
	case *directoryv1.Record_ClassTable:
		return fingerprints(s.ClassTable)
	default:
		return false
	}
}

// fingerprints tells whether a class table has the fingerprint of its messages: so nobody can publish another table under the name of
// one, and it does not matter who published it first.
func fingerprints(t *directoryv1.ClassTable) bool {
	data, err := encode(&directoryv1.ClassTable{Messages: t.GetMessages()})
	sum := sha256.Sum256(data)
	return err == nil && bytes.Equal(sum[:], t.GetFingerprint())
}

// seqOfLogSort reads the number in a record's sort key.
func seqOfLogSort(sort string) (ident.Seq, error) {
	if len(sort) != 8 {
		return 0, fmt.Errorf("a log key of %d bytes instead of 8", len(sort))
	}
	return ident.Seq(binary.BigEndian.Uint64([]byte(sort))), nil
}
