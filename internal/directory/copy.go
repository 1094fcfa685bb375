package directory

import (
	"context"
	"errors"
	"iter"
	"time"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
)

// Copy is where the last good copy of the directory lies, for the time when the table is away: a file (FileCopy), or an object in
// the region's bucket. What is there is whole at every moment, or it is not loaded. WriteSnapshot and ReadSnapshot make and read
// what is kept.
type Copy interface {
	// Load gives the copy's records to a sink. The copy is checked whole before the first record is given. It fails with
	// ErrNoSnapshot when there is none, ErrTornFile or ErrForeignFile when what is there cannot be used.
	Load(ctx context.Context, sink Sink) (Loaded, error)
	// Save replaces the copy by what the directory says, complete to the positions. When it fails, the copy is the one before.
	// ErrNotNewer says that what is kept goes at least as far.
	Save(ctx context.Context, positions []*directoryv1.Position, records iter.Seq[*directoryv1.Record]) error
}

// Errors of a Copy that others share.
var (
	// ErrNotNewer says that a copy was not saved because the one that is kept goes at least as far, or further for some writer.
	ErrNotNewer = errors.New("directory: the copy that is kept is not older")
	// ErrCopyDenied says that this process may not read, or not write, the copy.
	ErrCopyDenied = errors.New("directory: access to the copy is denied")
)

// Loaded says what a snapshot had.
type Loaded struct {
	// Positions are what the sink's state is complete to. They are empty when a release with other contracts wrote the snapshot:
	// it may have left out what this one would keep, so the logs are to be read again from their beginning.
	Positions []*directoryv1.Position
	// Records is how many records the sink got.
	Records int
	// Saved is when the snapshot was put where it was found, by that place's clock; zero if nobody knows.
	Saved time.Time
	// Refused is why the newest snapshot was not used and an older one was; nil if it was used.
	Refused error
}
