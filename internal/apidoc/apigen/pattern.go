package apigen

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// patternsOf returns the patterns that the values of requests' fields have by what the methods are about, not by a rule of their own: the
// ids of entities, and the paths of field masks.
func (c *contracts) patternsOf(methods []*method) map[protoreflect.FullName]string {
	patterns := map[protoreflect.FullName]string{}
	inPath := c.pathPatterns(methods)
	for _, m := range methods {
		for _, name := range pathFields(m) {
			field := m.Input().Fields().ByName(protoreflect.Name(name))
			if pattern := patternAt(inPath, m, name); pattern != "" && field != nil {
				patterns[field.FullName()] = pattern
			}
		}
		for i := range m.Input().Fields().Len() {
			field := m.Input().Fields().Get(i)
			if pattern := maskPattern(m, field); pattern != "" {
				patterns[field.FullName()] = pattern
			}
		}
	}
	return patterns
}

// maskPattern matches the paths that a field mask may have: those of the one message that the request or, if it has none, the answer
// holds. It is empty for all other fields.
func maskPattern(m *method, field protoreflect.FieldDescriptor) string {
	if !isMask(field) {
		return ""
	}
	if len(m.overlay.Mask) > 0 {
		paths := "(" + strings.Join(m.overlay.Mask, "|") + ")"
		return "^" + paths + "(," + paths + ")*$"
	}
	resource := resourceOf(m.Input())
	if resource == nil {
		resource = resourceOf(m.Output())
	}
	if resource == nil {
		return ""
	}
	paths := "(" + strings.Join(maskPaths(resource, nil), "|") + ")"
	return "^" + paths + "(," + paths + ")*$"
}

func isMask(field protoreflect.FieldDescriptor) bool {
	return field.Message() != nil && field.Message().FullName() == "google.protobuf.FieldMask"
}

// resourceOf returns the message that a request or an answer is about: an entity among its fields, or the elements of a list of them.
func resourceOf(md protoreflect.MessageDescriptor) protoreflect.MessageDescriptor {
	var found protoreflect.MessageDescriptor
	for i := range md.Fields().Len() {
		sub := md.Fields().Get(i).Message()
		if sub == nil || wellKnown(sub) != nil || md.Fields().Get(i).IsMap() {
			continue
		}
		if md.Fields().Get(i).IsList() && md.Fields().ByName("next_page_token") == nil {
			continue
		}
		if found != nil {
			return nil
		}
		found = sub
	}
	return found
}

func maskPaths(md protoreflect.MessageDescriptor, above []protoreflect.FullName) []string {
	paths := make([]string, 0, md.Fields().Len())
	for i := range md.Fields().Len() {
		field := md.Fields().Get(i)
		path := field.JSONName()
		sub := field.Message()
		if sub != nil && wellKnown(sub) == nil && !field.IsList() && !field.IsMap() && !slices.Contains(above, sub.FullName()) {
			path += `(\.(` + strings.Join(maskPaths(sub, append(above, md.FullName())), "|") + "))?"
		}
		paths = append(paths, path)
	}
	return paths
}

// masksOf returns the properties that methods change, where the overlay says them, by the field that holds the changes.
func masksOf(methods []*method) map[protoreflect.FullName][]string {
	masks := map[protoreflect.FullName][]string{}
	for _, m := range methods {
		for i := range m.Input().Fields().Len() {
			if field := m.Input().Fields().Get(i); isChange(field) && len(m.overlay.Mask) > 0 {
				masks[field.FullName()] = m.overlay.Mask
			}
		}
	}
	return masks
}
