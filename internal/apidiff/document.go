package apidiff

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"
)

// Document is an OpenAPI document that was read and found valid.
type Document struct {
	// Name says where it came from, as the person who named it did: a file, a URL, a revision and a path.
	Name string
	// Spec is the document, its references resolved.
	Spec *openapi3.T

	data []byte
}

// InputError says that a document cannot be read, or says something that documents cannot say.
type InputError struct {
	// Name is the document's; Line is 0 when it is not known.
	Name string
	Line int
	// Err says what is wrong.
	Err error
}

func (e *InputError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s:%d: %v", e.Name, e.Line, e.Err)
	}
	return fmt.Sprintf("%s: %v", e.Name, e.Err)
}

// Unwrap returns what is wrong.
func (e *InputError) Unwrap() error { return e.Err }

// Parse reads an OpenAPI 3 document, YAML or JSON, and validates it. A reference to another document is refused: what is compared must
// be whole. The error is an *InputError.
func Parse(name string, data []byte) (*Document, error) {
	version, err := sniff(data)
	if err != nil {
		return nil, &InputError{Name: name, Err: err}
	}
	if !strings.HasPrefix(version, "3.") {
		return nil, &InputError{Name: name, Line: 1, Err: fmt.Errorf("OpenAPI %s is not known; 3.0 and 3.1 are", version)}
	}
	loader := openapi3.NewLoader()
	loader.IncludeOrigin = true
	spec, err := loader.LoadFromData(data)
	if err != nil {
		return nil, &InputError{Name: name, Err: fmt.Errorf("reading the document: %w", err)}
	}
	// An example that does not fit its schema is the generation's fault to find; two documents can be compared in spite of it.
	if err := spec.Validate(loader.Context, openapi3.DisableExamplesValidation()); err != nil {
		return nil, &InputError{Name: name, Err: fmt.Errorf("not a valid OpenAPI document: %w", err)}
	}
	return &Document{Name: name, Spec: spec, data: data}, nil
}

// sniff says which OpenAPI a document is of; it tells what is no YAML, and what is YAML and something else.
func sniff(data []byte) (string, error) {
	var root yaml.Node
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	switch err := decoder.Decode(&root); {
	case errors.Is(err, io.EOF):
		return "", errors.New("it is empty")
	case err != nil:
		return "", fmt.Errorf("neither YAML nor JSON: %w", err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return "", errors.New("it goes on after the first YAML document")
	}
	if len(root.Content) == 0 || root.Content[0].Kind != yaml.MappingNode {
		return "", errors.New("not an OpenAPI document: it holds no fields")
	}
	fields := root.Content[0].Content
	for i := 0; i+1 < len(fields); i += 2 {
		if key := fields[i].Value; key == "openapi" || key == "swagger" {
			return fields[i+1].Value, nil
		}
	}
	return "", errors.New("not an OpenAPI document: it has no field 'openapi'")
}

// line returns the line of a field in an object of the document, else the line of the object, else 0.
func line(o *openapi3.Origin, field string) int {
	if o == nil {
		return 0
	}
	if at, ok := o.Fields.Lookup(field); ok {
		return at.Line
	}
	if o.Key != nil {
		return o.Key.Line
	}
	return 0
}
