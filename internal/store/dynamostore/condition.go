package dynamostore

import (
	"time"

	"github.com/domicile-api/domicile/internal/store"
)

// expression is a condition as DynamoDB evaluates it. The zero expression always holds.
type expression struct {
	text   *string
	names  map[string]string
	values attributes
}

// conditionAt returns the expression of a condition at a time in Unix seconds: items that end then or before count as absent,
// removed or not.
func conditionAt(c store.Condition, now int64) expression {
	switch c.Kind() {
	case store.KindAbsent:
		return expression{
			text:   new("attribute_not_exists(#pk) OR #ttl <= :now"),
			names:  map[string]string{"#pk": attrPartition, "#ttl": attrTTL},
			values: attributes{":now": numberValue(now)},
		}
	case store.KindVersionIs:
		return expression{
			text:   new("#version = :version AND (attribute_not_exists(#ttl) OR #ttl > :now)"),
			names:  map[string]string{"#version": attrVersion, "#ttl": attrTTL},
			values: attributes{":version": bytesValue(encodeVersion(c.Version())), ":now": numberValue(now)},
		}
	case store.KindOlderThan:
		return expression{
			text:   new("attribute_not_exists(#pk) OR #version < :version OR #ttl <= :now"),
			names:  map[string]string{"#pk": attrPartition, "#version": attrVersion, "#ttl": attrTTL},
			values: attributes{":version": bytesValue(encodeVersion(c.Version())), ":now": numberValue(now)},
		}
	default:
		return expression{}
	}
}

// boundSeconds is how coarse the time in a named commit is. See namedCondition.
const boundSeconds = int64(time.Minute / time.Second)

// namedCondition returns the expression of a condition in a commit with a token.
//
// DynamoDB takes a request for a repetition only if it is the same to the byte, so there can be no time of day in it. Absent and
// OlderThan are therefore asked without: an item that has ended and is still there fails them, and Commit removes it and asks
// again. VersionIs cannot be asked that way. It gets the beginning of a minute, which a repetition can guess; so in a commit with
// a token it may hold of an item for the rest of the minute in which that ended.
func namedCondition(c store.Condition, minute int64) expression {
	switch c.Kind() {
	case store.KindAbsent:
		return expression{text: new("attribute_not_exists(#pk)"), names: map[string]string{"#pk": attrPartition}}
	case store.KindOlderThan:
		return expression{
			text:   new("attribute_not_exists(#pk) OR #version < :version"),
			names:  map[string]string{"#pk": attrPartition, "#version": attrVersion},
			values: attributes{":version": bytesValue(encodeVersion(c.Version()))},
		}
	default:
		return conditionAt(c, minute)
	}
}
