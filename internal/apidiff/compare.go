package apidiff

import (
	"fmt"
	"slices"
	"time"

	"github.com/oasdiff/oasdiff/checker"
	"github.com/oasdiff/oasdiff/diff"
	"github.com/oasdiff/oasdiff/load"
)

// Compare says what changed from an older document to a newer one. day is the day on which the newer one holds: an operation may be gone
// from its sunset on; the zero time is before any sunset. A statement of residency that is no such statement (an unknown data class,
// say) is an *InputError.
func Compare(older, newer *Document, day time.Time) (*Report, error) {
	changes, err := clientChanges(older, newer)
	if err != nil {
		return nil, err
	}
	more, err := residencyChanges(older, newer)
	if err != nil {
		return nil, err
	}
	sunsets, err := sunsetChanges(older, newer, day)
	if err != nil {
		return nil, err
	}
	return newReport(older.Name, newer.Name, slices.Concat(changes, more, sunsets)), nil
}

// clientChanges is what oasdiff knows.
func clientChanges(older, newer *Document) ([]Change, error) {
	before, err := withoutSunsets(older)
	if err != nil {
		return nil, err
	}
	after, err := withoutSunsets(newer)
	if err != nil {
		return nil, err
	}
	difference, sources, err := diff.GetWithOperationsSourcesMap(
		diff.NewConfig(), &load.SpecInfo{Url: older.Name, Spec: before}, &load.SpecInfo{Url: newer.Name, Spec: after},
	)
	if err != nil {
		return nil, fmt.Errorf("comparing %s with %s: %w", older.Name, newer.Name, err)
	}
	found := checker.CheckBackwardCompatibilityUntilLevel(checker.NewConfig(checker.GetAllChecks()), difference, sources, checker.INFO)
	words := checker.NewDefaultLocalizer()
	changes := make([]Change, 0, len(found))
	for _, c := range found {
		change := Change{Effect: effectOf(c.GetLevel()), Rule: c.GetId(), Text: c.GetUncolorizedText(words)}
		if c.GetPath() != "" {
			change.Operations = []string{c.GetOperation() + " " + c.GetPath()}
		}
		switch {
		case c.GetRevisionSource() != nil:
			change.At = place(newer.Name, c.GetRevisionSource().Line)
		case c.GetBaseSource() != nil:
			change.At = place(older.Name, c.GetBaseSource().Line)
		}
		changes = append(changes, change)
	}
	return changes, nil
}

func effectOf(l checker.Level) Effect {
	switch l {
	case checker.ERR:
		return Breaking
	case checker.WARN:
		return Risky
	default:
		return Compatible
	}
}

func place(name string, line int) string {
	if line == 0 {
		return name
	}
	return fmt.Sprintf("%s:%d", name, line)
}
