package edge

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
)

// template is a path pattern of google.api.http, taken apart: segments, in which "*" stands for one and a last "**" for all that follow,
// and the custom verb behind the colon.
type template struct {
	segments []string
	verb     string
}

var errTemplate = errors.New("edge: not a path pattern of google.api.http")

// parseTemplate reads a pattern by the grammar of google/api/http.proto:
//
//	Template = "/" Segments [ Verb ] ;
//	Segments = Segment { "/" Segment } ;
//	Segment  = "*" | "**" | LITERAL | Variable ;
//	Variable = "{" FieldPath [ "=" Segments ] "}" ;
//	Verb     = ":" LITERAL ;
func parseTemplate(pattern string) (template, error) {
	rest, ok := strings.CutPrefix(pattern, "/")
	if !ok {
		return template{}, fmt.Errorf("%w: %q does not begin with a slash", errTemplate, pattern)
	}
	var t template
	if colon := strings.LastIndexByte(rest, ':'); colon > strings.LastIndexAny(rest, "/}") {
		rest, t.verb = rest[:colon], rest[colon+1:]
		if !isLiteral(t.verb) {
			return template{}, fmt.Errorf("%w: the verb of %q", errTemplate, pattern)
		}
	}
	for rest != "" || len(t.segments) == 0 {
		var segments []string
		var err error
		if segments, rest, err = nextSegments(rest); err != nil {
			return template{}, fmt.Errorf("%w: %q: %w", errTemplate, pattern, err)
		}
		t.segments = append(t.segments, segments...)
	}
	for i, segment := range t.segments {
		switch {
		case segment == "**" && i != len(t.segments)-1:
			return template{}, fmt.Errorf("%w: ** is not last in %q", errTemplate, pattern)
		case segment != "*" && segment != "**" && !isLiteral(segment):
			return template{}, fmt.Errorf("%w: a segment of %q", errTemplate, pattern)
		}
	}
	return t, nil
}

var (
	errBrace   = errors.New("a brace is not closed")
	errNothing = errors.New("a segment is empty")
)

// nextSegments takes one segment off a pattern, or the segments of a variable.
func nextSegments(rest string) (segments []string, after string, err error) {
	if !strings.HasPrefix(rest, "{") {
		segment, after, more := strings.Cut(rest, "/")
		if segment == "" || more && after == "" {
			return nil, "", errNothing
		}
		return []string{segment}, after, nil
	}
	inside, after, closed := strings.Cut(rest[1:], "}")
	if !closed {
		return nil, "", errBrace
	}
	if after != "" {
		var more bool
		if after, more = strings.CutPrefix(after, "/"); !more || after == "" {
			return nil, "", errNothing
		}
	}
	if _, within, given := strings.Cut(inside, "="); given {
		return strings.Split(within, "/"), after, nil
	}
	return []string{"*"}, after, nil
}

// isLiteral tells whether a text stands for itself in a path: the unreserved characters of RFC 3986. A literal that would need
// percent-encoding is not supported.
func isLiteral(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && !strings.ContainsRune("-_.~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// ruleOf returns a rule's HTTP method and pattern; "*" is any method.
func ruleOf(rule *annotations.HttpRule) (method, pattern string) {
	switch p := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		return http.MethodGet, p.Get
	case *annotations.HttpRule_Put:
		return http.MethodPut, p.Put
	case *annotations.HttpRule_Post:
		return http.MethodPost, p.Post
	case *annotations.HttpRule_Delete:
		return http.MethodDelete, p.Delete
	case *annotations.HttpRule_Patch:
		return http.MethodPatch, p.Patch
	case *annotations.HttpRule_Custom:
		return p.Custom.GetKind(), p.Custom.GetPath()
	default:
		return "", ""
	}
}
