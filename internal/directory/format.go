package directory

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
)

// A snapshot, in a file or wherever a Copy keeps it, is
//
//	8 bytes   magic
//	8 bytes   schema: which contracts the writer knew
//	n bytes   a directoryv1.Snapshot
//	8 bytes   n, big-endian
//	32 bytes  SHA-256 of all the above
//
// It is written and read piece by piece: neither needs more memory than some thousand records take.
const (
	magic        = "DMCLDIR\x01"
	headBytes    = len(magic) + 8
	tailBytes    = 8 + sha256.Size
	batchRecords = 4096
	// maxPart bounds a record in a snapshot, above what an item of the table can hold.
	maxPart = 1 << 20
)

// Errors of a snapshot, wherever it is kept.
var (
	// ErrNoSnapshot says that none is kept.
	ErrNoSnapshot = errors.New("directory: no snapshot")
	// ErrForeignFile says that something is not a snapshot, or one of a format that this release does not know.
	ErrForeignFile = errors.New("directory: not a snapshot of this format")
	// ErrTornFile says that a snapshot is cut off or has been altered.
	ErrTornFile = errors.New("directory: the snapshot is cut off or altered")
)

// WriteSnapshot writes a snapshot: what the directory says, complete to the positions. A message's parts, encoded one after
// another, are the message: that is how protobuf merges; so the whole is never in memory.
func WriteSnapshot(w io.Writer, positions []*directoryv1.Position, records iter.Seq[*directoryv1.Record]) error {
	sum := sha256.New()
	out := io.MultiWriter(w, sum)
	if _, err := out.Write(binary.BigEndian.AppendUint64([]byte(magic), schema())); err != nil {
		return err //nolint:wrapcheck // The caller says what it was writing to.
	}
	length := uint64(0)
	part := &directoryv1.Snapshot{Positions: positions}
	flush := func() error {
		data, err := encode(part)
		if err != nil {
			return err
		}
		length += uint64(len(data))
		part = new(directoryv1.Snapshot)
		_, err = out.Write(data)
		return err //nolint:wrapcheck // As above.
	}
	for record := range records {
		part.Records = append(part.Records, record)
		if len(part.GetRecords()) < batchRecords {
			continue
		}
		if err := flush(); err != nil {
			return err
		}
	}
	if err := flush(); err != nil {
		return err
	}
	if _, err := out.Write(binary.BigEndian.AppendUint64(nil, length)); err != nil {
		return err //nolint:wrapcheck // As above.
	}
	_, err := w.Write(sum.Sum(nil))
	return err //nolint:wrapcheck // As above.
}

// ReadSnapshot gives a snapshot's records to a sink. It is checked whole before the first record is given: it fails with
// ErrTornFile or ErrForeignFile, or the error of r. It reads r three times: for the checksum, for whether all of it decodes, and
// for the records.
func ReadSnapshot(r io.ReaderAt, size int64, sink Sink) (Loaded, error) {
	length, known, err := checkSnapshot(r, size)
	if err != nil {
		return Loaded{}, err
	}
	body := func() *bufio.Reader {
		return bufio.NewReaderSize(io.NewSectionReader(r, int64(headBytes), length), 1<<16)
	}
	// The first pass only checks: a sink is never given a part of a snapshot that cannot be read to its end.
	if _, err := parseBody(body(), func([]*directoryv1.Record) {}); err != nil {
		return Loaded{}, err
	}
	var loaded Loaded
	loaded.Positions, err = parseBody(body(), func(records []*directoryv1.Record) {
		loaded.Records += len(records)
		sink.Apply(records)
	})
	if !known {
		loaded.Positions = nil
	}
	return loaded, err
}

