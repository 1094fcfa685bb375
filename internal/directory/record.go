package directory

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// version is the version of an item that record n wrote. Epochs are of tenants; a writer's log has none.
func version(n ident.Seq) ident.Version { return ident.Version{Seq: n} }

// tag says what every item of the directory is: GLOBAL.
func tag(tenant ident.TenantID) store.Tag {
	return store.Tag{Tenant: tenant, Class: store.ClassGlobal}
}

// encode is deterministic, so that a record has one form in the log.
func encode(m proto.Message) ([]byte, error) {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return data, nil
}

// logItem is a record as it lies in its writer's log.
func logItem(r *directoryv1.Record) (store.Item, error) {
	s, err := subjectOf(r)
	if err != nil {
		return store.Item{}, err
	}
	data, err := encode(r)
	if err != nil {
		return store.Item{}, err
	}
	n := ident.Seq(r.GetWseq())
	return store.Item{
		Key: logKey(ident.RegionID(r.GetWriter()), n), Version: version(n), Tag: tag(s.tenant), Value: data,
	}, nil
}

// decodeLog reads a record from its writer's log and checks that it lies where it says it belongs.
func decodeLog(writer ident.RegionID, item store.Item) (*directoryv1.Record, error) {
	n, err := seqOfLogSort(item.Key.Sort)
	if err != nil {
		return nil, err
	}
	r := new(directoryv1.Record)
	if err := proto.Unmarshal(item.Value, r); err != nil {
		return nil, fmt.Errorf("decoding record %d of %s: %w", n, writer, err)
	}
	if ident.RegionID(r.GetWriter()) != writer || ident.Seq(r.GetWseq()) != n {
		return nil, fmt.Errorf("record %d of %s lies under another record's key", n, writer)
	}
	return r, nil
}

// decodeState reads a state item's record.
func decodeState(item store.Item) (*directoryv1.Record, error) {
	r := new(directoryv1.Record)
	if err := proto.Unmarshal(item.Value, r); err != nil {
		return nil, fmt.Errorf("decoding a state item: %w", err)
	}
	if s, err := subjectOf(r); err != nil || s.sort != item.Key.Sort {
		return nil, errors.New("a state item lies under another subject's key")
	}
	return r, nil
}

// hostsOf returns the hosts that a tenant holds: none once it is purged.
func hostsOf(t *tenancyv1.Tenant) []string {
	if t.GetState() == tenancyv1.TenantState_TENANT_STATE_PURGED {
		return nil
	}
	return t.GetHosts()
}
