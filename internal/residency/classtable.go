package residency

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
)

// Errors of a class table.
var (
	// ErrNotGlobal says that serialized fields which are to be GLOBAL are not, or that their class is not known.
	ErrNotGlobal = errors.New("residency: a field that is not GLOBAL")
	// ErrNoSuchMessage says that a class table does not have a message type.
	ErrNoSuchMessage = errors.New("residency: the class table does not have the message type")
	// ErrTable says that a class table is not what its fingerprint names.
	ErrTable = errors.New("residency: not a sound class table")
)

// maxDepth bounds how deep serialized messages are walked; protobuf's own parsers stop at 100 too.
const maxDepth = 100

// TableOf returns the class table of entities: every message type that they reach, with the effective class of each field, in the
// order of names and numbers. Entries of maps are message types as well, with their holder's class. Two releases whose entities
// have the same classes have the same table, and so the same fingerprint.
func TableOf(entities ...protoreflect.MessageDescriptor) (*directoryv1.ClassTable, error) {
	table := &directoryv1.ClassTable{}
	seen := make(map[protoreflect.FullName]bool)
	todo := slices.Clone(entities)
	for len(todo) > 0 {
		md := todo[0]
		todo = todo[1:]
		if seen[md.FullName()] {
			continue
		}
		seen[md.FullName()] = true
		message, reached := classified(md)
		table.Messages = append(table.GetMessages(), message)
		todo = append(todo, reached...)
	}
	slices.SortFunc(table.GetMessages(), func(a, b *directoryv1.ClassifiedMessage) int { return cmp.Compare(a.GetName(), b.GetName()) })
	fingerprint, err := fingerprintOf(table)
	if err != nil {
		return nil, err
	}
	table.Fingerprint = fingerprint
	return table, nil
}

// classified returns a message type's fields with their classes, and the message types of their values.
func classified(md protoreflect.MessageDescriptor) (*directoryv1.ClassifiedMessage, []protoreflect.MessageDescriptor) {
	message := &directoryv1.ClassifiedMessage{Name: string(md.FullName())}
	var reached []protoreflect.MessageDescriptor
	// The fields of a leaf or of a map's entry have the class of the field that holds it. Only holders of class GLOBAL are looked into.
	inherits := IsLeaf(md) || md.IsMapEntry()
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		field := &directoryv1.ClassifiedField{Number: int32(fd.Number()), Class: policyv1.DataClass_DATA_CLASS_GLOBAL}
		if !inherits {
			field.Class = Effective(fd)
		}
		if sub := fd.Message(); sub != nil && field.GetClass() == policyv1.DataClass_DATA_CLASS_GLOBAL && !IsFreeForm(sub) {
			field.Message = string(sub.FullName())
			reached = append(reached, sub)
		}
		message.Fields = append(message.GetFields(), field)
	}
	slices.SortFunc(message.GetFields(), func(a, b *directoryv1.ClassifiedField) int { return cmp.Compare(a.GetNumber(), b.GetNumber()) })
	return message, reached
}

func fingerprintOf(table *directoryv1.ClassTable) ([]byte, error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(&directoryv1.ClassTable{Messages: table.GetMessages()})
	if err != nil {
		return nil, fmt.Errorf("encoding a class table: %w", err)
	}
	sum := sha256.Sum256(raw)
	return sum[:], nil
}

// Classes is a class table made ready for checks of serialized messages. It is immutable and safe for concurrent use.
type Classes struct {
	fingerprint []byte
	messages    map[string]fieldClasses
}

// fieldClasses are the fields of a message type.
type fieldClasses map[protowire.Number]fieldClass

// fieldClass is the class of a field, and the fields of its values if those are looked into.
type fieldClass struct {
	global bool
	// message is nil when the values have no fields of their own.
	message fieldClasses
}

