package topologyfile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing in a topology file that is not as it must be.
type Problem struct {
	// File is the name that the file was read under.
	File string
	// Line and Column are where it stands, both from 1; a column counts characters.
	Line, Column int
	// Message says what is wrong.
	Message string
	// Advice says what to do about it.
	Advice string
}

// String returns "file:line:column: message (advice)".
func (p Problem) String() string {
	return fmt.Sprintf("%s:%d:%d: %s (%s)", p.File, p.Line, p.Column, p.Message, p.Advice)
}

// Error is the refusal of a topology file, with all that is wrong with it.
type Error struct {
	// Problems are in the order in which they stand in the file; there is at least one.
	Problems []Problem
}

// Error returns the problems, one a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, problem := range e.Problems {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

func sortProblems(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
