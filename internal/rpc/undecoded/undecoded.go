// Package undecoded says what is wrong with a request that does not decode, in words of its own: what the libraries that decode say of it
// holds what the caller sent. It also finds its words again in what libraries make of them.
package undecoded

import (
	"regexp"
	"sync"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
)

// Error says what is wrong with a request that does not decode, with a position and the name that the contract gives a field, and with
// nothing of what was sent.
type Error struct {
	what  string // one of the texts of Describe
	field string // JSON name of a known field, or empty
	at    string // "line 1, column 2", or empty
}

const prefix = "the request does not decode: "

// Error returns a text that Fault finds again in the texts that libraries make of it.
func (e *Error) Error() string {
	text := prefix + e.what
	if e.field != "" {
		text += " (field " + e.field + ")"
	}
	if e.at != "" {
		text += " at " + e.at
	}
	return text
}

// Fault returns the refusal, with a violation where the field is known.
func (e *Error) Fault() *fault.Error {
	f := fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "%s", e.Error())
	if e.field != "" {
		f.Violations = []fault.Violation{{Field: e.field, Rule: "decode", Message: e.what}}
	}
	return f
}

// forms are those of protojson's texts. Each is anchored at its beginning, where protojson writes and the caller cannot: what was sent
// comes after. The space behind "proto:" is sometimes a no-break space, on purpose, so that nobody relies on it.
type forms struct{ position, unknown, twice, value, utf8 *regexp.Regexp }

// compiled has the forms. They are compiled when the first text is looked at: a function of the edge starts without.
var compiled = sync.OnceValue(func() forms { //nolint:gochecknoglobals // an immutable table
	return forms{
		position: regexp.MustCompile(`^proto:[\s\x{00a0}](?:syntax error )?\(line (\d+):(\d+)\): `),
		unknown:  regexp.MustCompile(`^(?:unable to resolve|unknown field) `),
		twice:    regexp.MustCompile(`^(?:duplicate (?:field|map key)|error parsing) `),
		value:    regexp.MustCompile(`^invalid value for \w+ field (\w+): `),
		utf8:     regexp.MustCompile(`^(?:proto:[\s\x{00a0}]){0,2}(?:(?:string )?field (?:[\w.]+ )?contains )?invalid UTF-8`),
	}
})

// Empty returns that there is no body where a message was to be.
func Empty() *Error { return &Error{what: "the body is empty"} }

const formless = "a value has not the form that the contract gives it"

// Formless returns that a field, by its JSON name, has a value that it cannot have.
func Formless(field string) *Error { return &Error{what: formless, field: field} }

// Describe returns nil for nil, and else an *Error. It knows the texts of protojson and proto.
func Describe(err error) error {
	if err == nil {
		return nil
	}
	text, form := err.Error(), compiled()
	if form.utf8.MatchString(text) {
		return &Error{what: "a text is not valid UTF-8"}
	}
	position := form.position.FindStringSubmatch(text)
	if position == nil {
		return &Error{what: "it is not a message of the contract"}
	}
	e := &Error{at: "line " + position[1] + ", column " + position[2]}
	rest := text[len(position[0]):]
	switch {
	case form.unknown.MatchString(rest):
		e.what = "there is a field that the contract does not have"
	case form.twice.MatchString(rest):
		e.what = "a field is given twice"
	case form.utf8.MatchString(rest):
		e.what = "a text is not valid UTF-8"
	default:
		e.what = formless
		if value := form.value.FindStringSubmatch(rest); value != nil {
			e.field = value[1]
		}
	}
	return e
}

// ownText is an Error's text inside that of a library, whole and to its end.
var ownText = sync.OnceValue(func() *regexp.Regexp { //nolint:gochecknoglobals // an immutable form
	return regexp.MustCompile(
		`(` + prefix + `)(the body is empty|it is not a message of the contract|a text is not valid UTF-8|there is a field that the ` +
			`contract does not have|a field is given twice|a value has not the form that the contract gives it)` +
			`(?: \(field (\w+)\))?(?: at (line \d+, column \d+))?$`)
})

// Fault finds an Error's text in what a library made of it, and returns the refusal; nil if there is none.
func Fault(text string) *fault.Error {
	parts := ownText().FindStringSubmatch(text)
	if parts == nil {
		return nil
	}
	return (&Error{what: parts[2], field: parts[3], at: parts[4]}).Fault()
}