// checkSnapshot returns how long the message in a snapshot is, and whether its writer knew the same contracts.
func checkSnapshot(r io.ReaderAt, size int64) (length int64, known bool, err error) {
	head := make([]byte, min(size, int64(headBytes)))
	if _, err := io.ReadFull(io.NewSectionReader(r, 0, size), head); err != nil {
		return 0, false, fmt.Errorf("reading a snapshot's head: %w", err)
	}
	switch {
	case !bytes.HasPrefix(head, []byte(magic)) && !bytes.HasPrefix([]byte(magic), head):
		return 0, false, ErrForeignFile
	case size < int64(headBytes+tailBytes):
		return 0, false, fmt.Errorf("%w: %d bytes", ErrTornFile, size)
	}
	tail := make([]byte, tailBytes)
	if _, err := io.ReadFull(io.NewSectionReader(r, size-int64(tailBytes), int64(tailBytes)), tail); err != nil {
		return 0, false, fmt.Errorf("reading a snapshot's end: %w", err)
	}
	length = size - int64(headBytes+tailBytes)
	if said := binary.BigEndian.Uint64(tail); said != uint64(length) {
		return 0, false, fmt.Errorf("%w: its length does not fit", ErrTornFile)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(r, 0, size-sha256.Size)); err != nil {
		return 0, false, fmt.Errorf("reading a snapshot: %w", err)
	}
	if !bytes.Equal(sum.Sum(nil), tail[8:]) {
		return 0, false, fmt.Errorf("%w: its checksum does not fit", ErrTornFile)
	}
	return length, binary.BigEndian.Uint64(head[len(magic):]) == schema(), nil
}

// The fields of a directoryv1.Snapshot.
const (
	fieldPositions = 1
	fieldRecords   = 2
)

// parseBody reads a directoryv1.Snapshot field by field, giving records in batches.
func parseBody(body *bufio.Reader, give func([]*directoryv1.Record)) ([]*directoryv1.Position, error) {
	var positions []*directoryv1.Position
	batch := make([]*directoryv1.Record, 0, batchRecords)
	var space []byte
	for {
		number, value, err := readField(body, space)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		space = value
		switch number {
		case fieldPositions:
			position := new(directoryv1.Position)
			err = proto.Unmarshal(value, position)
			positions = append(positions, position)
		case fieldRecords:
			record := new(directoryv1.Record)
			err = proto.Unmarshal(value, record)
			batch = append(batch, record)
		default: // Of a later release, as everything unknown.
		}
		if err != nil {
			return nil, fmt.Errorf("%w: it does not decode: %w", ErrForeignFile, err)
		}
		if len(batch) == batchRecords {
			give(batch)
			batch = batch[:0]
		}
	}
	if len(batch) > 0 {
		give(batch)
	}
	return positions, nil
}

// readField reads a field whose value is bytes, into space if it is large enough; io.EOF if there is no more.
func readField(body *bufio.Reader, space []byte) (protowire.Number, []byte, error) {
	tag, err := binary.ReadUvarint(body)
	if errors.Is(err, io.EOF) {
		return 0, nil, io.EOF
	}
	number, kind := protowire.DecodeTag(tag)
	if err != nil || !number.IsValid() || kind != protowire.BytesType {
		return 0, nil, errors.Join(fmt.Errorf("%w: it does not decode", ErrForeignFile), err)
	}
	length, err := binary.ReadUvarint(body)
	if err != nil || length > maxPart {
		return 0, nil, errors.Join(fmt.Errorf("%w: it does not decode", ErrForeignFile), noEOF(err))
	}
	if uint64(cap(space)) < length {
		space = make([]byte, max(length, 1<<12))
	}
	space = space[:length]
	if _, err := io.ReadFull(body, space); err != nil {
		return 0, nil, errors.Join(fmt.Errorf("%w: it does not decode", ErrForeignFile), noEOF(err))
	}
	return number, space, nil
}

// noEOF makes an end that comes too early look like one.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Contracts is a fingerprint of the contracts that records are made of, by which a Copy tells whether the release that saved it knew the
// same.
func Contracts() string { return fmt.Sprintf("%016x", schema()) }

// schema is Contracts as it is in a snapshot.
func schema() uint64 {
	sum := sha256.New()
	for _, file := range []protoreflect.FileDescriptor{
		directoryv1.File_domicile_directory_v1_directory_proto, tenancyv1.File_domicile_tenancy_v1_tenancy_proto,
	} {
		// A descriptor always encodes. Should its encoding change with a library, the logs are read again, no more.
		data, err := proto.MarshalOptions{Deterministic: true}.Marshal(protodesc.ToFileDescriptorProto(file))
		if err == nil {
			sum.Write(data)
		}
	}
	return binary.BigEndian.Uint64(sum.Sum(nil))
}
