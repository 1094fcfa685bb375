package dynamostore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// The attributes of an item. Their names count against DynamoDB's limit of 400 KB an item.
const (
	attrPartition    = "pk"           // B: the partition key as it is
	attrSort         = "sk"           // B: sortPrefix and the sort key
	attrVersion      = "version"      // B: 16 bytes, big-endian epoch and number
	attrValue        = "value"        // B: the value as it is
	attrTenant       = "tenant"       // S; left out when empty
	attrClass        = "class"        // N: the number of the data class
	attrJurisdiction = "jurisdiction" // S; left out when empty
	attrTTL          = "ttl"          // N: when the item ends, in Unix seconds; left out when it never does
)

// sortPrefix stands before every sort key, since DynamoDB has no empty ones. It changes no order. Other first bytes are free.
const sortPrefix = 0x01

// versionBytes is the size of a version. Bytes, since a DynamoDB number holds 38 digits and a version needs 39.
const versionBytes = 16

// attributes are an item, or its key, as DynamoDB has them.
type attributes = map[string]types.AttributeValue

// errItem says that a table holds something that this package did not write.
var errItem = errors.New("dynamostore: malformed item")

// marshalItem returns the attributes of an item.
func marshalItem(it store.Item) attributes {
	attrs := marshalKey(it.Key)
	attrs[attrVersion] = bytesValue(encodeVersion(it.Version))
	value := it.Value
	if value == nil {
		value = []byte{} // nil would be no value at all.
	}
	attrs[attrValue] = bytesValue(value)
	attrs[attrClass] = numberValue(int64(it.Tag.Class))
	if it.Tag.Tenant != "" {
		attrs[attrTenant] = textValue(string(it.Tag.Tenant))
	}
	if it.Tag.Jurisdiction != "" {
		attrs[attrJurisdiction] = textValue(string(it.Tag.Jurisdiction))
	}
	if !it.Expires.IsZero() {
		attrs[attrTTL] = numberValue(unixExpiry(it.Expires))
	}
	return attrs
}

// marshalKey returns the key of an item.
func marshalKey(k store.Key) attributes {
	return attributes{attrPartition: bytesValue([]byte(k.Partition)), attrSort: bytesValue(encodeSort(k.Sort))}
}

// unmarshalItem reads an item whole. What it returns shares no memory with another item.
func unmarshalItem(attrs attributes) (store.Item, error) {
	h, err := unmarshalHeader(attrs)
	if err != nil {
		return store.Item{}, err
	}
	it := store.Item{Version: h.version}
	if h.expires != 0 {
		it.Expires = time.Unix(h.expires, 0).UTC()
	}
	if it.Key, err = unmarshalKey(attrs); err != nil {
		return store.Item{}, err
	}
	value, ok := attrs[attrValue].(*types.AttributeValueMemberB)
	if !ok {
		return store.Item{}, fmt.Errorf("%w: no value", errItem)
	}
	if it.Value = value.Value; it.Value == nil {
		it.Value = []byte{}
	}
	class, err := number(attrs, attrClass)
	if err != nil || class < int64(store.ClassGlobal) || class > int64(store.ClassPII) {
		return store.Item{}, fmt.Errorf("%w: no data class", errItem)
	}
	it.Tag = store.Tag{
		Tenant: ident.TenantID(text(attrs, attrTenant)), Class: store.Class(class),
		Jurisdiction: ident.Jurisdiction(text(attrs, attrJurisdiction)),
	}
	return it, nil
}

// unmarshalKey reads the key of an item.
func unmarshalKey(attrs attributes) (store.Key, error) {
	partition, okPartition := attrs[attrPartition].(*types.AttributeValueMemberB)
	sort, okSort := attrs[attrSort].(*types.AttributeValueMemberB)
	if !okPartition || !okSort {
		return store.Key{}, fmt.Errorf("%w: no key", errItem)
	}
	return decodeKey(partition.Value, sort.Value)
}

// decodeKey returns the key whose parts are stored as these bytes.
func decodeKey(partition, sort []byte) (store.Key, error) {
	if len(partition) == 0 || len(sort) == 0 || sort[0] != sortPrefix {
		return store.Key{}, fmt.Errorf("%w: a key of another kind", errItem)
	}
	return store.Key{Partition: string(partition), Sort: string(sort[1:])}, nil
}

func encodeSort(sort string) []byte { return append([]byte{sortPrefix}, sort...) }

// header is what conditions need of a stored item.
type header struct {
	version ident.Version
	// expires is in Unix seconds; 0: never.
	expires int64
}

func (h header) expired(now int64) bool { return h.expires != 0 && now >= h.expires }

// unmarshalHeader reads an item's version and expiry.
func unmarshalHeader(attrs attributes) (header, error) {
	version, ok := attrs[attrVersion].(*types.AttributeValueMemberB)
	if !ok || len(version.Value) != versionBytes {
		return header{}, fmt.Errorf("%w: no version", errItem)
	}
	h := header{version: decodeVersion(version.Value)}
	if _, mortal := attrs[attrTTL]; !mortal {
		return h, nil
	}
	var err error
	h.expires, err = number(attrs, attrTTL)
	return h, err
}

// encodeVersion keeps the order of versions in the order of bytes.
func encodeVersion(v ident.Version) []byte {
	buf := make([]byte, 0, versionBytes)
	buf = binary.BigEndian.AppendUint64(buf, uint64(v.Epoch))
	return binary.BigEndian.AppendUint64(buf, uint64(v.Seq))
}

func decodeVersion(buf []byte) ident.Version {
	return ident.Version{Epoch: ident.Epoch(binary.BigEndian.Uint64(buf)), Seq: ident.Seq(binary.BigEndian.Uint64(buf[8:]))}
}

// unixExpiry rounds up to the second, so that an item is never gone before its time.
func unixExpiry(t time.Time) int64 {
	s := t.Unix()
	if t.Nanosecond() > 0 {
		s++
	}
	return max(s, 1)
}

func bytesValue(b []byte) types.AttributeValue { return &types.AttributeValueMemberB{Value: b} }

func textValue(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func numberValue(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// number reads an attribute that must be a whole number.
func number(attrs attributes, name string) (int64, error) {
	v, ok := attrs[name].(*types.AttributeValueMemberN)
	if !ok {
		return 0, fmt.Errorf("%w: %s is not a number", errItem, name)
	}
	n, err := strconv.ParseInt(v.Value, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %s is not a whole number", errItem, name)
	}
	return n, nil
}

// text reads an attribute that may be left out.
func text(attrs attributes, name string) string {
	if v, ok := attrs[name].(*types.AttributeValueMemberS); ok {
		return v.Value
	}
	return ""
}
