package apidoctest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// note remembers that an operation answered with a status.
func (c *Checker) note(operation string, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen[operation] == nil {
		c.seen[operation] = map[int]int{}
	}
	c.seen[operation][status]++
}

// noteGap remembers that a request was refused which the document allows.
func (c *Checker) noteGap(operation string, x Exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gaps[operation] = fmt.Sprintf("%s %s %.200q: %.600q", x.Method, x.URL.RequestURI(), x.Body, x.AnswerBody)
}

// Checked is the number of exchanges that an operation of the document was found for.
func (c *Checker) Checked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, statuses := range c.seen {
		for _, times := range statuses {
			n += times
		}
	}
	return n
}

// Gaps are the requests that the server refused as breaking the contract although the document allows them, the last of each operation, by
// its id: rules that no schema can say, or that the document should have.
func (c *Checker) Gaps() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.gaps)
}

// Missing says what of the document no exchange has shown: operations that nobody called, and successes (2xx, 304) that nobody got.
func (c *Checker) Missing() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var missing []string
	for _, path := range c.global.spec.Paths.Keys() {
		for method, op := range c.global.spec.Paths.Value(path).Operations() {
			name := fmt.Sprintf("%s (%s %s)", op.OperationID, method, path)
			if len(c.seen[op.OperationID]) == 0 {
				missing = append(missing, name+": nobody calls it")
				continue
			}
			for status := range op.Responses.Map() {
				success := strings.HasPrefix(status, "2") || status == strconv.Itoa(http.StatusNotModified)
				if code, err := strconv.Atoi(status); success && (err != nil || c.seen[op.OperationID][code] == 0) {
					missing = append(missing, name+": nobody gets "+status)
				}
			}
		}
	}
	slices.Sort(missing)
	return missing
}
