package topologyfile

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"

	topologyv1 "github.com/domicile-api/domicile/gen/domicile/topology/v1"
)

const (
	nullTag = "!!null"
	// noField stands in a path for a field that there is not; to break it breaks no other.
	noField = "?"
)

// position is a place in the file, both numbers from 1.
type position struct{ line, column int }

// place is a node of the file with the path of the field that it is the value of, e.g. "regions[0].roles[1]".
type place struct {
	path string
	node *yaml.Node
}

// document is a topology file's YAML with what was found wrong in it.
type document struct {
	name     string
	root     *yaml.Node
	problems []Problem
	// nodes has the value of each field by its path, places the same by position.
	nodes  map[string]*yaml.Node
	places map[position]place
	// broken has the paths that an earlier pass refused, found those that this one does; refused has the positions of both.
	broken  map[string]bool
	found   []string
	refused map[position]bool
}

func newDocument(name string, root *yaml.Node) *document {
	return &document{
		name:    name,
		root:    root,
		nodes:   make(map[string]*yaml.Node),
		places:  make(map[position]place),
		broken:  make(map[string]bool),
		refused: make(map[position]bool),
	}
}

// add reports a problem of the field with that path, unless an earlier pass refused the field or what it is part of.
func (d *document) add(path string, node *yaml.Node, message, advice string) {
	d.found = append(d.found, path)
	if d.isBroken(path) {
		return
	}
	d.refused[position{node.Line, node.Column}] = true
	d.problems = append(d.problems, Problem{
		File: d.name, Line: max(node.Line, 1), Column: max(node.Column, 1), Message: message, Advice: advice,
	})
}

// endPass makes what this pass refused broken for the next. A list is broken by its items: what it means is not known.
func (d *document) endPass() {
	for _, path := range d.found {
		d.broken[path] = true
		if open := strings.LastIndexByte(path, '['); open > 0 && strings.HasSuffix(path, "]") && strings.Contains(path, ".") {
			d.broken[path[:open]] = true
		}
	}
	d.found = nil
}

