package lambdahost

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// eventFrame is what surrounds the records of an event.
const eventFrame = `{"Records":[]}`

// recordsEvent puts records, which are JSON, into an event.
func recordsEvent(records [][]byte) []byte {
	const open = len(eventFrame) - 2
	return append(append([]byte(eventFrame[:open]), bytes.Join(records, []byte(","))...), eventFrame[open:]...)
}

// batchFailures reads what a function reports with ReportBatchItemFailures: the ids of the items that failed, none for a complete
// success. An error says that the whole batch failed
// (docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html, services-ddb-batchfailurereporting.html): no JSON, an item
// without an identifier or with an empty one. So it is, too, when an id is not of the batch, or the answer is neither empty nor an object; of
// these AWS does not say what becomes.
func batchFailures(answer []byte, batch map[string]bool) ([]string, error) {
	answer = bytes.TrimSpace(answer)
	if len(answer) == 0 || bytes.Equal(answer, []byte("null")) || bytes.Equal(answer, []byte(`""`)) {
		return nil, nil
	}
	var response map[string]json.RawMessage // Not a struct, whose names would match in any case.
	if err := json.Unmarshal(answer, &response); err != nil {
		return nil, fmt.Errorf("a malformed batch response: %w", err)
	}
	var items []map[string]json.RawMessage
	if list := response["batchItemFailures"]; list != nil {
		if err := json.Unmarshal(list, &items); err != nil {
			return nil, fmt.Errorf("a malformed batch response: %w", err)
		}
	}
	failed := make([]string, 0, len(items))
	for _, item := range items {
		var id string
		if err := json.Unmarshal(item["itemIdentifier"], &id); err != nil || !batch[id] {
			return nil, fmt.Errorf("a batch response with the item %s, which is not of the batch", item["itemIdentifier"])
		}
		failed = append(failed, id)
	}
	return failed, nil
}
