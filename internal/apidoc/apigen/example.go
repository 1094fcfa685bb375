package apigen

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"

	"buf.build/go/protovalidate"
	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// example is a message of an overlay, in the JSON that the platform reads and writes.
type example struct {
	node  *yaml.Node
	file  string
	value map[string]any
}

func (e *example) at(node *yaml.Node) string { return fmt.Sprintf("%s:%d", e.file, node.Line) }

// readExamples reads the examples of all methods, and holds them against the contracts.
func (g *generation) readExamples(methods []*method) error {
	validator, err := protovalidate.New()
	if err != nil {
		return fmt.Errorf("building the validator of examples: %w", err)
	}
	var problems []error
	for _, m := range methods {
		if m.request, err = readExample(&m.overlay.Request, m.overlay.overlay.file, m.Input(), validator); err != nil {
			problems = append(problems, err)
		}
		if m.response, err = readExample(&m.overlay.Response, m.overlay.overlay.file, m.Output(), nil); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// readExample decodes an example as its message; the validator is for requests, whose rules the platform enforces.
func readExample(node *yaml.Node, file string, md protoreflect.MessageDescriptor, validator protovalidate.Validator) (*example, error) {
	if node.Kind == 0 {
		return nil, nil //nolint:nilnil // there is none, which is no mistake
	}
	e := &example{node: node, file: file}
	var given any
	if err := node.Decode(&given); err != nil {
		return nil, yamlError(file, err)
	}
	data, err := json.Marshal(given)
	if err != nil {
		return nil, fmt.Errorf("%s: the example is not JSON: %w", e.at(node), err)
	}
	message := dynamicpb.NewMessage(md)
	if err := protojson.Unmarshal(data, message); err != nil {
		reason := jsonPosition.ReplaceAllString(err.Error(), "") // of a text that nobody has seen
		return nil, fmt.Errorf("%s: the example is not a %s: %s", e.at(lineOfUnknown(node, err)), md.FullName(), reason)
	}
	if validator != nil {
		var broken *protovalidate.ValidationError
		if err := validator.Validate(message); errors.As(err, &broken) {
			violation := broken.Violations[0]
			path := protovalidate.FieldPathString(violation.Proto.GetField())
			where := e.at(descend(node, jsonPath(md, path)))
			return nil, fmt.Errorf("%s: the example breaks a rule of %s: %s %s", where, md.FullName(), path, violation.Proto.GetMessage())
		} else if err != nil {
			return nil, fmt.Errorf("%s: validating the example: %w", e.at(node), err)
		}
	}
	if data, err = protojson.Marshal(message); err != nil {
		return nil, fmt.Errorf("%s: encoding the example: %w", e.at(node), err)
	}
	if err := json.Unmarshal(data, &e.value); err != nil {
		return nil, fmt.Errorf("%s: encoding the example: %w", e.at(node), err)
	}
	return e, nil
}

// jsonPosition begins the errors of protojson.
var jsonPosition = regexp.MustCompile(`^proto:\s+(\(line \d+:\d+\): )?`)

// lineOfUnknown finds the key that protojson does not know; the whole if it says of none.
func lineOfUnknown(node *yaml.Node, err error) *yaml.Node {
	_, rest, found := strings.Cut(err.Error(), `unknown field "`)
	if !found {
		return node
	}
	name, _, _ := strings.Cut(rest, `"`)
	if key := keyNamed(node, name); key != nil {
		return key
	}
	return node
}

func keyNamed(node *yaml.Node, name string) *yaml.Node {
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 0 && child.Value == name {
			return child
		}
		if found := keyNamed(child, name); found != nil {
			return found
		}
	}
	return nil
}

// jsonPath translates "user.postal_address.lines[2]" to the names of JSON.
func jsonPath(md protoreflect.MessageDescriptor, path string) []string {
	var parts []string
	for part := range strings.SplitSeq(path, ".") {
		name, index, isElement := strings.Cut(part, "[")
		if md != nil {
			if field := md.Fields().ByName(protoreflect.Name(name)); field != nil {
				name, md = field.JSONName(), field.Message()
			}
		}
		parts = append(parts, name)
		if isElement {
			parts = append(parts, strings.Trim(index, `]"`))
		}
	}
	return parts
}

// descend returns the node that a path of keys and indexes leads to, as far as it goes.
func descend(node *yaml.Node, path []string) *yaml.Node {
	for _, part := range path {
		next := (*yaml.Node)(nil)
		if node.Kind == yaml.SequenceNode {
			if i, err := strconv.Atoi(part); err == nil && i < len(node.Content) {
				next = node.Content[i]
			}
		}
		for i := 0; i+1 < len(node.Content) && node.Kind == yaml.MappingNode; i += 2 {
			if node.Content[i].Value == part {
				next = node.Content[i+1]
			}
		}
		if next == nil {
			return node
		}
		node = next
	}
	return node
}

// fits holds a part of an example against the schema that documents it.
func (e *example) fits(schema *openapi3.SchemaRef, value any, path []string, as openapi3.SchemaValidationOption) error {
	err := schema.Value.VisitJSON(value, as, openapi3.EnableFormatValidation())
	if err == nil {
		return nil
	}
	reason := err.Error()
	if wrong, ok := errors.AsType[*openapi3.SchemaError](err); ok {
		path = append(path, wrong.JSONPointer()...)
		reason = wrong.Reason
	}
	return fmt.Errorf("%s: the example does not validate: %s: %s", e.at(descend(e.node, path)), strings.Join(path, "."), reason)
}

// illustrate puts the parts of a method's examples to where a REST call has them.
func (b *builder) illustrate(m *method, op *openapi3.Operation) {
	if m.request != nil {
		b.illustrateRequest(m, op)
	}
	if m.response == nil {
		return
	}
	var value any = m.response.value
	var path []string
	if name := m.rule.GetResponseBody(); name != "" {
		field := m.Output().Fields().ByName(protoreflect.Name(name)).JSONName()
		value, path = m.response.value[field], []string{field}
	}
	media := op.Responses.Value("200").Value.Content[jsonType]
	media.Example = value
	b.note(m.response.fits(media.Schema, value, path, openapi3.VisitAsResponse()))
}

func (b *builder) illustrateRequest(m *method, op *openapi3.Operation) {
	rest := maps.Clone(m.request.value)
	for _, ref := range op.Parameters {
		if ref.Ref != "" {
			continue
		}
		path := bindingOf(m, ref.Value.Name)
		value, given := take(rest, path)
		if !given {
			continue
		}
		ref.Value.Example = value
		b.note(m.request.fits(ref.Value.Schema, value, path, openapi3.VisitAsRequest()))
	}
	if op.RequestBody == nil {
		return
	}
	var value any = rest
	var path []string
	if name := m.rule.GetBody(); name != "*" {
		field := m.Input().Fields().ByName(protoreflect.Name(name)).JSONName()
		value, path = rest[field], []string{field}
	}
	media := op.RequestBody.Value.Content[jsonType]
	media.Example = value
	b.note(m.request.fits(media.Schema, value, path, openapi3.VisitAsRequest()))
}

// bindingOf returns the names in JSON of the fields that a parameter leads through: "ticket" and "id" for the id of /v1/tickets/{ticket.id}.
func bindingOf(m *method, parameter string) []string {
	_, path := patternOf(m.rule)
	for _, part := range strings.Split(path, "{")[1:] {
		name, _, _ := strings.Cut(part, "}")
		name, _, _ = strings.Cut(name, "=")
		if name[strings.LastIndexByte(name, '.')+1:] == parameter {
			return jsonPath(m.Input(), name)
		}
	}
	return strings.Split(parameter, ".")
}

// take removes what a path leads to, and returns it. The objects on the way are copied, since others show the same example.
func take(object map[string]any, path []string) (any, bool) {
	value, given := object[path[0]]
	if len(path) == 1 || !given {
		delete(object, path[0])
		return value, given
	}
	inner, isObject := value.(map[string]any)
	if !isObject {
		return nil, false
	}
	inner = maps.Clone(inner)
	object[path[0]] = inner
	return take(inner, path[1:])
}

// illustrateConnect puts a method's examples to where a Connect call has them.
func (b *builder) illustrateConnect(m *method, op *openapi3.Operation) {
	if m.request != nil && op.RequestBody != nil {
		op.RequestBody.Value.Content[jsonType].Example = m.request.value
		b.note(m.request.fits(b.schemas.ref(m.Input()), m.request.value, nil, openapi3.VisitAsRequest()))
	}
	if m.response != nil {
		op.Responses.Value("200").Value.Content[jsonType].Example = m.response.value
		b.note(m.response.fits(b.schemas.ref(m.Output()), m.response.value, nil, openapi3.VisitAsResponse()))
	}
}

func (b *builder) note(err error) {
	if err != nil {
		b.problems = append(b.problems, err)
	}
}
