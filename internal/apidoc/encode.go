package apidoc

import (
	"bytes"
	"fmt"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"
)

// rootOrder is the order of a document's parts, for those who read it from the top. What is not in it comes before the paths.
//
//nolint:gochecknoglobals // an immutable table
var rootOrder = map[string]int{"openapi": 1, "info": 2, "servers": 3, "tags": 4, "security": 5, "paths": 7, "components": 8}

// Encode writes a document as YAML. Equal documents are equal bytes, and a document that was read from them is written as the same.
func Encode(doc *openapi3.T) ([]byte, error) {
	value, err := doc.MarshalYAML()
	if err != nil {
		return nil, fmt.Errorf("encoding a document: %w", err)
	}
	var root yaml.Node
	if err := root.Encode(value); err != nil {
		return nil, fmt.Errorf("encoding a document: %w", err)
	}
	sortRoot(&root)
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&root); err != nil {
		return nil, fmt.Errorf("encoding a document: %w", err)
	}
	if err := encoder.Close(); err != nil {
		return nil, fmt.Errorf("encoding a document: %w", err)
	}
	return out.Bytes(), nil
}

// sortRoot moves the parts of a document into rootOrder; those that are not in it keep their order among themselves.
func sortRoot(root *yaml.Node) {
	const others, last = 6, 8
	pairs := make([][]*yaml.Node, last+1)
	for i := 0; i+1 < len(root.Content); i += 2 {
		at, known := rootOrder[root.Content[i].Value]
		if !known {
			at = others
		}
		pairs[at] = append(pairs[at], root.Content[i], root.Content[i+1])
	}
	root.Content = root.Content[:0]
	for _, pair := range pairs {
		root.Content = append(root.Content, pair...)
	}
}

// Decode reads a document, YAML or JSON. It follows no reference out of it.
func Decode(data []byte) (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData(data)
	if err != nil {
		return nil, fmt.Errorf("reading a document: %w", err)
	}
	return doc, nil
}

// clone copies a document, so that nothing is shared with it.
func clone(doc *openapi3.T) (*openapi3.T, error) {
	data, err := doc.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("copying a document: %w", err)
	}
	return Decode(data)
}
