package topology

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"os"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	topologyv1 "github.com/domicile-api/domicile/gen/domicile/topology/v1"
)

// The binary form: what it is, its version, the port base (2 bytes, big endian), the SHA-256 of all the rest, the message as the file
// gave it.
const (
	binaryMagic   = "domicile topology\x00"
	binaryVersion = 1
	sumAt         = len(binaryMagic) + 1 + 2
	messageAt     = sumAt + sha256.Size
	// maxBinary is how many bytes Unmarshal takes: what a topology file may have.
	maxBinary = 256 << 10
)

// The refusals of Unmarshal, beside ErrUnchecked.
var (
	// ErrAltered says that the bytes are not, or no longer, what Marshal returned.
	ErrAltered = errors.New("topology: altered, cut off, or not a topology that was checked")
	// ErrRelease says that another release wrote the bytes, in a form or with a field that this one does not know.
	ErrRelease = errors.New("topology: written by another release")
)

// Marshal returns a topology in its binary form, port base included, for Unmarshal. Equal topologies are equal bytes within a release.
func Marshal(t *Topology) ([]byte, error) {
	asGiven, err := t.WithPortBase(GlobalPort)
	if err != nil {
		return nil, err
	}
	for set := t.defaulted; set != 0; set &= set - 1 {
		asGiven.message.GetRegions()[bits.TrailingZeros32(set)].Endpoint = ""
	}
	data := append(make([]byte, 0, 4<<10), binaryMagic...)
	data = append(data, binaryVersion)
	data = binary.BigEndian.AppendUint16(data, uint16(t.base)) //nolint:gosec // a port
	data = append(data, make([]byte, sha256.Size)...)
	data, err = proto.MarshalOptions{Deterministic: true}.MarshalAppend(data, asGiven.message)
	if err != nil {
		return nil, fmt.Errorf("writing the topology in its binary form: %w", err)
	}
	sum := binarySum(data)
	copy(data[sumAt:], sum[:])
	return data, nil
}

// Unmarshal returns the topology that Marshal was given. It refuses bytes that were damaged or cut off (ErrAltered) and those of a release
// with another form or with fields that this one does not know (ErrRelease), which may be what a lawful decision hangs on. The rules for
// topologies were checked before Marshal and are not checked again.
//
// The checksum shows damage, not malice: it has no key. Whoever can replace the bytes can replace the program that they lie beside.
func Unmarshal(data []byte) (*Topology, error) {
	switch {
	case len(data) < messageAt, len(data) > maxBinary, string(data[:len(binaryMagic)]) != binaryMagic:
		return nil, ErrAltered
	case data[len(binaryMagic)] != binaryVersion:
		return nil, ErrRelease
	}
	if sum := binarySum(data); !bytes.Equal(sum[:], data[sumAt:messageAt]) {
		return nil, ErrAltered
	}
	message := &topologyv1.Topology{}
	if err := proto.Unmarshal(data[messageAt:], message); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAltered, err)
	}
	if hasUnknown(message.ProtoReflect()) {
		return nil, ErrRelease
	}
	t, err := FromChecked(message)
	if err != nil {
		return nil, err
	}
	return t.WithPortBase(int(binary.BigEndian.Uint16(data[len(binaryMagic)+1:])))
}

// binarySum is the checksum of all but itself.
func binarySum(data []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write(data[:sumAt])
	h.Write(data[messageAt:])
	return [sha256.Size]byte(h.Sum(nil))
}

// hasUnknown tells whether a message has, at any depth, a field or a value of an enum that this release does not know. Maps, of which a
// topology has none, count as not known.
func hasUnknown(message protoreflect.Message) bool {
	unknown := len(message.GetUnknown()) > 0
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case unknown:
		case field.IsMap():
			unknown = true
		case field.IsList():
			for i := range value.List().Len() {
				unknown = unknown || unknownValue(field, value.List().Get(i))
			}
		default:
			unknown = unknownValue(field, value)
		}
		return !unknown
	})
	return unknown
}

func unknownValue(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
	switch {
	case field.Message() != nil:
		return hasUnknown(value.Message())
	case field.Enum() != nil:
		return field.Enum().Values().ByNumber(value.Enum()) == nil
	default:
		return false
	}
}

// ReadPacked reads a file that Marshal's result was written to, with the errors of Unmarshal.
func ReadPacked(path string) (*Topology, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the program's own package names it
	if err != nil {
		return nil, fmt.Errorf("reading the topology: %w", err)
	}
	t, err := Unmarshal(data)
	if err != nil {
		return nil, fmt.Errorf("reading the topology %s: %w", path, err)
	}
	return t, nil
}