// isBroken tells whether an earlier pass refused a field or what it is part of.
func (d *document) isBroken(path string) bool {
	for {
		if d.broken[path] {
			return true
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut <= 0 {
			return path != "" && d.broken[""]
		}
		path = path[:cut]
	}
}

// closest returns the node of a field, or of the message that it is missing in.
func (d *document) closest(path string) *yaml.Node {
	for path != "" {
		if node, ok := d.nodes[path]; ok {
			return node
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return d.root
}

func (d *document) keep(path string, node *yaml.Node) {
	d.nodes[path] = node
	d.places[position{node.Line, node.Column}] = place{path, node}
}

func regionPath(region int, field string) string {
	path := "regions[" + strconv.Itoa(region) + "]"
	if field != "" {
		path += "." + field
	}
	return path
}

// lastField returns the name of the field that a path ends in: "roles" of "regions[0].roles[1]".
func lastField(path string) string {
	path = path[strings.LastIndexByte(path, '.')+1:]
	name, _, _ := strings.Cut(path, "[")
	return name
}

// checkFields learns where each field stands, and reports the fields that a topology does not have, those that stand twice,
// aliases, and roles that there are not.
func (d *document) checkFields() {
	d.keep("", d.root)
	d.checkMessage("", d.root, (&topologyv1.Topology{}).ProtoReflect().Descriptor())
}

func (d *document) checkMessage(path string, node *yaml.Node, message protoreflect.MessageDescriptor) {
	if node.Kind != yaml.MappingNode {
		return // decode reports what is not the right kind of node.
	}
	first := make(map[protoreflect.Name]*yaml.Node)
	for i := 1; i < len(node.Content); i += 2 {
		key, value := node.Content[i-1], node.Content[i]
		field := message.Fields().ByName(protoreflect.Name(key.Value))
		if field == nil || key.Kind != yaml.ScalarNode {
			d.addUnknownField(path, key, message)
			continue
		}
		inner := strings.TrimPrefix(path+"."+key.Value, ".")
		if before := first[field.Name()]; before != nil {
			d.add(inner, key, fmt.Sprintf("%s stands twice; the first is in line %d", field.Name(), before.Line),
				"leave one of them out")
			continue
		}
		first[field.Name()] = key
		d.keep(inner, value)
		d.checkValue(inner, value, field)
	}
}

func (d *document) checkValue(path string, node *yaml.Node, field protoreflect.FieldDescriptor) {
	if node.Kind == yaml.AliasNode {
		d.add(path, node, lastField(path)+": an alias", "write the value itself; aliases are not taken")
		return
	}
	if !field.IsList() || node.Kind != yaml.SequenceNode {
		return
	}
	for i, item := range node.Content {
		inner := path + "[" + strconv.Itoa(i) + "]"
		d.keep(inner, item)
		switch {
		case item.Kind == yaml.AliasNode:
			d.add(inner, item, lastField(path)+": an alias", "write the value itself; aliases are not taken")
		case field.Message() != nil:
			d.checkMessage(inner, item, field.Message())
		case field.Enum() != nil && item.Kind == yaml.ScalarNode:
			if _, ok := parseRole(item.Value); !ok {
				d.add(inner, item, fmt.Sprintf("roles: there is no role %.40q", item.Value), adviceFor("roles"))
			}
		}
	}
}

func (d *document) addUnknownField(path string, key *yaml.Node, message protoreflect.MessageDescriptor) {
	names := make([]string, 0, message.Fields().Len())
	for i := range message.Fields().Len() {
		names = append(names, string(message.Fields().Get(i).Name()))
	}
	text := "a field whose name is not a word"
	if key.Kind == yaml.ScalarNode {
		text = fmt.Sprintf("unknown field %.40q", key.Value)
	}
	d.add(strings.TrimPrefix(path+"."+noField, "."), key, text, "write one of "+strings.Join(names, ", "))
}

// adviceFor says what a field of the file takes.
func adviceFor(field string) string {
	switch field {
	case "regions":
		return "list 1 to 32 regions, each with its fields, as " + DefaultName + " does"
	case "id":
		return `name it with 2 to 40 lower-case letters, digits and "-", beginning with a letter, e.g. eu-central-1`
	case "place":
		return "say where the region is in at most 60 characters, e.g. Frankfurt"
	case "jurisdiction":
		return `name it with at most 20 upper-case letters, digits and "-", beginning with a letter, e.g. EU`
	case "roles":
		return "write one or more of home, standby, control, each once, e.g. [home, control]"
	case "standby":
		return "write the id of a region of the same jurisdiction, or leave the line out"
	case "witness":
		return "write the id of a third region, or leave the line out where there is no standby"
	case "port":
		return "choose a number from 1 to 65535, e.g. 8081"
	case "endpoint":
		return "write an absolute URL, e.g. https://eu-central-1.api.example.com, or leave the line out"
	case "services_endpoint":
		return "write an absolute URL, e.g. https://services.eu-central-1.api.example.com, or leave the line out"
	case "latitude":
		return "write degrees north, from -90 to 90, e.g. 50.11"
	case "longitude":
		return "write degrees east, from -180 to 180, e.g. 8.68"
	default:
		return otherAdvice(field)
	}
}

// otherAdvice is adviceFor for what stands beside the core of a region.
func otherAdvice(field string) string {
	switch field {
	case "peer_keys":
		return "list 1 to 4 public keys, as they stand in the region's peer.pub, or leave the line out"
	case "round_trip_times":
		return "list pairs of regions, e.g. {between: [eu-central-1, us-east-1], milliseconds: 88.6}, or leave it out"
	case "between":
		return "name two regions, e.g. [eu-central-1, us-east-1]"
	case "milliseconds":
		return "write how long a message and its answer take, above 0 and up to 10000, e.g. 88.6"
	default:
		return "write the file as " + DefaultName + " is written"
	}
}
