// Package topologyfile reads, checks and explains topology files: YAML read into the message of topology.proto. It is the one place where
// the rules for topologies stand, and so the way by which each topology.Topology comes to be.
//
// What it promises: a topology that it returns keeps the promises of package topology. Whatever breaks them is refused with file, line,
// column and what to do, all of it at once.
package topologyfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"buf.build/go/protovalidate"
	"buf.build/go/protoyaml"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"

	topologyv1 "github.com/domicile-api/domicile/gen/domicile/topology/v1"
	"github.com/domicile-api/domicile/internal/topology"
)

// maxFile is how many bytes a topology file may have; 32 regions with comments take about 10 KiB.
const maxFile = 256 << 10

// Load reads and checks a topology file. If the file is read and not valid, the error is an *Error.
func Load(path string) (*topology.Topology, error) {
	data, err := ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// ReadFile reads a topology file for Parse or Check, and no more of it than a topology can have.
func ReadFile(path string) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // The operator names the file.
	if err != nil {
		return nil, fmt.Errorf("opening the topology file: %w", err)
	}
	defer func() { _ = file.Close() }() // Opened for reading: closing loses nothing.
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the topology file %s: %w", path, err)
	}
	return data, nil
}

// Parse checks a topology file's content and returns its topology. The name stands in the problems; it is not opened. If the
// content is not valid, the error is an *Error with all problems.
func Parse(name string, data []byte) (*topology.Topology, error) {
	message, problems := read(name, data)
	if len(problems) > 0 {
		return nil, &Error{Problems: problems}
	}
	t, err := topology.FromChecked(message)
	if err != nil {
		return nil, fmt.Errorf("making the topology of %s: %w", name, err)
	}
	return t, nil
}

// New checks a topology made in code as Parse checks a file. It does not keep the message.
func New(message *topologyv1.Topology) (*topology.Topology, error) {
	data, err := marshal(message)
	if err != nil {
		return nil, err
	}
	return Parse("topology", data)
}

// Check returns what is wrong with a topology file's content, in the order in which it stands there; nil if it is valid.
func Check(name string, data []byte) []Problem {
	_, problems := read(name, data)
	return problems
}

// read goes through the file in passes: its text, its YAML, its fields, their types, the contract's rules, and what the
// regions mean to each other. Text and YAML must be right for the rest to make sense. The later passes all run, and each
// says nothing more of what an earlier one refused.
func read(name string, data []byte) (*topologyv1.Topology, []Problem) {
	root, problem := readYAML(data)
	if problem != nil {
		problem.File = name
		return nil, []Problem{*problem}
	}
	doc := newDocument(name, root)
	doc.checkFields()
	doc.endPass()
	message := &topologyv1.Topology{}
	doc.decode(data, message)
	doc.endPass()
	doc.validate(message)
	doc.endPass()
	checkRegions(doc, message)
	sortProblems(doc.problems)
	return message, doc.problems
}

// decode fills the message, and reports what is not of its field's type.
func (d *document) decode(data []byte, message *topologyv1.Topology) {
	options := protoyaml.UnmarshalOptions{CustomUnmarshaler: shorthand{}}
	err := options.Unmarshal(data, message)
	if err == nil {
		return
	}
	var all interface{ Unwrap() []error }
	if !errors.As(err, &all) {
		d.add("", d.root, err.Error(), "write the file as "+DefaultName+" is written")
		return
	}
	for _, one := range all.Unwrap() {
		d.addDecodeError(one)
	}
}

// addDecodeError takes the position out of an error of protoyaml, whose type is not exported: its text begins with
// "<path>:<line>:<column> ", the path being empty here.
func (d *document) addDecodeError(err error) {
	var line, column int
	if _, scanErr := fmt.Sscanf(err.Error(), ":%d:%d ", &line, &column); scanErr != nil {
		d.add("", d.root, err.Error(), "write the file as "+DefaultName+" is written")
		return
	}
	text := err.Error()
	if cause := errors.Unwrap(err); cause != nil {
		text = cause.Error()
	}
	at := position{line, column}
	if d.refused[at] {
		return
	}
	place, known := d.places[at]
	if !known {
		place.path, place.node = noField, &yaml.Node{Line: line, Column: column}
	}
	d.addOf(place.path, place.node, text)
}

// addOf reports what is wrong with a field's value.
func (d *document) addOf(path string, node *yaml.Node, text string) {
	field := lastField(path)
	if field != "" && field != noField {
		text = field + ": " + text
	}
	d.add(path, node, text, adviceFor(field))
}

// validate reports what breaks the rules that stand in the contract, topology.proto.
func (d *document) validate(message *topologyv1.Topology) {
	err := protovalidate.Validate(message)
	if err == nil {
		return
	}
	var invalid *protovalidate.ValidationError
	if !errors.As(err, &invalid) {
		d.add("", d.root, err.Error(), "report this: the rules of topology.proto do not compile")
		return
	}
	for _, violation := range invalid.Violations {
		path := protovalidate.FieldPathString(violation.Proto.GetField())
		text := violation.Proto.GetMessage()
		if before, _, found := strings.Cut(text, " `"); found {
			text = before // The pattern itself; the advice says it in words.
		}
		d.addOf(path, d.closest(path), text)
	}
}

// shorthand lets a file say a role as people do: home, HOME or ROLE_HOME; and takes "standby:" with nothing behind it for
// no standby.
type shorthand struct{}

// Unmarshal rewrites the nodes of a region to what protoyaml takes and leaves the decoding to it.
func (shorthand) Unmarshal(node *yaml.Node, message proto.Message) (bool, error) {
	if _, ok := message.(*topologyv1.Region); !ok || node.Kind != yaml.MappingNode {
		return false, nil
	}
	for i := 1; i < len(node.Content); i += 2 {
		key, value := node.Content[i-1], node.Content[i]
		switch {
		case value.Kind == yaml.ScalarNode && value.Tag == nullTag:
			value.Value = ""
		case key.Value == "roles" && value.Kind == yaml.SequenceNode:
			for _, item := range value.Content {
				if role, ok := parseRole(item.Value); ok {
					item.Value = role.String()
				}
			}
		}
	}
	return false, nil
}

// parseRole reads a role in either case, with or without the prefix of the enum.
func parseRole(text string) (topologyv1.Role, bool) {
	name := strings.ToUpper(text)
	if !strings.HasPrefix(name, "ROLE_") {
		name = "ROLE_" + name
	}
	role := topologyv1.Role(topologyv1.Role_value[name])
	return role, role != topologyv1.Role_ROLE_UNSPECIFIED
}

// marshal writes a message as a topology file.
func marshal(message *topologyv1.Topology) ([]byte, error) {
	data, err := protoyaml.MarshalOptions{UseProtoNames: true}.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("writing the topology as YAML: %w", err)
	}
	return data, nil
}
