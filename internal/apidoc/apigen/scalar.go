package apigen

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/domicile-api/domicile/internal/residency"
)

// Whole numbers of 64 bits are strings in JSON, since a JavaScript number does not hold them.
const (
	signedPattern   = "^(0|-?[1-9][0-9]{0,18})$"
	unsignedPattern = "^(0|[1-9][0-9]{0,19})$"
	maskForm        = `^([a-zA-Z0-9_.]+(,[a-zA-Z0-9_.]+)*)?$`
	durationPattern = `^-?(0|[1-9][0-9]{0,11})(\.[0-9]{1,9})?s$`
)

// wellKnown makes the schemas of protobuf's own messages whose JSON is not an object of fields; nil for all others.
func wellKnown(md protoreflect.MessageDescriptor) *openapi3.Schema {
	if isLibrary(md) && md.ParentFile().Package() == "google.protobuf" {
		if known := wellKnowns[md.Name()]; known != nil {
			return known()
		}
	}
	return nil
}

//nolint:gochecknoglobals // an immutable table
var wellKnowns = map[protoreflect.Name]func() *openapi3.Schema{
	"Timestamp":   func() *openapi3.Schema { return openapi3.NewStringSchema().WithFormat("date-time") },
	"Duration":    func() *openapi3.Schema { return openapi3.NewStringSchema().WithPattern(durationPattern) },
	"FieldMask":   func() *openapi3.Schema { return openapi3.NewStringSchema().WithPattern(maskForm) },
	"Empty":       openapi3.NewObjectSchema,
	"Int64Value":  signed,
	"UInt64Value": unsigned,
	"Int32Value":  openapi3.NewInt32Schema,
	"UInt32Value": openapi3.NewIntegerSchema,
	"DoubleValue": openapi3.NewFloat64Schema,
	"FloatValue":  openapi3.NewFloat64Schema,
	"BoolValue":   openapi3.NewBoolSchema,
	"StringValue": openapi3.NewStringSchema,
	"BytesValue":  openapi3.NewBytesSchema,
	"Struct":      func() *openapi3.Schema { return openapi3.NewObjectSchema().WithAnyAdditionalProperties() },
	"Value":       openapi3.NewSchema,
	"Any":         openapi3.NewSchema,
	"ListValue":   func() *openapi3.Schema { return openapi3.NewArraySchema().WithItems(openapi3.NewSchema()) },
}

func signed() *openapi3.Schema {
	return openapi3.NewStringSchema().WithFormat("int64").WithPattern(signedPattern)
}

func unsigned() *openapi3.Schema {
	return openapi3.NewStringSchema().WithFormat("uint64").WithPattern(unsignedPattern)
}

// scalar mends what the generator made of a scalar field.
func scalar(field protoreflect.FieldDescriptor, raw *openapi3.Schema) *openapi3.Schema {
	out := &openapi3.Schema{}
	if raw != nil {
		copied := *raw
		out = &copied
	}
	out.Title, out.Description, out.Extensions = "", "", nil
	rules := rulesOf(field)
	switch field.Kind() { //nolint:exhaustive // all others are as the generator has them
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return signed()
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return unsigned()
	case protoreflect.BoolKind:
		out.Type = &openapi3.Types{openapi3.TypeBoolean}
		if out.Const = nil; rules.GetBool().HasConst() {
			out.Const = rules.GetBool().GetConst()
		}
	case protoreflect.StringKind, protoreflect.BytesKind:
		text(field, rules, out)
	}
	if out.Type == nil {
		out.Type = typeOf(field)
	}
	return out
}

// text adds what the generator leaves out of the rules of a string.
func text(field protoreflect.FieldDescriptor, rules *validate.FieldRules, out *openapi3.Schema) {
	if bytes := rules.GetString().GetMaxBytes(); bytes > 0 && (out.MaxLength == nil || *out.MaxLength > bytes) {
		out.MaxLength = &bytes // no string of so many bytes has more characters
	}
	if rules.GetRequired() && out.MinLength == 0 {
		out.MinLength = 1
	}
	zeroCounts := rules.GetIgnore() == validate.Ignore_IGNORE_IF_ZERO_VALUE
	if zeroCounts && out.Pattern != "" && !field.IsList() {
		out.Pattern = orEmpty(out.Pattern)
	}
}

