package main

import (
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// schemaTag is the tag of tables and queues that has the version of their layout.
const schemaTag = "domicile:schema"

// The names of tables end with what they are for.
const (
	directoryTable = "-directory"
	regionalTable  = "-regional"
)

// dynamoTable is a table's items by partition and sort key.
type dynamoTable map[string]map[string]dynamoItem

// dynamoItem is an item in DynamoDB's JSON.
type dynamoItem map[string]dynamoValue

// dynamoValue is a value of one of the three types that the stores use.
type dynamoValue struct {
	B *[]byte `json:"B,omitempty"` //nolint:tagliatelle // DynamoDB's names, here and below.
	S *string `json:"S,omitempty"` //nolint:tagliatelle // As above.
	N *string `json:"N,omitempty"` //nolint:tagliatelle // As above.
}

func (v dynamoValue) bytes() string {
	if v.B == nil {
		return ""
	}
	return string(*v.B)
}

func (v dynamoValue) number() int64 {
	if v.N == nil {
		return 0
	}
	n, _ := strconv.ParseInt(*v.N, 10, 64) // The stores write whole numbers.
	return n
}

// size is what DynamoDB takes an item for (Developer Guide, "DynamoDB item sizes and formats"): names and values; a number is a byte for
// each two digits and one more.
func (i dynamoItem) size() int {
	n := 0
	for name, v := range i {
		n += len(name)
		switch {
		case v.B != nil:
			n += len(*v.B)
		case v.S != nil:
			n += len(*v.S)
		case v.N != nil:
			n += (len(*v.N)+1)/2 + 1
		}
	}
	return n
}

// Request units: a write of 1 KB, a consistent read of 4 KB, rounded up for each item (of a query for the sum); nothing costs one.
const (
	writeUnit = 1 << 10
	readUnit  = 4 << 10
	// transacted is what a unit counts for in a transaction.
	transacted = 2
)

func units(bytes, unit int) float64 { return math.Max(1, math.Ceil(float64(bytes)/float64(unit))) }

// dynamoInput is what requests to DynamoDB have, as far as they are answered, and one operation of a transaction.
type dynamoInput struct {
	TableName                 string
	Item                      dynamoItem
	Key                       dynamoItem
	ConditionExpression       string
	ExpressionAttributeValues dynamoItem
	ScanIndexForward          *bool
	Limit                     int
	TransactItems             []struct{ Put, Delete, ConditionCheck *dynamoInput }
}

// dynamo answers for DynamoDB.
func (c *cloud) dynamo(call *awsCall, body []byte) (status int, answer any) {
	var in dynamoInput
	if err := json.Unmarshal(body, &in); err != nil { //nolint:musttag // The fields are called as DynamoDB calls them.
		return failure("SerializationException", nil)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	call.table = in.TableName
	switch call.operation {
	case "GetItem":
		item := c.table(call.region, in.TableName)[in.Key["pk"].bytes()][in.Key["sk"].bytes()]
		call.items = item.size()
		call.reads = units(call.items, readUnit)
		if item == nil {
			return http.StatusOK, object{}
		}
		return http.StatusOK, object{"Item": item}
	case "Query":
		items := c.query(call.region, &in)
		for _, item := range items {
			call.items += item.size()
		}
		call.reads = units(call.items, readUnit)
		return http.StatusOK, object{"Items": items, "Count": len(items)}
	case "PutItem", "DeleteItem":
		return c.write(call, []write{{&in, call.operation == "PutItem", call.operation == "DeleteItem"}}, 1)
	case "TransactWriteItems":
		writes := make([]write, 0, len(in.TransactItems))
		for _, t := range in.TransactItems {
			switch {
			case t.Put != nil:
				writes = append(writes, write{t.Put, true, false})
			case t.Delete != nil:
				writes = append(writes, write{t.Delete, false, true})
			default:
				writes = append(writes, write{t.ConditionCheck, false, false})
			}
		}
		return c.write(call, writes, transacted)
	default:
		return http.StatusOK, described(in.TableName)
	}
}

// described is a table as the infrastructure makes it: what DescribeTable, DescribeTimeToLive and ListTagsOfResource say.
func described(name string) object {
	return object{
		"Table": object{
			"TableName": name, "TableStatus": "ACTIVE", "TableArn": "arn:aws:dynamodb:us-east-1:" + account + ":table/" + name,
			"KeySchema":            []object{{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}},
			"AttributeDefinitions": []object{{"AttributeName": "pk", "AttributeType": "B"}, {"AttributeName": "sk", "AttributeType": "B"}},
		},
		"TimeToLiveDescription": object{"AttributeName": "ttl", "TimeToLiveStatus": "ENABLED"},
		"Tags":                  []object{{"Key": schemaTag, "Value": "1"}},
	}
}

func failure(code string, more object) (status int, answer any) {
	out := object{"__type": "com.amazonaws.dynamodb.v20120810#" + code}
	maps.Copy(out, more)
	return http.StatusBadRequest, out
}

// table is a region's, but for the directory, which is one in all regions.
func (c *cloud) table(region, name string) dynamoTable {
	if strings.HasSuffix(name, directoryTable) {
		region = ""
	}
	t, ok := c.tables[region+"/"+name]
	if !ok {
		made := make(dynamoTable)
		t = &made
		c.tables[region+"/"+name] = t
	}
	return *t
}

func (c *cloud) query(region string, in *dynamoInput) []dynamoItem {
	partition := c.table(region, in.TableName)[in.ExpressionAttributeValues[":pk"].bytes()]
	from := in.ExpressionAttributeValues[":from"]
	to, bounded := in.ExpressionAttributeValues[":to"]
	keys := slices.Sorted(maps.Keys(partition))
	if in.ScanIndexForward != nil && !*in.ScanIndexForward {
		slices.Reverse(keys)
	}
	found := []dynamoItem{}
	for _, key := range keys {
		if key >= from.bytes() && (!bounded || key <= to.bytes()) && len(found) < in.Limit {
			found = append(found, partition[key])
		}
	}
	return found
}

// write is an operation that changes an item, or checks it.
type write struct {
	*dynamoInput

	put, remove bool
}

func (w write) key() (partition, sort string) {
	key := w.Key
	if w.put {
		key = w.Item
	}
	return key["pk"].bytes(), key["sk"].bytes()
}

// write makes the operations, all or none of them.
func (c *cloud) write(call *awsCall, writes []write, factor float64) (status int, answer any) {
	reasons, refused := make([]object, len(writes)), false
	for i, w := range writes {
		call.table = w.TableName
		pk, sk := w.key()
		stored := c.table(call.region, w.TableName)[pk][sk]
		bytes := max(stored.size(), w.Item.size())
		call.items += bytes
		call.writes += factor * units(bytes, writeUnit)
		reasons[i] = object{"Code": "None"}
		if !w.holds(stored) {
			refused = true
			reasons[i] = object{"Code": "ConditionalCheckFailed", "Item": stored}
		}
	}
	switch {
	case refused && factor == 1:
		return failure("ConditionalCheckFailedException", reasons[0])
	case refused:
		return failure("TransactionCanceledException", object{"CancellationReasons": reasons})
	}
	if strings.HasSuffix(call.table, regionalTable) && factor == transacted {
		c.written = nil
	}
	for _, w := range writes {
		if w.put && strings.HasSuffix(call.table, regionalTable) {
			c.written = append(c.written, dynamoItem{"pk": w.Item["pk"], "sk": w.Item["sk"]})
		}
		table := c.table(call.region, w.TableName)
		pk, sk := w.key()
		switch {
		case w.remove:
			delete(table[pk], sk)
		case w.put && table[pk] == nil:
			table[pk] = map[string]dynamoItem{sk: w.Item}
		case w.put:
			table[pk][sk] = w.Item
		}
	}
	return http.StatusOK, object{}
}

// holds evaluates the conditions that the stores use.
func (in *dynamoInput) holds(stored dynamoItem) bool {
	values := in.ExpressionAttributeValues
	version := strings.Compare(stored["version"].bytes(), values[":version"].bytes())
	_, mortal := stored["ttl"]
	ended := mortal && stored["ttl"].number() <= values[":now"].number()
	text := in.ConditionExpression
	switch {
	case text == "":
		return true
	case strings.HasPrefix(text, "#version ="):
		return stored != nil && version == 0 && !ended
	case strings.HasPrefix(text, "#ttl <="):
		return stored != nil && ended
	default: // attribute_not_exists(#pk), or else older, or else ended.
		return stored == nil || strings.Contains(text, "#version <") && version < 0 || strings.Contains(text, "#ttl <=") && ended
	}
}
