package apidiff

import (
	"bytes"
	"fmt"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
)

// sunsetName is the extension of a deprecated operation that says from which day it may be gone.
const sunsetName = "x-sunset"

// withoutSunsets reads a document anew without its sunsets. oasdiff holds them against the clock of the machine, and so would judge the
// same two documents differently tomorrow; and it does not mention an operation that is gone after its sunset. Lines stay as they are.
func withoutSunsets(d *Document) (*openapi3.T, error) {
	if !bytes.Contains(d.data, []byte(sunsetName)) {
		return d.Spec, nil
	}
	other, err := Parse(d.Name, bytes.ReplaceAll(d.data, []byte(sunsetName), []byte("x-was-"+sunsetName)))
	if err != nil {
		return nil, fmt.Errorf("reading it without %s: %w", sunsetName, err)
	}
	return other.Spec, nil
}

// sunsetChanges judges operations that are gone, and sunsets that were moved. day is the day of the newer document; with none each
// sunset is yet to come.
func sunsetChanges(older, newer *Document, day time.Time) ([]Change, error) {
	var changes []Change
	for path, item := range older.Spec.Paths.Map() {
		for method, operation := range item.Operations() {
			before, err := sunsetOf(older.Name, operation)
			if err != nil {
				return nil, err
			}
			now := operationAt(newer.Spec, method, path)
			change := Change{Operations: []string{method + " " + path}}
			if now == nil {
				if !before.IsZero() && day.Before(before) {
					change.Effect, change.Rule, change.At = Breaking, sunsetName+"-not-reached", place(older.Name, line(operation.Origin, sunsetName))
					change.Text = "the operation is gone before its sunset, " + before.Format(time.DateOnly)
					changes = append(changes, change)
				}
				continue
			}
			after, err := sunsetOf(newer.Name, now)
			if err != nil {
				return nil, err
			}
			change.At = place(newer.Name, line(now.Origin, sunsetName))
			if moved(&change, before, after) {
				changes = append(changes, change)
			}
		}
	}
	return changes, nil
}

// moved judges a sunset that was stated, taken back or moved.
func moved(c *Change, before, after time.Time) bool {
	switch {
	case before.Equal(after):
		return false
	case before.IsZero():
		c.Effect, c.Rule, c.Text = Compatible, sunsetName+"-stated", "the operation may be gone from "+after.Format(time.DateOnly)
	case after.IsZero():
		c.Effect, c.Rule, c.Text = Compatible, sunsetName+"-removed", "the operation stays; it was to go on "+before.Format(time.DateOnly)
	default:
		c.Effect, c.Rule = Compatible, sunsetName+"-later"
		if after.Before(before) {
			c.Effect, c.Rule = Breaking, sunsetName+"-earlier"
		}
		c.Text = fmt.Sprintf("the operation may be gone from %s; it was %s", after.Format(time.DateOnly), before.Format(time.DateOnly))
	}
	return true
}

// sunsetOf returns the day, the zero time when there is none.
func sunsetOf(document string, operation *openapi3.Operation) (time.Time, error) {
	raw, ok := operation.Extensions[sunsetName]
	if !ok {
		return time.Time{}, nil
	}
	text, _ := raw.(string)
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if day, err := time.Parse(layout, text); err == nil {
			return day, nil
		}
	}
	err := fmt.Errorf("%s: %v is not a day such as \"2026-11-21\", in quotes", sunsetName, raw)
	return time.Time{}, &InputError{Name: document, Line: line(operation.Origin, sunsetName), Err: err}
}