// orEmpty makes a pattern match the empty string, too.
func orEmpty(pattern string) string {
	if matched, err := regexp.MatchString(pattern, ""); err == nil && matched {
		return pattern
	}
	return "^$|" + pattern
}

func typeOf(field protoreflect.FieldDescriptor) *openapi3.Types {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return &openapi3.Types{openapi3.TypeBoolean}
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return &openapi3.Types{openapi3.TypeNumber}
	case protoreflect.StringKind, protoreflect.BytesKind:
		return &openapi3.Types{openapi3.TypeString}
	default:
		return &openapi3.Types{openapi3.TypeInteger}
	}
}

// rulesOf returns the protovalidate rules of a field; of a list those of its elements when they are asked for by items.
func rulesOf(field protoreflect.FieldDescriptor) *validate.FieldRules {
	options := residency.ReadOptions(field.Options(), &descriptorpb.FieldOptions{})
	rules, _ := proto.GetExtension(options, validate.E_Field).(*validate.FieldRules)
	if items := rules.GetRepeated().GetItems(); field.IsList() && items != nil {
		return items
	}
	return rules
}

// mustBeGiven tells whether a request without the field is refused by the rules of the contract.
func mustBeGiven(field protoreflect.FieldDescriptor) bool {
	options := residency.ReadOptions(field.Options(), &descriptorpb.FieldOptions{})
	rules, _ := proto.GetExtension(options, validate.E_Field).(*validate.FieldRules)
	switch {
	case rules == nil, rules.GetIgnore() != validate.Ignore_IGNORE_UNSPECIFIED, field.ContainingOneof() != nil:
		return false
	case rules.GetRequired():
		return true
	case field.HasPresence(), field.IsMap():
		return false
	case field.IsList():
		return rules.GetRepeated().GetMinItems() > 0
	case field.Kind() == protoreflect.EnumKind:
		return slices.Contains(rules.GetEnum().GetNotIn(), 0)
	}
	text := rules.GetString()
	if text.GetMinLen() > 0 || text.GetMinBytes() > 0 || text.GetLen() > 0 {
		return true
	}
	matched, err := regexp.MatchString(text.GetPattern(), "")
	return text.GetPattern() != "" && err == nil && !matched
}

// isChange tells whether a field holds changes of a message, which the rules of the message do not bind.
func isChange(field protoreflect.FieldDescriptor) bool {
	options := residency.ReadOptions(field.Options(), &descriptorpb.FieldOptions{})
	rules, _ := proto.GetExtension(options, validate.E_Field).(*validate.FieldRules)
	return rules.GetIgnore() == validate.Ignore_IGNORE_ALWAYS && !field.IsMap()
}

func oneofRequired(oneof protoreflect.OneofDescriptor) bool {
	options := residency.ReadOptions(oneof.Options(), &descriptorpb.OneofOptions{})
	rules, _ := proto.GetExtension(options, validate.E_Oneof).(*validate.OneofRules)
	return rules.GetRequired()
}

// messageRules returns in words what the contract asks of a message as a whole.
func messageRules(md protoreflect.MessageDescriptor) []string {
	options := residency.ReadOptions(md.Options(), &descriptorpb.MessageOptions{})
	rules, _ := proto.GetExtension(options, validate.E_Message).(*validate.MessageRules)
	return words(rules.GetCel())
}

// fieldRules returns in words those rules of a field that a schema cannot say.
func fieldRules(field protoreflect.FieldDescriptor) []string {
	options := residency.ReadOptions(field.Options(), &descriptorpb.FieldOptions{})
	rules, _ := proto.GetExtension(options, validate.E_Field).(*validate.FieldRules)
	var out []string
	if most := rulesOf(field).GetString().GetMaxBytes(); most > 0 {
		out = append(out, fmt.Sprintf("At most %d bytes of UTF-8.", most))
	}
	for _, rule := range words(rules.GetCel()) {
		out = append(out, "Rule: "+rule+".")
	}
	return out
}

func words(rules []*validate.Rule) []string {
	out := make([]string, 0, len(rules))
	for _, rule := range rules {
		text := rule.GetMessage()
		if text == "" {
			text = "`" + rule.GetExpression() + "`"
		}
		out = append(out, strings.TrimSuffix(text, "."))
	}
	return out
}
