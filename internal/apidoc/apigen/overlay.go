package apigen

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/apidoc"
)

// overlayName is the overlay among a project's documents.
const overlayName = "overlay.yaml"

// overlay is what people add to the documents by hand.
type overlay struct {
	Info infoOverlay `yaml:"info"`
	// Tags have more to say of a service, by its tag.
	Tags map[string]string `yaml:"tags"`
	// Schemas are by the full names of messages.
	Schemas map[string]schemaOverlay `yaml:"schemas"`
	// Operations are by operation id, or by the full name of the method.
	Operations map[string]*operationOverlay `yaml:"operations"`

	file string
	root yaml.Node
}

// infoOverlay is the beginning of the documents.
type infoOverlay struct {
	Title       string            `yaml:"title"`
	Description string            `yaml:"description"`
	Contact     *openapi3.Contact `yaml:"contact"`
	License     *openapi3.License `yaml:"license"`
}

// schemaOverlay says of a message what its contract does not.
type schemaOverlay struct {
	// ReadOnly are the properties that the server gives, whatever a client sends.
	ReadOnly []string `yaml:"readOnly"` //nolint:tagliatelle // as OpenAPI calls it
	// Required are properties that the service asks for beyond the rules of the contract.
	Required []string `yaml:"required"`
	// Patterns are forms, by property, that the service asks for beyond the rules of the contract.
	Patterns map[string]string `yaml:"patterns"`
}

// operationOverlay says of an operation what its contract does not.
type operationOverlay struct {
	// OperationID is another id than the method's name.
	OperationID string `yaml:"operationId"` //nolint:tagliatelle // as OpenAPI calls it
	// Description is one more paragraph.
	Description string `yaml:"description"`
	// Errors are reasons beside those that follow from the contract; Never are those of them that the operation does not have.
	Errors []string `yaml:"errors"`
	Never  []string `yaml:"never"`
	// Mask are the paths that the field mask takes, where they are not all fields.
	Mask []string `yaml:"mask"`
	// Request and Response are examples of the method's messages in JSON; what a REST call has of them follows.
	Request  yaml.Node `yaml:"request"`
	Response yaml.Node `yaml:"response"`

	overlay *overlay
	key     string
}

// readOverlay reads an overlay. A key that it does not know is an error: it would be missed.
func readOverlay(file string, data []byte) (*overlay, error) {
	o := &overlay{file: file}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(o); err != nil && !errors.Is(err, io.EOF) {
		return nil, yamlError(file, err)
	}
	if err := yaml.Unmarshal(data, &o.root); err != nil {
		return nil, yamlError(file, err)
	}
	for key, operation := range o.Operations {
		if operation == nil {
			return nil, fmt.Errorf("%s: the operation %s says nothing", o.at("operations", key), key)
		}
		operation.overlay, operation.key = o, key
	}
	return o, nil
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)

// yamlError tells of each problem the file and the line.
func yamlError(file string, err error) error {
	lines := []string{err.Error()}
	if wrong, ok := errors.AsType[*yaml.TypeError](err); ok {
		lines = wrong.Errors
	}
	problems := make([]error, len(lines))
	for i, line := range lines {
		line = strings.ReplaceAll(line, "type apigen.", "an ")
		if match := yamlLine.FindStringSubmatch(line); match != nil {
			line = file + ":" + match[1] + ": " + strings.TrimPrefix(line, match[0])
		} else {
			line = file + ": " + line
		}
		problems[i] = errors.New(line) //nolint:err113 // what the parser found
	}
	return errors.Join(problems...)
}

// overlays reads the project's overlay and the platform's; either may be missing.
func (g *generation) readOverlays() error {
	g.overlay, g.platform = &overlay{}, &overlay{}
	if g.cfg.Overlay != "" {
		data, err := os.ReadFile(g.cfg.Overlay)
		if err != nil {
			return fmt.Errorf("reading the overlay: %w", err)
		}
		if g.overlay, err = readOverlay(g.cfg.Overlay, data); err != nil {
			return err
		}
	}
	if g.cfg.Platform == nil {
		return nil
	}
	data, err := fs.ReadFile(g.cfg.Platform, overlayName)
	if err != nil {
		return fmt.Errorf("reading the platform's overlay: %w", err)
	}
	g.platform, err = readOverlay("the platform's "+overlayName, data)
	return err
}

