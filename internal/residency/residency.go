// Package residency says what the policy options of proto/domicile/policy/v1 mean for a message, by protobuf reflection: the
// class of each field, which part of an entity may lie in the open and which must be sealed, what a projection copies, what a
// stored answer leaves out and what a log may show. Stores, logs and the residency check of buf ask here and nowhere else.
//
// It promises to fail closed. A field without a class, an unknown field and a field of a type that can hold anything
// (google.protobuf.Any, Struct, Value, ListValue) count as personal data. The fields of google.protobuf's Timestamp, Duration,
// FieldMask, Empty and wrappers have no options of their own, but the class of the field that holds them.
//
// What the options say is read once a message type and kept; all functions are safe for concurrent use.
package residency

import (
	"google.golang.org/protobuf/reflect/protoreflect"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
)

// ClassOf returns the class that a field's option gives, DATA_CLASS_UNSPECIFIED when it gives none. It is the option and no
// more: see Effective and HighestClass for what follows from it.
func ClassOf(fd protoreflect.FieldDescriptor) policyv1.DataClass {
	if fd.IsExtension() {
		return readClass(fd)
	}
	return planOf(fd.ContainingMessage()).declared[fd.Index()]
}

// Effective returns how a field's own value is treated: its class, PII when it has none, and at least PII when its type can
// hold anything. It does not look at the fields of a message type.
func Effective(fd protoreflect.FieldDescriptor) policyv1.DataClass {
	if fd.IsExtension() {
		return effective(fd, readClass(fd))
	}
	return planOf(fd.ContainingMessage()).effective[fd.Index()]
}

// HighestClass returns the most restricted class of everything that a message reaches, in the order GLOBAL < REGIONAL < PII <
// SECRET. A message without fields is GLOBAL.
func HighestClass(md protoreflect.MessageDescriptor) policyv1.DataClass {
	return planOf(md).highest
}

// effective applies the rules of the package comment to a field of a declared class.
func effective(fd protoreflect.FieldDescriptor, declared policyv1.DataClass) policyv1.DataClass {
	if declared == policyv1.DataClass_DATA_CLASS_UNSPECIFIED {
		return policyv1.DataClass_DATA_CLASS_PII
	}
	if sub := Element(fd); sub != nil && IsFreeForm(sub) {
		return max(declared, policyv1.DataClass_DATA_CLASS_PII)
	}
	return declared
}

// IsFreeForm tells whether a message type can hold anything, so that no class can be true of it.
func IsFreeForm(md protoreflect.MessageDescriptor) bool {
	switch md.FullName() {
	case "google.protobuf.Any", "google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue":
		return true
	default:
		return false
	}
}

// IsLeaf tells whether the fields of a message type have no classes of their own, but the class of the field that holds it.
func IsLeaf(md protoreflect.MessageDescriptor) bool {
	if md.ParentFile().Package() != "google.protobuf" {
		return false
	}
	switch md.Name() {
	case "Timestamp", "Duration", "FieldMask", "Empty", "BoolValue", "BytesValue", "DoubleValue", "FloatValue", "Int32Value",
		"Int64Value", "StringValue", "UInt32Value", "UInt64Value":
		return true
	default:
		return IsFreeForm(md)
	}
}

// Element returns the message type of a field's values, through lists and maps; nil when they are scalars.
func Element(fd protoreflect.FieldDescriptor) protoreflect.MessageDescriptor {
	if fd.IsMap() {
		return fd.MapValue().Message()
	}
	return fd.Message()
}

// classifiedElement is Element for types whose fields have classes of their own.
func classifiedElement(fd protoreflect.FieldDescriptor) protoreflect.MessageDescriptor {
	if sub := Element(fd); sub != nil && !IsLeaf(sub) {
		return sub
	}
	return nil
}

// Reach returns the most restricted class of a field and of everything that its type reaches.
func Reach(fd protoreflect.FieldDescriptor) policyv1.DataClass {
	if sub := classifiedElement(fd); sub != nil {
		return max(Effective(fd), HighestClass(sub))
	}
	return Effective(fd)
}
