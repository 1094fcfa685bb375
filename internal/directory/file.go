package directory

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
)

// previous is the suffix of the snapshot file before the newest.
const previous = ".1"

// FileCopy is a Copy in a file, with the copy before it beside it. One process owns a path; Save always replaces.
type FileCopy struct {
	// Path is the file's.
	Path string
}

// Load is LoadSnapshot. A local file is not waited for, so the context does not matter.
func (c FileCopy) Load(_ context.Context, sink Sink) (Loaded, error) {
	return LoadSnapshot(c.Path, sink)
}

// Save is SaveSnapshot.
func (c FileCopy) Save(_ context.Context, positions []*directoryv1.Position, records iter.Seq[*directoryv1.Record]) error {
	return SaveSnapshot(c.Path, positions, records)
}

// SaveSnapshot writes a snapshot file so that a crash at any moment leaves the new or the old one whole: what the directory says,
// complete to the positions. It is written beside the file, made durable, and renamed over it; what was there before is kept with
// the suffix ".1". The file has mode 0600.
func SaveSnapshot(path string, positions []*directoryv1.Position, records iter.Seq[*directoryv1.Record]) error {
	temporary := path + ".tmp"
	if err := writeFile(temporary, positions, records); err != nil {
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

func writeFile(path string, positions []*directoryv1.Position, records iter.Seq[*directoryv1.Record]) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600) //nolint:gosec // As in syncFolder.
	if err != nil {
		return err //nolint:wrapcheck // It names the file; the caller says what for.
	}
	buffered := bufio.NewWriterSize(file, 1<<16)
	err = WriteSnapshot(buffered, positions, records)
	if err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
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

func loadFile(path string, sink Sink) (loaded Loaded, err error) {
	file, err := os.Open(path) //nolint:gosec // As in syncFolder.
	if err != nil {
		return Loaded{}, fmt.Errorf("reading the directory snapshot: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return Loaded{}, fmt.Errorf("reading the directory snapshot: %w", err)
	}
	loaded, err = ReadSnapshot(file, info.Size(), sink)
	if err != nil {
		return Loaded{}, fmt.Errorf("%s: %w", path, err)
	}
	loaded.Saved = info.ModTime()
	return loaded, nil
}