// at returns where the value of a path of keys stands: "openapi/overlay.yaml:12".
func (o *overlay) at(path ...string) string {
	node := &o.root
	if node.Kind == yaml.DocumentNode {
		node = node.Content[0]
	}
	line := node.Line
	for _, key := range path {
		found := false
		for i := 0; i+1 < len(node.Content) && node.Kind == yaml.MappingNode; i += 2 {
			if node.Content[i].Value == key {
				line, node, found = node.Content[i].Line, node.Content[i+1], true
				break
			}
		}
		if !found {
			break
		}
	}
	return fmt.Sprintf("%s:%d", o.file, line)
}

// assign gives each method what the overlays say of it, the project's before the platform's, and refuses what is said of nothing.
func (g *generation) assign(methods []*method) error {
	var problems []error
	for key, said := range g.overlay.Operations {
		meant := named(methods, key)
		switch len(meant) {
		case 0:
			problems = append(problems, fmt.Errorf("%s: there is no operation %s; there are %s",
				g.overlay.at("operations", key), key, strings.Join(idsOf(methods), ", ")))
		case 1:
			meant[0].overlay = said
		default:
			problems = append(problems, fmt.Errorf("%s: %s may be %s or %s; write the full name of the method",
				g.overlay.at("operations", key), key, meant[0].FullName(), meant[1].FullName()))
		}
	}
	for key, said := range g.platform.Operations {
		for _, m := range named(methods, key) {
			if m.overlay == nil && !g.contracts.own[m.ParentFile().Path()] {
				m.overlay = said
			}
		}
	}
	for _, m := range methods {
		if m.overlay == nil {
			m.overlay = &operationOverlay{overlay: &overlay{}}
		}
		if m.id = m.overlay.OperationID; m.id == "" {
			m.id = string(m.Name())
		}
	}
	return errors.Join(append(problems, append(g.checkIDs(methods), g.checkReasons(methods)...)...)...)
}

func named(methods []*method, key string) []*method {
	var found []*method
	for _, m := range methods {
		if string(m.FullName()) == key {
			return []*method{m}
		}
		if string(m.Name()) == key {
			found = append(found, m)
		}
	}
	return found
}

