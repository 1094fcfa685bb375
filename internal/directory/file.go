package directory

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
)

// A snapshot file is
//
//	8 bytes   magic
//	8 bytes   schema: which contracts the writer knew
//	n bytes   a directoryv1.Snapshot
//	8 bytes   n, big-endian
//	32 bytes  SHA-256 of all the above
//
// It is written beside the file, made durable, and renamed over it. What was there before is kept with the suffix ".1".
const (
	magic        = "DMCLDIR\x01"
	headBytes    = len(magic) + 8
	tailBytes    = 8 + sha256.Size
	previous     = ".1"
	batchRecords = 4096
)

// Errors of a snapshot file.
var (
	// ErrNoSnapshot says that there is no file, nor a previous one.
	ErrNoSnapshot = errors.New("directory: no snapshot file")
	// ErrForeignFile says that a file is not a snapshot, or one of a format that this release does not know.
	ErrForeignFile = errors.New("directory: not a snapshot file of this format")
	// ErrTornFile says that a snapshot file is cut off or has been altered.
	ErrTornFile = errors.New("directory: the snapshot file is cut off or altered")
)

// SaveSnapshot writes a snapshot file so that a crash at any moment leaves the new or the old one whole: what the directory says,
// complete to the positions. The file has mode 0600.
func SaveSnapshot(path string, positions []*directoryv1.Position, records iter.Seq[*directoryv1.Record]) error {
	temporary := path + ".tmp"
	if err := writeSnapshot(temporary, positions, records); err != nil {
		return errors.Join(fmt.Errorf("writing the directory snapshot: %w", err), remove(temporary))
	}
	if err := os.Rename(path, path+previous); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keeping the previous directory snapshot: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("putting the directory snapshot in place: %w", err)
	}
	return syncFolder(filepath.Dir(path))
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing a temporary file: %w", err)
	}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path) //nolint:gosec // The folder of the operator's own choice.
	if err != nil {
		return fmt.Errorf("opening the folder of the directory snapshot: %w", err)
	}
	if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
		return fmt.Errorf("making the directory snapshot durable: %w", err)
	}
	return nil
}

func writeSnapshot(path string, positions []*directoryv1.Position, records iter.Seq[*directoryv1.Record]) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600) //nolint:gosec // As in syncFolder.
	if err != nil {
		return err //nolint:wrapcheck // It names the file; the caller says what for.
	}
	buffered := bufio.NewWriterSize(file, 1<<16)
	err = writeParts(buffered, positions, records)
	if err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// writeParts writes the file's content. A message's parts, encoded one after another, are the message: that is how protobuf
// merges; so the whole is never in memory.
func writeParts(w io.Writer, positions []*directoryv1.Position, records iter.Seq[*directoryv1.Record]) error {
	sum := sha256.New()
	out := io.MultiWriter(w, sum)
	if _, err := out.Write(binary.BigEndian.AppendUint64([]byte(magic), schema())); err != nil {
		return err //nolint:wrapcheck // As above.
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

// Loaded says what LoadSnapshot found.
type Loaded struct {
	// Positions are what the sink's state is complete to. They are empty when a release with other contracts wrote the file: it
	// may have left out what this one would keep, so the logs are to be read again from their beginning.
	Positions []*directoryv1.Position
	// Records is how many records the sink got.
	Records int
	// Refused is why the newest file was not used and the previous one was; nil if it was used.
	Refused error
}

// LoadSnapshot gives a snapshot file's records to a sink, or the previous file's if the newest is torn, altered or foreign. A
// file is checked whole before the first record is given. It fails with ErrNoSnapshot if there is none, otherwise with what
// is wrong with each.
func LoadSnapshot(path string, sink Sink) (Loaded, error) {
	loaded, err := loadFile(path, sink)
	if err == nil {
		return loaded, nil
	}
	older, olderErr := loadFile(path+previous, sink)
	switch {
	case olderErr == nil:
		older.Refused = err
		return older, nil
	case errors.Is(err, fs.ErrNotExist) && errors.Is(olderErr, fs.ErrNotExist):
		return Loaded{}, ErrNoSnapshot
	default:
		return Loaded{}, errors.Join(err, olderErr)
	}
}

func loadFile(path string, sink Sink) (Loaded, error) {
	data, err := os.ReadFile(path) //nolint:gosec // As in syncFolder.
	if err != nil {
		return Loaded{}, fmt.Errorf("reading the directory snapshot: %w", err)
	}
	body, known, err := checkFile(data)
	if err != nil {
		return Loaded{}, fmt.Errorf("%s: %w", path, err)
	}
	// The first pass only checks: a sink is never given a part of a file that cannot be read to its end.
	if _, err := parseBody(body, func([]*directoryv1.Record) {}); err != nil {
		return Loaded{}, fmt.Errorf("%s: %w", path, err)
	}
	var loaded Loaded
	loaded.Positions, err = parseBody(body, func(records []*directoryv1.Record) {
		loaded.Records += len(records)
		sink.Apply(records)
	})
	if !known {
		loaded.Positions = nil
	}
	return loaded, err
}

// checkFile returns the snapshot in a file, and whether its writer knew the same contracts.
func checkFile(data []byte) (body []byte, known bool, err error) {
	if len(data) < len(magic) && bytes.HasPrefix([]byte(magic), data) {
		return nil, false, fmt.Errorf("%w: %d bytes", ErrTornFile, len(data))
	}
	if !bytes.HasPrefix(data, []byte(magic)) {
		return nil, false, ErrForeignFile
	}
	if len(data) < headBytes+tailBytes {
		return nil, false, fmt.Errorf("%w: %d bytes", ErrTornFile, len(data))
	}
	summed, sum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	body = summed[headBytes : len(summed)-8]
	if length := binary.BigEndian.Uint64(summed[len(summed)-8:]); length != uint64(len(body)) {
		return nil, false, fmt.Errorf("%w: its length does not fit", ErrTornFile)
	}
	if got := sha256.Sum256(summed); !bytes.Equal(got[:], sum) {
		return nil, false, fmt.Errorf("%w: its checksum does not fit", ErrTornFile)
	}
	return body, binary.BigEndian.Uint64(data[len(magic):]) == schema(), nil
}

// The fields of a directoryv1.Snapshot.
const (
	fieldPositions = 1
	fieldRecords   = 2
)

// parseBody reads a directoryv1.Snapshot field by field, giving records in batches.
func parseBody(body []byte, give func([]*directoryv1.Record)) ([]*directoryv1.Position, error) {
	var positions []*directoryv1.Position
	batch := make([]*directoryv1.Record, 0, batchRecords)
	for len(body) > 0 {
		number, kind, n := protowire.ConsumeTag(body)
		if n < 0 || number > protowire.MaxValidNumber || kind != protowire.BytesType {
			return nil, fmt.Errorf("%w: it does not decode", ErrForeignFile)
		}
		value, m := protowire.ConsumeBytes(body[n:])
		if m < 0 {
			return nil, fmt.Errorf("%w: it does not decode", ErrForeignFile)
		}
		body = body[n+m:]
		var err error
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

// schema is a fingerprint of the contracts that records are made of.
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
