package rpc

import (
	"regexp"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
)

// decodeError says what is wrong with a request that does not decode: in words of this package, with a position and the name that the
// contract gives a field, and with nothing of what was sent.
type decodeError struct {
	what  string // one of the texts of describe
	field string // JSON name of a known field, or empty
	at    string // "line 1, column 2", or empty
}

const decodePrefix = "the request does not decode: "

// Error returns a text that decodeText finds again in the texts that libraries make of it.
func (e *decodeError) Error() string {
	text := decodePrefix + e.what
	if e.field != "" {
		text += " (field " + e.field + ")"
	}
	if e.at != "" {
		text += " at " + e.at
	}
	return text
}

// fault returns the refusal, with a violation where the field is known.
func (e *decodeError) fault() *fault.Error {
	f := fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "%s", e.Error())
	if e.field != "" {
		f.Violations = []fault.Violation{{Field: e.field, Rule: "decode", Message: e.what}}
	}
	return f
}

// The forms of protojson's texts. Each is anchored at its beginning, where protojson writes and the caller cannot: what was sent comes
// after. The space behind "proto:" is sometimes a no-break space, on purpose, so that nobody relies on it.
var (
	positionForm = regexp.MustCompile(`^proto:[\s\x{00a0}](?:syntax error )?\(line (\d+):(\d+)\): `)
	unknownForm  = regexp.MustCompile(`^(?:unable to resolve|unknown field) `)
	twiceForm    = regexp.MustCompile(`^(?:duplicate (?:field|map key)|error parsing) `)
	valueForm    = regexp.MustCompile(`^invalid value for \w+ field (\w+): `)
	utf8Form     = regexp.MustCompile(`^(?:proto:[\s\x{00a0}]){0,2}(?:(?:string )?field (?:[\w.]+ )?contains )?invalid UTF-8`)
)

// describe returns nil for nil, and else a *decodeError.
func describe(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if utf8Form.MatchString(text) {
		return &decodeError{what: "a text is not valid UTF-8"}
	}
	position := positionForm.FindStringSubmatch(text)
	if position == nil {
		return &decodeError{what: "it is not a message of the contract"}
	}
	e := &decodeError{at: "line " + position[1] + ", column " + position[2]}
	rest := text[len(position[0]):]
	switch {
	case unknownForm.MatchString(rest):
		e.what = "there is a field that the contract does not have"
	case twiceForm.MatchString(rest):
		e.what = "a field is given twice"
	case utf8Form.MatchString(rest):
		e.what = "a text is not valid UTF-8"
	default:
		e.what = "a value has not the form that the contract gives it"
		if value := valueForm.FindStringSubmatch(rest); value != nil {
			e.field = value[1]
		}
	}
	return e
}

// ownText is a decodeError's text inside that of a library, whole and to its end.
var ownText = regexp.MustCompile(
	`(` + decodePrefix + `)(the body is empty|it is not a message of the contract|a text is not valid UTF-8|there is a field that the ` +
		`contract does not have|a field is given twice|a value has not the form that the contract gives it)` +
		`(?: \(field (\w+)\))?(?: at (line \d+, column \d+))?$`)

// decodeFault finds a decodeError's text in what a library made of it; nil if there is none.
func decodeFault(text string) *fault.Error {
	parts := ownText.FindStringSubmatch(text)
	if parts == nil {
		return nil
	}
	return (&decodeError{what: parts[2], field: parts[3], at: parts[4]}).fault()
}