func idsOf(methods []*method) []string {
	names := make([]string, len(methods))
	for i, m := range methods {
		names[i] = string(m.Name())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// checkIDs refuses two operations of one version with one id.
func (g *generation) checkIDs(methods []*method) []error {
	var problems []error
	first := map[string]*method{}
	for _, m := range methods {
		key := versionOf(m) + " " + m.id
		other := first[key]
		if first[key] = m; other == nil {
			continue
		}
		where := g.contracts.position(m)
		if m.overlay.OperationID != "" {
			where = m.overlay.overlay.at("operations", m.overlay.key, "operationId")
		}
		problems = append(problems, fmt.Errorf("%s: %s and %s (%s) both have the operation id %s; give one another operationId in the overlay",
			where, m.FullName(), other.FullName(), g.contracts.position(other), m.id))
	}
	return problems
}

// checkReasons refuses reasons that there are not.
func (g *generation) checkReasons(methods []*method) []error {
	var problems []error
	for _, m := range methods {
		for list, names := range map[string][]string{"errors": m.overlay.Errors, "never": m.overlay.Never} {
			for _, name := range names {
				if _, known := errorsv1.Reason_value["REASON_"+name]; !known {
					problems = append(problems, fmt.Errorf("%s: there is no reason %s; docs/errors.md of Domicile lists them",
						m.overlay.overlay.at("operations", m.overlay.key, list), name))
				}
			}
		}
	}
	return problems
}

// adjust adds to the reasons of a method what the overlay says.
func (o *operationOverlay) adjust(reasons []errorsv1.Reason) []errorsv1.Reason {
	for _, name := range o.Errors {
		reasons = append(reasons, errorsv1.Reason(errorsv1.Reason_value["REASON_"+name]))
	}
	slices.Sort(reasons)
	reasons = slices.Compact(reasons)
	return slices.DeleteFunc(reasons, func(r errorsv1.Reason) bool {
		return slices.Contains(o.Never, strings.TrimPrefix(r.String(), "REASON_"))
	})
}

// schemaOverlays joins what the overlays say of messages, and refuses what is said of none or of no field.
func (g *generation) schemaOverlays(files []protoreflect.FileDescriptor) (map[string]schemaOverlay, error) {
	joined := map[string]schemaOverlay{}
	var problems []error
	for _, o := range []*overlay{g.platform, g.overlay} {
		for name, said := range o.Schemas {
			md := findMessage(files, protoreflect.FullName(name))
			if md == nil && o == g.platform {
				continue
			}
			if md == nil {
				problems = append(problems, fmt.Errorf("%s: there is no message %s", o.at("schemas", name), name))
				continue
			}
			for _, property := range slices.Sorted(said.properties()) {
				if md.Fields().ByJSONName(property) == nil {
					problems = append(problems, fmt.Errorf("%s: %s has no property %s", o.at("schemas", name), name, property))
				}
			}
			for property, pattern := range said.Patterns {
				if _, err := regexp.Compile(pattern); err != nil {
					problems = append(problems, fmt.Errorf("%s: the pattern of %s is none: %w", o.at("schemas", name, "patterns", property), property, err))
				}
			}
			joined[name] = said
		}
	}
	return joined, errors.Join(problems...)
}

// properties returns the names of all properties that something is said of.
func (s schemaOverlay) properties() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, name := range slices.Concat(s.ReadOnly, s.Required, slices.Collect(maps.Keys(s.Patterns))) {
			if !yield(name) {
				return
			}
		}
	}
}

func findMessage(files []protoreflect.FileDescriptor, name protoreflect.FullName) protoreflect.MessageDescriptor {
	for _, file := range files {
		if !strings.HasPrefix(string(name), string(file.Package())+".") {
			continue
		}
		messages := file.Messages()
		for i := range messages.Len() {
			if found := within(messages.Get(i), name); found != nil {
				return found
			}
		}
	}
	return nil
}

func within(md protoreflect.MessageDescriptor, name protoreflect.FullName) protoreflect.MessageDescriptor {
	if md.FullName() == name {
		return md
	}
	for i := range md.Messages().Len() {
		if found := within(md.Messages().Get(i), name); found != nil {
			return found
		}
	}
	return nil
}

// checkTexts refuses texts about tags that there are not, and such as have the words by which a region's part is found again.
func (o *overlay) checkTexts(methods []*method) error {
	var problems []error
	for key, operation := range o.Operations {
		if strings.Contains(operation.Description, apidoc.Residency) {
			problems = append(problems, fmt.Errorf("%s: a description does not say %q; the documents do",
				o.at("operations", key, "description"), apidoc.Residency))
		}
	}
	for tag := range o.Tags {
		if !slices.ContainsFunc(methods, func(m *method) bool { return tagOf(m.Parent()) == tag }) {
			problems = append(problems, fmt.Errorf("%s: there is no tag %s", o.at("tags", tag), tag))
		}
	}
	return errors.Join(problems...)
}

// info is how the documents of a version begin. What the platform says of every API stands there unless the project says something else.
func (o *overlay) info(version string, platform *overlay) *openapi3.Info {
	return &openapi3.Info{
		Title: cmp.Or(o.Info.Title, "API"), Version: version, Contact: o.Info.Contact, License: o.Info.License,
		Description: strings.TrimSpace(cmp.Or(o.Info.Description, platform.Info.Description)),
	}
}