// NewClasses makes a class table ready. It fails with ErrTable when the fingerprint is not the table's, or a message type that it
// names is missing.
func NewClasses(table *directoryv1.ClassTable) (*Classes, error) {
	fingerprint, err := fingerprintOf(table)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(fingerprint, table.GetFingerprint()) {
		return nil, fmt.Errorf("%w: its fingerprint is another's", ErrTable)
	}
	c := &Classes{fingerprint: fingerprint, messages: make(map[string]fieldClasses, len(table.GetMessages()))}
	for _, m := range table.GetMessages() {
		c.messages[m.GetName()] = make(fieldClasses, len(m.GetFields()))
	}
	for _, m := range table.GetMessages() {
		for _, f := range m.GetFields() {
			class := fieldClass{global: f.GetClass() == policyv1.DataClass_DATA_CLASS_GLOBAL}
			if f.GetMessage() != "" {
				sub, ok := c.messages[f.GetMessage()]
				if !ok {
					return nil, fmt.Errorf("%w: it lacks %s", ErrTable, f.GetMessage())
				}
				class.message = sub
			}
			c.messages[m.GetName()][protowire.Number(f.GetNumber())] = class
		}
	}
	return c, nil
}

// Fingerprint returns SHA-256 of the table. It must not be changed.
func (c *Classes) Fingerprint() []byte { return c.fingerprint }

// Has tells whether the table has a message type.
func (c *Classes) Has(message string) bool {
	_, ok := c.messages[message]
	return ok
}

// CheckClear walks a serialized message, without a need for its Go type, and fails with ErrNotGlobal unless the table knows each
// of its fields, at every depth, as GLOBAL. It fails with ErrNoSuchMessage when the table does not have the type. The errors
// name fields by number and never show what they hold.
func (c *Classes) CheckClear(message string, serialized []byte) error {
	fields, ok := c.messages[message]
	if !ok {
		return ErrNoSuchMessage
	}
	_, err := walkFields(nil, serialized, fields, strict, 0)
	return err
}

// Keep returns the fields of a serialized message that the table knows, at every depth, without those that it does not, and
// whether there were any of those. A field that is known and not GLOBAL fails with ErrNotGlobal. It returns the same slice when
// nothing was dropped.
func (c *Classes) Keep(message string, serialized []byte) (kept []byte, dropped bool, err error) {
	fields, ok := c.messages[message]
	if !ok {
		return nil, false, ErrNoSuchMessage
	}
	if _, err := walkFields(nil, serialized, fields, strict, 0); err == nil {
		return serialized, false, nil
	}
	kept, err = walkFields(make([]byte, 0, len(serialized)), serialized, fields, drop, 0)
	return kept, err == nil, err
}

// onUnknown is what a walk does with a field that the table does not know.
type onUnknown uint8

const (
	// strict refuses it, and copies nothing.
	strict onUnknown = iota
	// drop copies all but it.
	drop
)

// walkFields goes over a serialized message and, unless it is strict, appends what is known to dst.
func walkFields(dst, src []byte, fields fieldClasses, mode onUnknown, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%w: nested too deep", ErrNotGlobal)
	}
	for len(src) > 0 {
		number, wire, head := protowire.ConsumeTag(src)
		if head < 0 {
			return nil, fmt.Errorf("%w: not a serialized message", ErrNotGlobal)
		}
		size := protowire.ConsumeFieldValue(number, wire, src[head:])
		if size < 0 {
			return nil, fmt.Errorf("%w: not a serialized message", ErrNotGlobal)
		}
		class, known := fields[number]
		whole, value := src[:head+size], src[head:head+size]
		src = src[head+size:]
		switch {
		case !known && mode == drop:
			continue
		case !known, !class.global:
			return nil, fmt.Errorf("%w: field %d", ErrNotGlobal, number)
		case class.message == nil:
			if mode == drop {
				dst = append(dst, whole...)
			}
			continue
		case wire != protowire.BytesType:
			return nil, fmt.Errorf("%w: field %d is not a message", ErrNotGlobal, number)
		}
		inner, _ := protowire.ConsumeBytes(value)
		kept, err := walkFields(nil, inner, class.message, mode, depth+1)
		if err != nil {
			return nil, err
		}
		if mode == drop {
			dst = protowire.AppendBytes(protowire.AppendTag(dst, number, wire), kept)
		}
	}
	return dst, nil
}
